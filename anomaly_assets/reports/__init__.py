"""Reports as files that stand alone: HTML that loads nothing, for people who have no access to a home."""
