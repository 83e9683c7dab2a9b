"""Measure a network: accuracy, images per second, memory, beside others."""
