"""Hold scores against accuracies: correlations, aggregates, models, the papers' figures."""
