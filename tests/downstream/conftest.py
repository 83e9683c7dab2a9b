"""Before any test here imports timm: the remedy for a torchvision without its operators."""

import downstream  # noqa: F401
