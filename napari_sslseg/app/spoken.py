"""Where a proposal holds the user's word: laid over what was proposed, and grown by each step.

That a stroke went over a voxel is kept even where the voxel held the painted class already. It is
the user's word as well, and the next version of the proposal may say something else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.array_files import writable_copy

if TYPE_CHECKING:
    import numpy.typing as npt

    Positions = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Overlay:
    """A proposal under what the user said of it.

    Parameters
    ----------
    data : ndarray of uint8
        The classes, to be edited.
    said : ndarray of bool
        Where they are the user's word.
    ids : frozenset of int
        Label values of these words.
    """

    data: npt.NDArray[np.uint8]
    said: npt.NDArray[np.bool_]
    ids: frozenset[int]


def overlay(classes: npt.NDArray[np.uint8], words: npt.NDArray[np.uint8] | None) -> Overlay:
    """Lay words (255 = none) over what was proposed; takes time, so use a thread."""
    data = writable_copy(classes)
    # Of zeros that nobody has written to, a large array takes no memory.
    said, ids = np.zeros(classes.shape, dtype=np.bool_), set[int]()
    if words is not None:
        for slab, spoken, own in zip(data, said, words, strict=True):
            where = own != NOT_ANNOTATED
            if where.any():
                slab[where], spoken[where] = own[where], True
                ids.update(np.flatnonzero(np.bincount(own[where])).tolist())
    return Overlay(data, said, frozenset(ids))


@dataclass
class Spoken:
    """Places that became the user's word by a step; goes with the step.

    Parameters
    ----------
    said : ndarray of bool
        Where a proposal holds the user's word, laid flat; written to.
    positions : ndarray of int
        Places in it.
    changed : callable
        Called after it was written to.
    """

    said: npt.NDArray[np.bool_]
    positions: Positions
    changed: Callable[[], object]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.positions.nbytes)

    def undo(self) -> None:
        """Let only what differs from what was proposed be the user's word there."""
        self._set(False)

    def redo(self) -> None:
        """Let what stands there be the user's word."""
        self._set(True)

    def _set(self, value: bool) -> None:
        self.said[self.positions] = value
        self.changed()
