"""One undo and redo over all layers, in the order in which things were done.

napari keeps a history for each labels layer, so after *Accept slice* an undo in the proposal would
take back a stroke and leave the acceptance. Here every step, whichever layer it wrote to, has its
place in one row, and the layers' own undo and redo (keys, calls) lead here. Strokes stay in the
histories of napari; larger operations are kept as compact `Change`s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from ..editing.change import Change

if TYPE_CHECKING:
    from napari.layers import Labels

#: Steps that napari keeps for each layer.
NAPARI_LIMIT = 100

#: Memory for the steps that are kept here; the oldest go first.
MOST_BYTES = 600_000_000

Place = tuple[int, int]
"""Slicing axis and index of the slice where something happened."""


@dataclass(eq=False)
class _Followed:
    """A layer, and its own undo and redo."""

    layer: Labels
    undo: Callable[[], None]
    redo: Callable[[], None]
    strokes: int = 0
    """Strokes that are being drawn on it."""


@dataclass(eq=False)
class Step:
    """One thing that was done.

    Parameters
    ----------
    owner : _Followed
        Layer that it wrote to.
    text : str
        What it was, as it reads after "Undo: ".
    place : (axis, index) or None
        Where the user looked.
    change : Change or None
        What it did; None when napari's history of the layer knows.
    """

    owner: _Followed
    text: str
    place: Place | None
    change: Change | None = None

    @property
    def layer(self) -> Labels:
        """Layer that it wrote to."""
        return self.owner.layer


class History:
    """Steps on several labels layers, in their order.

    Parameters
    ----------
    where : callable
        Returns the slice in view, to remember where a stroke was.
    """

    changed = Signal()
    """There is something else to undo or redo."""
    stepped = Signal()
    """The user did something new."""
    moved = Signal(object, bool)
    """A `Step` was undone (False) or done again (True)."""

    def __init__(self, where: Callable[[], Place]) -> None:
        self._where = where
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._followed: list[_Followed] = []
        self._name: tuple[str, Place] | None = None

    # -- layers ---------------------------------------------------------------------------

    def follow(self, layer: Labels) -> None:
        """Take the steps of a layer into the row from now on."""
        owner = _Followed(layer, layer.undo, layer.redo)
        self._followed.append(owner)
        self.lead_here(layer)
        layer.events.paint.connect(lambda event: self._on_paint(owner))
        # Both end the layer's own history: its entries belong to an array that is gone.
        layer.events.data.connect(lambda event: self.forget(layer))
        layer.events.editable.connect(lambda event: self._on_editable(layer))
        layer.mouse_drag_callbacks.append(partial(_watch_stroke, owner))

    def lead_here(self, layer: Labels) -> None:
        """Let undo and redo on a layer mean this history."""
        layer.undo = self.undo
        layer.redo = self.redo

    def forget(self, layer: Labels) -> None:
        """Drop the steps of a layer: its array was replaced."""
        before = len(self._done) + len(self._undone)
        self._done = [step for step in self._done if step.layer is not layer]
        self._undone = [step for step in self._undone if step.layer is not layer]
        if len(self._done) + len(self._undone) != before:
            self.changed.emit()

    # -- steps ----------------------------------------------------------------------------

    @contextmanager
    def named(self, text: str, place: Place) -> Iterator[None]:
        """Say what the steps recorded inside are, and where."""
        before, self._name = self._name, (text, place)
        try:
            yield
        finally:
            self._name = before

    def write(self, layer: Labels, change: Change, text: str, place: Place) -> bool:
        """Make a change as one step.

        Returns
        -------
        bool
            False, with nothing done, when the layer no longer holds what the change was made
            from, or a stroke is being drawn on it.
        """
        owner = next(f for f in self._followed if f.layer is layer)
        if owner.strokes or not change.fits(layer.data):
            return False
        if len(change):
            change.apply(layer.data)
            self._push(Step(owner, text, place, change))
            layer.refresh(thumbnail=False, extent=False)
        return True

    @property
    def next_undo(self) -> str:
        """What an undo would take back, empty when there is nothing."""
        return self._done[-1].text if self._done else ""

    @property
    def next_redo(self) -> str:
        """What a redo would do again, empty when there is nothing."""
        return self._undone[-1].text if self._undone else ""

    def undo(self) -> None:
        """Take back the last step, unless a stroke is being drawn over it."""
        if self._done and not self._done[-1].owner.strokes:
            step = self._done.pop()
            self._undone.append(step)
            if step.change is None:
                step.owner.undo()
            else:
                step.change.revert(step.layer.data)
                step.layer.refresh(thumbnail=False, extent=False)
            self._tell(step, False)

    def redo(self) -> None:
        """Do the last undone step again."""
        if self._undone and not self._undone[-1].owner.strokes:
            step = self._undone.pop()
            self._done.append(step)
            if step.change is None:
                step.owner.redo()
            else:
                step.change.apply(step.layer.data)
                step.layer.refresh(thumbnail=False, extent=False)
            self._tell(step, True)

    # -- inside ---------------------------------------------------------------------------

    def _on_paint(self, owner: _Followed) -> None:
        text, place = self._name or (f"painting in {owner.layer.name}", self._where())
        self._push(Step(owner, text, place))
        mine = [step for step in self._done if step.owner is owner and step.change is None]
        if len(mine) > NAPARI_LIMIT:
            # napari has dropped its oldest; what came before it on the layer cannot be undone.
            self._drop_until(mine[0])

    def _push(self, step: Step) -> None:
        self._done.append(step)
        self._undone.clear()
        large = [s for s in self._done if s.change is not None]
        total = sum(s.change.nbytes for s in large if s.change is not None)
        while total > MOST_BYTES and len(large) > 1:
            oldest = large.pop(0)
            total -= oldest.change.nbytes if oldest.change is not None else 0
            self._drop_until(oldest)
        self.changed.emit()
        self.stepped.emit()

    def _drop_until(self, last: Step) -> None:
        cut = self._done.index(last)
        self._done = [s for i, s in enumerate(self._done) if i > cut or s.owner is not last.owner]

    def _tell(self, step: Step, again: bool) -> None:
        self.changed.emit()
        self.moved.emit(step, again)

    def _on_editable(self, layer: Labels) -> None:
        if not layer.editable:
            self.forget(layer)


def _watch_stroke(owner: _Followed, layer: Labels, event: Any) -> Iterator[None]:
    owner.strokes += 1
    try:
        yield
        while event.type == "mouse_move":
            yield
    finally:
        owner.strokes -= 1
