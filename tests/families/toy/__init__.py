"""A family of another package, as small as one can be: one model for all, and what it says of each transaction."""
