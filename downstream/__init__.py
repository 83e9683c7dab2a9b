"""What is done with a found network: timm, MMDetection, MMSegmentation, training, evaluation, export.

Importing this makes every architecture a model of timm: `timm.create_model("uninas", arch="coatnet")`.
"""

from uninas.runtime.torchvision_repair import repair

repair()  # before anything below imports timm

from downstream.models.timm_model import UniNASNet  # noqa: E402

__all__ = ["UniNASNet"]
