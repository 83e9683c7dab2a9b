"""Where candidates come from: the universal graph space and categorical spaces, each within a budget."""
