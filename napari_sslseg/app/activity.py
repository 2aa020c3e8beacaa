"""Whether the user acts: scrolls, paints, moves the view, or switches something on or off."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from psygnal import Signal

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: Seconds between two signals, however much is done.
EVERY = 0.15

#: Seconds for which somebody who has acted is about to do so again.
JUST_NOW = 0.3

#: Events of a layer that come of what the user does, each move of a brush among them. A new
#: proposal emits some of them too, which costs the trainer a moment.
_CHANGES = {
    "set_data",
    "paint",
    "labels_update",
    "visible",
    "opacity",
    "contour",
    "colormap",
    "blending",
    "contrast_limits",
    "gamma",
    "mode",
    "brush_size",
}

#: Modes in which a cursor is drawn that follows the mouse.
_DRAWING = {"paint", "erase", "fill", "polygon"}


class Activity:
    """Tells that the user acts in a viewer, from napari's own events; nothing is polled.

    Parameters
    ----------
    viewer : ViewerModel
    """

    acted = Signal()
    """The user acts; emitted at most once every `EVERY` seconds."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._last = self._noted = float("-inf")
        for signal in self._signals():
            signal.connect(self.note)
        viewer.layers.events.connect(self._on_layers)
        viewer.mouse_drag_callbacks.append(self._on_drag)
        viewer.mouse_move_callbacks.append(self._on_move)

    def close(self) -> None:
        """Listen no more."""
        viewer = self._viewer
        for signal in self._signals():
            with contextlib.suppress(ValueError, RuntimeError):
                signal.disconnect(self.note)
        with contextlib.suppress(ValueError, RuntimeError):
            viewer.layers.events.disconnect(self._on_layers)
        if self._on_drag in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._on_drag)
        if self._on_move in viewer.mouse_move_callbacks:
            viewer.mouse_move_callbacks.remove(self._on_move)

    def note(self, event: Any = None) -> None:
        """Take note that the user has acted just now."""
        now = time.monotonic()
        self._noted = now
        if now - self._last >= EVERY:
            self._last = now
            self.acted.emit()

    def just_now(self) -> bool:
        """Whether the user has acted within the last `JUST_NOW` seconds; safe in any thread."""
        return time.monotonic() - self._noted < JUST_NOW

    def _signals(self) -> tuple[Any, ...]:
        dims, camera = self._viewer.dims.events, self._viewer.scene.camera.events
        return (dims.point, dims.order, dims.ndisplay, camera.zoom, camera.center, camera.angles)

    def _on_layers(self, event: Any) -> None:
        """Look at an event of any layer: napari's list of layers relays them all."""
        if event.type in _CHANGES:
            self.note()

    def _on_drag(self, viewer: Any, event: Any) -> Iterator[None]:
        self.note()
        yield
        while event.type == "mouse_move":
            self.note()
            yield

    def _on_move(self, viewer: Any, event: Any) -> None:
        """Follow the brush before it touches the slice."""
        layer = viewer.layers.selection.active
        if layer is not None and str(getattr(layer, "mode", "")) in _DRAWING:
            self.note()
