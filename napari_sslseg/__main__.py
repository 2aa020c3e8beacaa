"""``python -m napari_sslseg``."""

from .cli import main

main()
