"""napari-sslseg: label a few reference slices, train in the background, correct, export."""

__version__ = "0.1.0"
