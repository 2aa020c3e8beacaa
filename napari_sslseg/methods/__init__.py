"""Semi-supervised segmentation methods in PyTorch: no files, no loop, no user interface."""
