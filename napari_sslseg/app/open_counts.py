"""What is still open in each proposal, counted in a thread, one proposal at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from psygnal import Signal

from .background import in_background
from .proposal_layer import OpenCount, ProposalLayer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


#: Seconds for which a count rests at most, for a user who goes on acting.
MOST_REST = 3.0

_LOOK_AGAIN = 0.05


class OpenCounts:
    """The newest count of each proposal."""

    counted = Signal(str)
    """A proposal was counted: its slug."""
    failed = Signal(object)
    """Counting failed: the error."""
    stale = Signal()
    """A count was asked for while another ran, which is over now."""

    def __init__(self) -> None:
        self._found: dict[str, OpenCount] = {}
        # One at a time: the processor is the trainer's and the viewer's too.
        self._busy = self._again = self._closed = False
        #: Whether the user acts just now, whose frames are to be drawn first.
        self.acting: Callable[[], bool] = lambda: False

    def of(self, slug: str, axis: int) -> OpenCount | None:
        """Return the count of a proposal by slices along an axis, None while there is none."""
        found = self._found.get(slug)
        return found if found is not None and found.axis == axis else None

    def ask(self, slug: str, layer: ProposalLayer, axis: int, ink: npt.NDArray[np.uint8]) -> None:
        """Count a proposal; while one is being counted, `stale` tells when to ask again.

        Parameters
        ----------
        slug : str
        layer : ProposalLayer
        axis : int
            Slicing axis.
        ink : ndarray of uint8
            What References hold: where there is ink, nothing is open.
        """
        if self._busy or self._closed:
            self._again = True
            return
        self._busy = True

        def done(result: OpenCount) -> None:
            if not self._closed:
                self._found[slug] = result
                self.counted.emit(slug)
                self._over()

        def failed(error: Exception) -> None:
            self.failed.emit(error)
            self._over()

        in_background(lambda: layer.count_open(axis, ink, self._rests()), done, failed)

    def close(self) -> None:
        """Tell nothing more."""
        self._closed = True

    def _rests(self) -> Callable[[], None]:
        """Return what a count calls between slabs: it waits while the user acts."""
        left = MOST_REST

        def rest() -> None:
            nonlocal left
            while left > 0 and not self._closed and self.acting():
                time.sleep(_LOOK_AGAIN)
                left -= _LOOK_AGAIN

        return rest

    def _over(self) -> None:
        self._busy = False
        if self._again and not self._closed:
            self._again = False
            self.stale.emit()
