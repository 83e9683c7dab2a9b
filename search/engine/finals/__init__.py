"""The end of a search: finalists and controls on held-out seeds, how far the score can be trusted there, a verdict."""
