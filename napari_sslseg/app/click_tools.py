"""Tools that work where the user clicks: flip or take a part, and the brush that stops at edges."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from ..editing.snapping import AROUND, snap
from ..volume.annotation import BACKGROUND

if TYPE_CHECKING:
    from napari.layers import Labels

    from .session import Session

#: Tools by name, with what a click does.
TOOLS = {
    "flip": "Click on orange or red: the part becomes its second most likely class",
    "take": "Click on a part: it is taken from the other proposal",
    "grow": "Drag: the chosen class grows and stops at edges of the image",
    "shrink": "Drag: the chosen class gives way to background, up to edges of the image",
}
BRUSHES = ("grow", "shrink")


class ClickTools:
    """Follows the mouse on the proposals while one of the tools is chosen.

    Parameters
    ----------
    session : Session
    """

    changed = Signal(str)
    """Another tool is chosen; empty for none."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.tool = ""
        self.volume = False
        self._followed: list[Labels] = []
        self._setting = False
        self._bind(session.references.layer)
        session.proposals_changed.connect(self._follow_proposals)
        self._follow_proposals()

    def choose(self, tool: str) -> None:
        """Choose a tool, or none."""
        proposal = self._session.shelf.in_view()
        self.tool = tool if proposal is not None else ""
        if proposal is not None:
            self._set_up(proposal.layer)
        self.changed.emit(self.tool)

    def point(self) -> tuple[int, ...] | None:
        """Voxel under the cursor, None outside of the volume."""
        layer = self._session.references.layer
        return self._voxel(self._session.viewer.cursor.position, layer)

    # -- inside ---------------------------------------------------------------------------

    def _follow_proposals(self) -> None:
        for proposal in self._session.proposals.values():
            layer = proposal.layer
            if not any(layer is other for other in self._followed):
                self._followed.append(layer)
                layer.mouse_drag_callbacks.append(self._on_press)
                layer.events.mode.connect(self._on_mode)
                self._bind(layer)
        active = self._session.shelf.in_view()
        # Not from under the brush of somebody who has gone back to References.
        chosen = self._session.viewer.layers.selection.active
        if self.tool and active is not None and chosen is active.layer:
            self._set_up(active.layer)

    def _bind(self, layer: Labels) -> None:
        """Let napari's keys for labels keep to classes: others have no meaning, or no place."""
        layer.bind_key("M", lambda _: self._session.add_class(), overwrite=True)
        layer.bind_key("=", lambda _: self._step_class(layer, 1), overwrite=True)
        layer.bind_key("-", lambda _: self._step_class(layer, -1), overwrite=True)

    def _step_class(self, layer: Labels, step: int) -> None:
        """Choose the class after the one that is painted with, or before it, if there is one."""
        ids = [BACKGROUND, *self._session.classes.ids]
        place = bisect_left(ids, layer.selected_label) + step
        self._session.choose_class(ids[min(max(place, 0), len(ids) - 1)])

    def _set_up(self, layer: Labels) -> None:
        self._setting = True
        try:
            if self.tool:
                self._session.viewer.layers.selection.active = layer
            # napari's own tools rest, and a brush must not move the image.
            layer.mode = "pan_zoom"
            layer.mouse_pan = self.tool not in BRUSHES
            if self.tool in BRUSHES:
                least = float(np.min(np.abs(layer.scale)))
                layer.cursor_size = max(1, round(layer.brush_size * least))
                layer.cursor = "circle"
            else:
                layer.cursor = "crosshair" if self.tool else "standard"
        finally:
            self._setting = False

    def _on_mode(self, event: Any) -> None:
        """One of napari's tools was taken up: ours is laid down.

        A layer that is shown again has the tool that it had, which nobody has taken up.
        """
        if self._session.viewer.layers.selection.active is not event.source:
            return
        if self.tool and not self._setting and str(event.mode) != "pan_zoom":
            self.tool = ""
            self.changed.emit("")

    def _on_press(self, layer: Labels, event: Any) -> Iterator[None]:
        if not layer.visible:
            return  # nobody means what is not seen
        if self.tool in BRUSHES and event.button == 1:
            yield from self._draw(layer, event)
        elif self.tool and event.button == 1:
            yield from self._click(layer, event)

    def _click(self, layer: Labels, event: Any) -> Iterator[None]:
        point = self._voxel(event.position, layer)
        yield
        if event.type == "mouse_move":
            return  # the image was moved
        if point is not None:
            act = (
                self._session.mender.flip if self.tool == "flip" else self._session.mender.take_part
            )
            act(point, self.volume)

    def _draw(self, layer: Labels, event: Any) -> Iterator[None]:
        word = "growing" if self.tool == "grow" else "shrinking"
        classes, axis = self._session.classes, self._session.project.axis
        name = classes.name(layer.selected_label)
        place = (axis, self._session.references.current_slice())
        with (
            self._session.history.named(f"{word} {name} in slice {place[1]}", place),
            layer.block_history(),
        ):
            last = np.asarray(layer.world_to_data(event.position))
            self._paint(layer, last)
            yield
            while event.type == "mouse_move":
                here = np.asarray(layer.world_to_data(event.position))
                steps = int(np.ceil(np.abs(here - last).max() / max(layer.brush_size / 4, 1)))
                for k in range(1, steps + 1):
                    self._paint(layer, last + (here - last) * k / steps)
                last = here
                yield

    def _paint(self, layer: Labels, where: Any) -> None:
        axis = self._session.project.axis
        shape = layer.data.shape
        centre = np.round(np.asarray(where)[-3:]).astype(int)
        if ((centre < 0) | (centre >= shape)).any():
            return
        radius = layer.brush_size / 2
        reach = int(np.ceil(AROUND * radius))
        window = [
            slice(max(c - reach, 0), min(c + reach + 1, n))
            for c, n in zip(centre, shape, strict=True)
        ]
        index = int(centre[axis])
        picture = self._image_window(axis, index, window)
        flat = [i for i in range(3) if i != axis]
        middle = tuple(float(centre[i] - window[i].start) for i in flat)
        key: list[Any] = list(window)
        key[axis] = index
        labels = np.asarray(self._seen(layer)[tuple(key)])
        value = int(layer.selected_label)
        there = labels == value
        grows = self.tool == "grow"
        mask = snap(picture, there if grows else ~there, (middle[0], middle[1]), radius)
        # What holds the class already, or gives way already, is under the brush as well, and said.
        rows, columns = np.nonzero(mask if grows else mask & (there | (labels == 0)))
        if not rows.size:
            return
        indices: list[Any] = [rows + window[flat[0]].start, columns + window[flat[1]].start]
        indices.insert(axis, np.full_like(rows, index))
        layer.data_setitem(tuple(indices), value if grows else 0)

    def _seen(self, layer: Labels) -> Any:
        """Return the labels that are in view: on references it is ink that grows and shrinks."""
        found = (one for one in self._session.proposals.values() if one.layer is layer)
        proposal = next(found, None)
        return layer.data if proposal is None else self._session.known.seen(proposal)

    def _image_window(self, axis: int, index: int, window: list[slice]) -> Any:
        image = self._session.image
        data = image.data[0] if image.multiscale else image.data
        key: list[Any] = list(window)
        key[axis] = index
        return np.asarray(data[tuple(key)])

    def _voxel(self, position: Any, layer: Labels) -> tuple[int, ...] | None:
        found = np.round(np.asarray(layer.world_to_data(position))[-3:]).astype(int)
        shape = layer.data.shape
        if ((found < 0) | (found >= shape)).any():
            return None
        return tuple(int(i) for i in found)
