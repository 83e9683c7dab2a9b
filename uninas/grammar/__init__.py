"""Draw random architectures from a grammar of recipes."""
