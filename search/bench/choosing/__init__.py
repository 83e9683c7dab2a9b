"""Choose an aggregate of scores on one half of the networks, and report it on the other."""
