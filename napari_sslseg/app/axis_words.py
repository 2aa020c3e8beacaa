"""What slices along an axis are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .layer_roles import METADATA

if TYPE_CHECKING:
    from napari.layers import Image

#: World axes of our canonical order, in words.
_WORDS = ("Axial", "Coronal", "Sagittal")


def axis_word(image: Image, axis: int) -> str:
    """Return the name of an axis of an image: anatomical where its directions are known."""
    order = image.metadata.get(METADATA, {}).get("order", {})
    return _WORDS[axis] if order.get("oriented") else f"Axis {axis}"
