"""How the background in References came to be: painted by hand, or with a slice made whole.

All of it is ink of class 0. But who takes a slice from the references takes back what made it one,
not what was painted before voxel by voxel, nor what belongs to references along another axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND
from .background import in_background
from .reference_layer import NotNowError

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.inkstore import InkStore
    from .history import History
    from .reference_layer import ReferenceLayer

    Codes = npt.NDArray[np.uint8]
    Positions = npt.NDArray[np.integer]

#: Codes: nothing is known (no background, or from before there were codes), by hand, and with a
#: slice along an axis, which is added.
_UNKNOWN, _BY_HAND, _ALONG = 0, 1, 2


@dataclass
class _Turned:
    """Codes that changed by a step; goes with the step."""

    codes: Codes
    positions: Positions
    old: Codes
    new: Codes
    changed: Callable[[], object]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.positions.nbytes + self.old.nbytes + self.new.nbytes)

    def undo(self) -> None:
        """Put the old ones back."""
        self.codes[self.positions] = self.old
        self.changed()

    def redo(self) -> None:
        """Put the new ones."""
        self.codes[self.positions] = self.new
        self.changed()


class BackgroundOrigin:
    """Follows the steps in References.

    Parameters
    ----------
    references : ReferenceLayer
    history : History
        Whose steps it goes with.
    store : InkStore
        Where the codes are kept. A project that was made before there were any has none; all its
        background is then taken for that of whole slices.
    failed : callable
        Hears of errors.
    """

    def __init__(
        self,
        references: ReferenceLayer,
        history: History,
        store: InkStore,
        failed: Callable[[Exception], object],
    ) -> None:
        self._references, self._store = references, store
        # Of zeros that nobody has written to, a large array takes no memory.
        self._codes = np.zeros(references.ink.shape, dtype=np.uint8)
        self._early: list[Positions] = []
        self._known = store.blank
        self.shape: tuple[int, ...] = self._codes.shape
        references.origin = self
        history.accompany(references.layer, self.follow)
        if not self._known:
            in_background(self._read, self._take, failed)

    def stays(self, axis: int, index: int) -> npt.NDArray[np.bool_]:
        """Return which background of a slice did not come with the slice being made whole.

        Raises
        ------
        NotNowError
            While that is being read.
        """
        if not self._known:
            raise NotNowError(
                "Nothing was changed: what you painted is still being read; wait a moment."
            )
        codes = np.moveaxis(self._codes, axis, 0)[index]
        return np.asarray((codes != _UNKNOWN) & (codes != _ALONG + axis))

    def follow(self, positions: Positions | None) -> list[_Turned]:
        """Take note of a step in References.

        Parameters
        ----------
        positions : ndarray of int or None
            Places of the step in the volume laid flat; None where they are not known.

        Returns
        -------
        list
            What goes with the step, to be undone and done again with it.
        """
        if positions is None:
            return []
        if not self._known:
            self._early.append(positions)
        codes = self._codes.reshape(-1)
        old = codes[positions]
        made: npt.NDArray[np.uint8] = np.full(old.shape, _BY_HAND, dtype=np.uint8)
        if self._references.filling:
            made = np.where(old == _UNKNOWN, _ALONG + self._references.axis, old).astype(np.uint8)
        made[self._references.ink.reshape(-1)[positions] != BACKGROUND] = _UNKNOWN
        turned = made != old
        if not turned.any():
            return []
        step = _Turned(codes, positions[turned], old[turned], made[turned], self._changed)
        step.redo()
        return [step]

    def save(self) -> int:
        """Write what changed; for the autosave thread. Returns the number of slices."""
        return self._store.save(self) if self._known else 0

    def __getitem__(self, index: int, /) -> Codes:
        """Return a slice as it is kept: as ink, which says nothing of most voxels."""
        codes = self._codes[index]
        return np.where(codes == _UNKNOWN, np.uint8(NOT_ANNOTATED), codes).astype(np.uint8)

    def _read(self) -> Codes:
        stored, found = self._store.stored(), np.zeros(self.shape, dtype=np.uint8)
        for index in range(self.shape[0]):
            kept = stored[index]
            if kept is not None and (kept != NOT_ANNOTATED).any():
                found[index] = np.where(kept == NOT_ANNOTATED, _UNKNOWN, kept)
        return found

    def _take(self, found: Codes) -> None:
        """Take what was read, but for places that were written to meanwhile."""
        for positions in self._early:
            found.reshape(-1)[positions] = _UNKNOWN
        for mine, slab in zip(self._codes, found, strict=True):
            if slab.any():
                np.copyto(mine, slab, where=slab != _UNKNOWN)
        self._early, self._known = [], True

    def _changed(self) -> None:
        self._references.look_at(self._references.current_slice())
