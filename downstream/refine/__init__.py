"""Train the finalists of a search for a few epochs under Ray Tune, and rank them by accuracy."""
