"""Short trainings in the workers of a search, all by one recipe: an accuracy that ranks networks, and no final one."""
