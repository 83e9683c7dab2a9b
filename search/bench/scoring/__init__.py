"""Score the networks of a benchmark, with a journal and a resume."""
