"""Spaces of whose networks thousands were trained and published beside their papers: NDS, TransNAS-Bench-101, BLOX."""
