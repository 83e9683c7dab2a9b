"""Run a search from its first ask to its artifacts: phases, finalists, Pareto front, resume."""
