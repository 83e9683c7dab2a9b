"""What the scores measure with: passes, hooks, seeds, initial values, and a network left as it was found."""
