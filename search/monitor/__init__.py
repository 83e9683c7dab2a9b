"""Tell how a search stands: progress display, observers, and figures read from a run's files."""
