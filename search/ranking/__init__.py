"""Order candidates: objectives, ranks within a population, Pareto dominance, rank correlation."""
