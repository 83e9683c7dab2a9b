"""Networks made by hand: the presets of the UniNAS space, and published networks as graphs."""
