"""How the background in References came to be: painted by hand, or with a slice made whole.

All of it is ink of class 0. But who takes a slice from the references takes back what made it one,
not what was painted before voxel by voxel, nor what belongs to references along another axis.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..editing.change import slice_places
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND
from ..volume.user_error import ProjectError
from .background import in_background
from .reference_layer import NotNowError

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.inkstore import InkStore
    from .history import History
    from .reference_layer import ReferenceLayer

    Codes = npt.NDArray[np.uint8]
    Positions = npt.NDArray[np.integer]

#: Codes: nothing is known, as where there is no background, or bits: by hand, and with a slice
#: along each axis.
_UNKNOWN, _BY_HAND = 0, 8


def _along(axis: int) -> int:
    return 16 << axis


@dataclass(eq=False)
class _Turned:
    """Codes that change by a step, to what they keep and what is added; goes with the step."""

    origin: BackgroundOrigin
    positions: Positions
    keep: Codes
    add: Codes
    done: bool = False

    def __post_init__(self) -> None:
        self.old = np.empty(0, dtype=np.uint8)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.positions.nbytes + 3 * self.keep.nbytes)

    def undo(self) -> None:
        """Put the old ones back."""
        self.done = False
        self.origin.codes[self.positions] = self.old
        self.origin.changed()

    def redo(self) -> None:
        """Put the new ones."""
        self.do()
        self.origin.changed()

    def do(self) -> None:
        """Put the new ones as part of a step that is told of anyway."""
        self.done = True
        self.write(self.origin.codes)
        self.origin.expect(self)

    def write(self, codes: Codes) -> None:
        """Put the new ones, and remember what was there."""
        self.old = codes[self.positions]
        codes[self.positions] = (self.old & self.keep) | self.add


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
        self._references, self._store, self._failed = references, store, failed
        # Of zeros that nobody has written to, a large array takes no memory.
        self._codes = np.zeros(references.ink.shape, dtype=np.uint8)
        #: The same, laid flat.
        self.codes: Codes = self._codes.reshape(-1)
        self._early: list[_Turned] = []
        self._known = store.blank
        self._writable = True
        self.shape: tuple[int, ...] = self._codes.shape
        references.origin = self
        history.accompany(references.layer, self.follow)
        if not self._known:
            in_background(self._read, self._take, self._give_up)

    def stays(self, axis: int, index: int) -> npt.NDArray[np.bool_]:
        """Return which background of a slice did not come with the slice being made whole alone.

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
        return np.asarray((codes & ~np.uint8(_along(axis))) != _UNKNOWN)

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
        filling = self._references.filling
        bit = np.uint8(_along(self._references.axis) if filling else _BY_HAND)
        background = self._references.ink.reshape(-1)[positions] == BACKGROUND
        add = background * bit
        keep = background * np.uint8(255) if filling else np.zeros_like(add)
        return self._turn(positions, keep, add)

    def made_whole(self, axis: int, index: int) -> list[_Turned]:
        """Return what goes with a slice being made whole besides `follow`, to be done with it.

        Its background counts as said along this axis too, also where it was there before.
        """
        background = self._references.slice_ink(index) == BACKGROUND
        positions = slice_places(self.shape, axis, index, background)
        keep: Codes = np.full(positions.size, 255, dtype=np.uint8)
        return self._turn(positions, keep, np.full_like(keep, _along(axis)), later=True)

    def opened(self, axis: int, index: int) -> list[_Turned]:
        """Return what goes with a slice being taken from the references, to be done with it."""
        codes = np.moveaxis(self._codes, axis, 0)[index]
        positions = slice_places(self.shape, axis, index, (codes & _along(axis)) != 0)
        keep: Codes = np.full(positions.size, 255 - _along(axis), dtype=np.uint8)
        return self._turn(positions, keep, np.zeros_like(keep), later=True)

    def expect(self, step: _Turned) -> None:
        """Do a step again on the codes that are still being read, when they have been."""
        if not self._known and step not in self._early:
            self._early.append(step)

    def changed(self) -> None:
        """Let the codes be saved."""
        self._references.look_at(self._references.current_slice())

    def _turn(
        self, positions: Positions, keep: Codes, add: Codes, later: bool = False
    ) -> list[_Turned]:
        if self._known:  # else it shows later what changes
            old = self.codes[positions]
            turned = ((old & keep) | add) != old
            if not turned.all():
                positions, keep, add = positions[turned], keep[turned], add[turned]
        if not positions.size:
            return []
        step = _Turned(self, positions, keep, add)
        if not later:
            # What follows each change, such as the panel's counts, follows the step itself.
            step.do()
            self._references.serial += 1
        return [step]

    def save(self) -> int:
        """Write what changed; for the autosave thread. Returns the number of slices."""
        return self._store.save(self) if self._known and self._writable else 0

    def __getitem__(self, index: int, /) -> Codes:
        """Return a slice as it is kept: as ink, which says nothing of most voxels."""
        codes = self._codes[index]
        return np.where(codes == _UNKNOWN, np.uint8(NOT_ANNOTATED), codes).astype(np.uint8)

    def _read(self) -> tuple[Codes, Exception | None]:
        """Return what is on the disk, and why that is not all."""
        try:
            return self._found(), None
        except ProjectError as error:
            # No labels are lost with these; but what cannot be read would stop all later saves.
            # Without a damaged base the journal still tells of the slices that it holds.
            for kind in ("npy", "journal"):
                for path in self._store.folder.glob(f"{self._store.name}.*.{kind}"):
                    path.replace(path.with_name(path.name + ".damaged"))
                with contextlib.suppress(ProjectError):
                    return self._found(), error
            raise

    def _found(self) -> Codes:
        stored, found = self._store.stored(), np.zeros(self.shape, dtype=np.uint8)
        for index in range(self.shape[0]):
            kept = stored[index]
            if kept is not None and (kept != NOT_ANNOTATED).any():
                found[index] = np.where(kept == NOT_ANNOTATED, _UNKNOWN, kept)
        return found

    def _take(self, read: tuple[Codes, Exception | None]) -> None:
        """Take what was read, and do on it what was done meanwhile."""
        found, error = read
        laid_flat = found.reshape(-1)
        for step in self._early:
            if step.done:
                step.write(laid_flat)
        self._codes, self.codes = found, laid_flat  # copying would hold the window up
        self._early, self._known = [], True
        if error is not None:
            self._tell(error)

    def _give_up(self, error: Exception) -> None:
        """Go on without; what is on the disk and cannot be put aside is not written to."""
        self._early, self._known, self._writable = [], True, False
        self._tell(error)

    def _tell(self, error: Exception) -> None:
        self._failed(
            ProjectError(
                "Not all of what tells which background you painted by hand could be read, so that "
                f"may go when you take its slice from the references. ({error})"
            )
        )
