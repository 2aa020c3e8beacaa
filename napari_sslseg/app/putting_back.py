"""Layers that the user deletes although all work rests on them: they come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


class PuttingBack:
    """Puts the image and References of a session back.

    Parameters
    ----------
    viewer : ViewerModel
    image : Layer
        Comes back below all others.
    references : Layer
        Comes back on top.
    where : callable
        Returns the slice that was in view last.
    show : callable
        Shows a slice again: without layers napari forgets position and order of the axes.
    """

    trouble = Signal(str)
    """Why a layer is there again."""

    def __init__(
        self,
        viewer: ViewerModel,
        image: Layer,
        references: Layer,
        where: Callable[[], int],
        show: Callable[[int], object],
    ) -> None:
        self._viewer, self._image, self._references = viewer, image, references
        self._where, self._show = where, show
        self._closed = False
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let the layers go."""
        self._closed = True
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._references or event.value is self._image:
            QTimer.singleShot(0, self._put_back)  # once napari is done with removing

    def _put_back(self) -> None:
        layers = self._viewer.layers
        if self._closed:
            return
        index = self._where()
        if self._image not in layers:
            layers.insert(0, self._image)
            self.trouble.emit("The project's image was put back; close the project to leave it.")
        if self._references not in layers:
            layers.append(self._references)
            self.trouble.emit(
                "References holds your labels and was put back; close the project to leave it."
            )
        self._show(index)
