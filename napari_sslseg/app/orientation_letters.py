"""The letters at the edges of the canvas: which way is the patient's Right, Anterior, Superior.

They are text overlays of napari's canvas, so they stay at the edges however the camera moves.
"""

from __future__ import annotations

import contextlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components.overlays import TextOverlay
from psygnal import EmitLoopError

from ..acquisition.reasons import end_names
from ..volume.letters import EdgeLetters, edge_letters
from ..volume.order import CanonicalOrder
from .layer_roles import METADATA

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

#: Edge of the slice -> position on the canvas.
_POSITIONS = {
    "top": "top_center",
    "bottom": "bottom_center",
    "left": "middle_left",
    "right": "middle_right",
}

_FONT_SIZE = 15

#: How napari shows rows and columns unless told otherwise.
_DOWN, _RIGHT = "down", "right"


class OrientationLetters:
    """Letters of one image of a viewer, shown while it is looked at in two dimensions.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._image: Image | None = None
        self._overlays = {
            edge: TextOverlay(position=position, font_size=_FONT_SIZE)
            for edge, position in _POSITIONS.items()
        }
        for edge, overlay in self._overlays.items():
            viewer.canvas.overlays[_name(edge)] = overlay
        self._sources = (
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.dims.events.ndim,
            viewer.scene.camera.events.orientation,
        )
        for source in self._sources:
            source.connect(self._update)

    def show(self, image: Image | None) -> None:
        """Show the letters of an image layer from now on; None shows none."""
        if image is not self._image:
            for event in self._events_of_image():
                event.disconnect(self._update)
            self._image = image
            for event in self._events_of_image():
                event.connect(self._update)
        self._update()

    def remove(self) -> None:
        """Take the letters off the canvas."""
        for source in (*self._sources, *self._events_of_image()):
            source.disconnect(self._update)
        self._image = None
        # When the application ends, the canvas may be gone before the panel.
        with contextlib.suppress(RuntimeError, EmitLoopError):
            for edge in self._overlays:
                self._viewer.canvas.overlays.pop(_name(edge), None)

    def _events_of_image(self) -> tuple[Any, ...]:
        if self._image is None:
            return ()
        events = self._image.events
        return events.rotate, events.shear, events.affine, events.scale, events.metadata

    def _update(self, event: Any = None) -> None:
        letters = EdgeLetters()
        if self._image is not None:
            letters = letters_in_view(self._viewer, self._image)
        for field in fields(letters):
            text, overlay = getattr(letters, field.name), self._overlays[field.name]
            overlay.text = text
            overlay.visible = bool(text)


def letters_in_view(viewer: ViewerModel, image: Image) -> EdgeLetters:
    """Return the letters at the edges of the canvas while it shows slices of an image.

    All are empty where the directions of the image are not known, where it was turned or sheared
    in napari since it was read, and in a view of three dimensions.
    """
    if viewer.dims.ndisplay != 2:
        return EdgeLetters()
    n = len(image.scale)
    # A layer has the last axes of the viewer; axes before them belong to other layers.
    row, column = (axis - (viewer.dims.ndim - n) for axis in viewer.dims.displayed)
    if min(row, column) < 0:
        return EdgeLetters()
    vertical, horizontal = (str(word) for word in viewer.scene.camera.orientation2d)
    mirrored = np.asarray(image.scale) < 0
    flips = (
        bool((vertical != _DOWN) ^ mirrored[row]),
        bool((horizontal != _RIGHT) ^ mirrored[column]),
    )
    return plane_letters(image, row, column, flips)


def plane_letters(image: Image, row: int, column: int, flipped: tuple[bool, bool]) -> EdgeLetters:
    """Return the letters at the edges of a plane of an image.

    Parameters
    ----------
    image : Image
    row, column : int
        Axes of the layer's array that run downwards and to the right.
    flipped : tuple of two bool
        Whether each of them runs upwards, or to the left, instead.
    """
    order = image.metadata.get(METADATA, {}).get("order")
    if order is None or _is_turned(image):
        return EdgeLetters()
    geometry = CanonicalOrder.from_dict(order).geometry
    if len(image.scale) != geometry.ndim:
        return EdgeLetters()
    return edge_letters(geometry, row, column, flipped=flipped)


def slice_ends(image: Image, axis: int) -> tuple[str, str]:
    """Return what lies at the first and the last slice of an image, such as "superior end".

    Both are empty where the directions are not known, or the image was turned since it was read.
    """
    order = image.metadata.get(METADATA, {}).get("order")
    if order is None or _is_turned(image):
        return "", ""
    return end_names(CanonicalOrder.from_dict(order).geometry, axis)


def _is_turned(image: Image) -> bool:
    n = len(image.scale)
    return (
        not np.array_equal(image.rotate, np.eye(n))
        or bool(np.any(image.shear))
        or not np.array_equal(image.affine.affine_matrix, np.eye(n + 1))
    )


def _name(edge: str) -> str:
    return f"napari_sslseg_{edge}"
