"""Files that nobody would write: what `benchmarks.hostile.fuzz` and the tests feed to the readers."""
