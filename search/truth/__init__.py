"""A ground truth: networks of one budget from the whole space, trained by one short recipe: a table to judge scores by."""
