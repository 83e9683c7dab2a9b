"""Benchmarks of proxies on networks whose accuracies are known."""
