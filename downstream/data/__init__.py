"""Read the data for training and evaluation: folders of images, COCO."""
