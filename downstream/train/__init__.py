"""Training by the papers' protocols: classification through timm, detection and segmentation through mmengine."""
