"""Read a search's configuration, check it, and say what it will not do."""
