"""What slices along an axis are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .layer_roles import METADATA

if TYPE_CHECKING:
    from napari.layers import Image

#: World axes of our canonical order, in words.
_WORDS = ("Axial", "Coronal", "Sagittal")


#: Name of an axis of the image that is none of space, but time.
_TIME = "t"


def axis_word(image: Image, axis: int) -> str:
    """Return the name of an axis of an image: anatomical where its directions are known.

    Else it is the one that the slider below the image has, if that is a letter.
    """
    order = image.metadata.get(METADATA, {}).get("order", {})
    if is_time(image, axis):
        return "Time"
    if order.get("oriented"):
        return _WORDS[axis]
    label = str(image.axis_labels[-3:][axis])
    return f"Axis {label if len(label) == 1 else axis}"


def is_time(image: Image, axis: int) -> bool:
    """Whether an axis of a volume, counted from its first one, is time."""
    labels = image.axis_labels[-3:]
    return len(labels) == 3 and str(labels[axis]) == _TIME


def slice_word(image: Image, axis: int) -> str:
    """Return what one slice along an axis is called."""
    return "Time point" if is_time(image, axis) else "Slice"
