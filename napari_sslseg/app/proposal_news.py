"""What the newest version of each proposal changed, slice by slice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..editing.agreement import differing

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt


class ProposalNews(dict[str, "tuple[int, npt.NDArray[np.int64]]"]):
    """By proposal: a slicing axis, and the voxels that are new in each slice along it."""

    def __init__(self) -> None:
        super().__init__()
        self._counted: dict[str, tuple[int, npt.NDArray[np.int64]]] = {}

    def count(
        self, slug: str, axis: int, old: npt.NDArray[np.uint8], new: npt.NDArray[np.uint8]
    ) -> None:
        """Compare a version that is to be shown with the one before; safe in a worker thread."""
        self._counted[slug] = (axis, differing(old, new, axis))

    def arrived(self, slug: str, axis: int, known: Iterable[int]) -> None:
        """Take note that the version is shown.

        Parameters
        ----------
        slug : str
        axis : int
            Slicing axis now.
        known : iterable of int
            Slices of which the user has said all: nothing there is news.
        """
        counted_along, counts = self._counted.pop(slug, (0, None))
        if counts is None:
            return
        if counted_along == axis:
            counts[list(known)] = 0
        # Later in a round a version may come with new regions for the same classes.
        if counts.any():
            self[slug] = (counted_along, counts)
