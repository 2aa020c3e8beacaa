"""Coronal and sagittal slices with the patient's head at the top.

Arrays are shown ascending towards Superior, and napari draws rows downwards: the head would be at
the bottom. Turning the camera, rather than the array, leaves every index and position as it is.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from psygnal import EmitLoopError

from .layer_roles import METADATA

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


class HeadUp:
    """Turns a viewer's camera while slices of one image are looked at that have a head end.

    A direction that the user chooses in napari stays until another axis is sliced along.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._image: Image | None = None
        self._turned = False
        self._sources = (
            viewer.dims.events.order,
            viewer.dims.events.ndisplay,
            viewer.dims.events.ndim,
        )
        for source in self._sources:
            source.connect(self._update)

    def show(self, image: Image | None) -> None:
        """Turn the view for an image layer from now on; None leaves it as napari has it."""
        self._image = image
        self._update()

    def remove(self) -> None:
        """Turn the view back, and leave it alone from now on."""
        for source in self._sources:
            source.disconnect(self._update)
        # When the application ends, the canvas may be gone before the panel.
        with contextlib.suppress(RuntimeError, EmitLoopError):
            self.show(None)

    def _update(self, event: Any = None) -> None:
        wanted = self._image is not None and self._superior_is_down(self._image)
        if wanted != self._turned:
            self._turned = wanted
            camera = self._viewer.scene.camera
            camera.orientation2d = ("up" if wanted else "down", camera.orientation2d[1])

    def _superior_is_down(self, image: Image) -> bool:
        dims = self._viewer.dims
        rows = dims.displayed[0] - (dims.ndim - 3)
        return dims.ndisplay == 2 and rows == 0 and has_head(image)


def has_head(image: Image) -> bool:
    """Whether the first axis of a layer is known to run from the feet to the head."""
    order = image.metadata.get(METADATA, {}).get("order", {})
    return bool(order.get("oriented")) and len(order["permutation"]) == 3


def picture_rows(image: Image, axis: int) -> slice:
    """Return the rows of a slice across `axis` from the top of the canvas to its bottom."""
    return slice(None, None, -1 if axis > 0 and has_head(image) else 1)
