"""A network as others use it: timm model, backbone, backbone of OpenMMLab's detectors and segmenters."""
