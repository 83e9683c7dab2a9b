"""What scores compute of numbers, and of the shapes of weights: no network, no pass."""
