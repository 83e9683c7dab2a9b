"""Published search spaces as generators of the one graph's architectures; each is a file of its own. No torch here."""

from uninas.spaces import nasbench201

__all__ = ["nasbench201"]
