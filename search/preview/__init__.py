"""Say what a search would do, and what it would take, by a few candidates that are scored here; nothing is started or written."""
