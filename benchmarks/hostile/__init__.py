"""Files that nobody would write: what `benchmarks.fuzz` and the tests feed to the readers."""
