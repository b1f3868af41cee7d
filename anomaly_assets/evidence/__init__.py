"""From a published flag back to its models, its data and its runs, read from files alone."""
