"""The zero-cost (training-free) proxies, a family a file."""
