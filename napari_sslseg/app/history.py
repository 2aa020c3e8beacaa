"""One undo and redo over all layers, in the order in which things were done.

napari keeps a history for each labels layer, so after *Accept slice* an undo in the proposal would
take back a stroke and leave the acceptance. Here every step, whichever layer it wrote to, has its
place in one row, and the layers' own undo and redo (keys, calls) lead here. Strokes stay in the
histories of napari; larger operations are kept as compact `Change`s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from psygnal import Signal

from ..editing.change import Change
from .strokes import Strokes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from napari.layers import Labels

    Positions = npt.NDArray[np.integer]

#: Steps that napari keeps for each layer.
NAPARI_LIMIT = 100

#: Memory for the steps that are kept here; the oldest go first.
MOST_BYTES = 600_000_000

Place = tuple[int, int]
"""Slicing axis and index of the slice where something happened."""


class Companion(Protocol):
    """What a step changes besides the voxels of its layer; it is undone and done with the step."""

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        ...

    def undo(self) -> None:
        """Take it back."""
        ...

    def redo(self) -> None:
        """Do it again."""
        ...


@dataclass(eq=False)
class _Followed:
    """A layer, and its own undo and redo."""

    layer: Labels
    undo: Callable[[], None]
    redo: Callable[[], None]
    touched: Callable[[], object]
    """Called after voxels may have changed: a hidden layer of napari says nothing."""
    written: Strokes = field(init=False)
    """Where the strokes on it go."""
    accompany: list[Callable[[Positions | None], Iterable[Companion]]] = field(default_factory=list)
    """Make what goes with a step, told where it was."""


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
    companions : list of Companion
        What goes with it.
    """

    owner: _Followed
    text: str
    place: Place | None
    change: Change | None = None
    companions: list[Companion] = field(default_factory=list)

    @property
    def layer(self) -> Labels:
        """Layer that it wrote to."""
        return self.owner.layer

    @property
    def nbytes(self) -> int:
        """Memory that it takes here, not counting what napari keeps."""
        own = 0 if self.change is None else self.change.nbytes
        return own + sum(companion.nbytes for companion in self.companions)

    def undo(self) -> None:
        """Take it back, and all that goes with it."""
        if self.change is None:
            self.owner.undo()
        else:
            self.change.revert(self.layer.data)
            self.layer.refresh(thumbnail=False, extent=False)
        for companion in reversed(self.companions):
            companion.undo()

    def redo(self) -> None:
        """Do it again, and all that goes with it."""
        if self.change is None:
            self.owner.redo()
        else:
            self.change.apply(self.layer.data)
            self.layer.refresh(thumbnail=False, extent=False)
        for companion in self.companions:
            companion.redo()


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

    def follow(self, layer: Labels, touched: Callable[[], object]) -> None:
        """Take the steps of a layer into the row from now on; each that changes it calls back."""
        owner = _Followed(layer, layer.undo, layer.redo, touched)
        owner.written = Strokes(layer, lambda: self._on_silent(owner))
        self._followed.append(owner)
        self.lead_here(layer)
        layer.events.paint.connect(lambda event: self._on_paint(owner, event.value))
        # Both end the layer's own history: its entries belong to an array that is gone.
        layer.events.data.connect(lambda event: self.forget(layer))
        layer.events.editable.connect(lambda event: self._on_editable(layer))

    def accompany(
        self, layer: Labels, make: Callable[[Positions | None], Iterable[Companion]]
    ) -> None:
        """Let something go with every new step on a layer.

        Parameters
        ----------
        layer : Labels
            One that is followed.
        make : callable
            Given the places of the step in the layer's array laid flat (None where they are not
            known), does what there is to do, and returns how to undo it and do it again.
        """
        self._owner(layer).accompany.append(make)

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

    def write(
        self,
        layer: Labels,
        change: Change,
        text: str,
        place: Place,
        also: Iterable[Companion] = (),
        said: Positions | None = None,
    ) -> bool:
        """Make a change as one step, and what else goes with it.

        Parameters
        ----------
        layer : Labels
        change : Change
        text : str
            What it is, as it reads after "Undo: ".
        place : (axis, index)
            Where the user looks.
        also : iterable of Companion, optional
            What goes with it; it makes a step even where no voxel changes.
        said : ndarray of int, optional
            Places in the array laid flat that the user has spoken of, where these are more than
            those that change.

        Returns
        -------
        bool
            False, with nothing done, when the layer no longer holds what the change was made
            from, or a stroke is being drawn on it.
        """
        owner, also = self._owner(layer), list(also)
        if owner.written.under_way or not change.fits(layer.data):
            return False
        if len(change):
            change.apply(layer.data)
            layer.refresh(thumbnail=False, extent=False)
            owner.touched()
        for companion in also:
            companion.redo()
        if len(change) or also:
            self._push(
                Step(owner, text, place, change, also), change.positions if said is None else said
            )
        return True

    def written_over(self, layer: Labels, where: Iterable[Positions]) -> None:
        """Do what goes with a step on a layer after a change that was too large to be one.

        Parameters
        ----------
        layer : Labels
        where : iterable of ndarray of int
            Places of the change in the layer's array laid flat, some at a time.
        """
        for positions in where:
            for make in self._owner(layer).accompany:
                make(positions)
        self.changed.emit()

    @property
    def next_undo(self) -> str:
        """What an undo would take back, empty when there is nothing."""
        return self._done[-1].text if self._done else ""

    @property
    def next_redo(self) -> str:
        """What a redo would do again, empty when there is nothing."""
        return self._undone[-1].text if self._undone else ""

    @property
    def drawing(self) -> bool:
        """Whether a stroke is being drawn on one of the layers."""
        return any(owner.written.under_way for owner in self._followed)

    def since_stroke(self, layer: Labels) -> float:
        """Seconds since something was painted on a layer; infinite before."""
        return self._owner(layer).written.since_last

    def undo(self) -> None:
        """Take back the last step, unless a stroke is being drawn."""
        self._move(self._done, self._undone, again=False)

    def redo(self) -> None:
        """Do the last undone step again, unless a stroke is being drawn."""
        self._move(self._undone, self._done, again=True)

    # -- inside ---------------------------------------------------------------------------

    def _owner(self, layer: Labels) -> _Followed:
        return next(f for f in self._followed if f.layer is layer)

    def _on_paint(self, owner: _Followed, atoms: Any) -> None:
        text, place = self._what(owner)
        self._push(Step(owner, text, place), owner.written.take(atoms))
        mine = [step for step in self._done if step.owner is owner and step.change is None]
        if len(mine) > NAPARI_LIMIT:
            # napari has dropped its oldest; what came before it on the layer cannot be undone.
            self._drop_until(mine[0])

    def _on_silent(self, owner: _Followed) -> None:
        """Make a step of a stroke that changed no voxel, if anything goes with it."""
        step = Step(owner, *self._what(owner), Change.nothing(owner.layer.data.shape))
        self._push(step, owner.written.take(), alone=False)
        if step.companions:  # else the layer would say nothing of it
            if owner.layer.visible:
                owner.layer.refresh(thumbnail=False, extent=False)
            else:
                owner.touched()

    def _what(self, owner: _Followed) -> tuple[str, Place]:
        return self._name or (f"painting in {owner.layer.name}", self._where())

    def _push(self, step: Step, where: Positions | None, alone: bool = True) -> None:
        """Enter a step with what goes with it; if not `alone`, only where something does."""
        step.companions += [made for make in step.owner.accompany for made in make(where)]
        if not (alone or step.companions):
            return
        self._done.append(step)
        self._undone.clear()
        large = [s for s in self._done if s.nbytes]
        total = sum(s.nbytes for s in large)
        while total > MOST_BYTES and len(large) > 1:
            oldest = large.pop(0)
            total -= oldest.nbytes
            self._drop_until(oldest)
        self.changed.emit()
        self.stepped.emit()

    def _drop_until(self, last: Step) -> None:
        cut = self._done.index(last)
        self._done = [s for i, s in enumerate(self._done) if i > cut or s.owner is not last.owner]

    def _move(self, source: list[Step], target: list[Step], again: bool) -> None:
        """Take the last step from one row to the other, and do it again or take it back."""
        if not source or self.drawing:
            return
        step = source.pop()
        target.append(step)
        (step.redo if again else step.undo)()
        step.owner.touched()
        self.changed.emit()
        self.moved.emit(step, again)

    def _on_editable(self, layer: Labels) -> None:
        if not layer.editable:
            self.forget(layer)
