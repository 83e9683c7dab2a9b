"""What search algorithms are worth, where every network has been trained."""
