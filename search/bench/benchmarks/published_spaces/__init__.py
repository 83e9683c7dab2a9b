"""Referees whose networks are points of a published space, a table of each; `search.bench.benchmarks.table` lists them."""
