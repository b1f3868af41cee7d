"""A detector of its own package: a file of it, a section of the settings, an entry point."""
