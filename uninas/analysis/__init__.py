"""Read figures off an architecture: cost, trainable parameters, degenerate operations, features, family."""
