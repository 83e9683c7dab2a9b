"""Read the data that networks are trained and measured on: folders of pictures, COCO."""
