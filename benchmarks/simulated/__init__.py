"""Searches in virtual time, under the real driver: what `benchmarks.simulator` measures, and its page."""
