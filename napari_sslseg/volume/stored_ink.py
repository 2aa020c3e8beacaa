"""Ink looked at slice by slice, as it lies on the disk or is made when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .annotation import Ink, merge_ink


class LazyInk(Protocol):
    """Ink whose slices along the first axis are made when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the volume."""

    def __getitem__(self, index: int, /) -> Ink:
        """Return a slice."""


@dataclass(frozen=True)
class StoredInk:
    """Ink as it was last saved, slice by slice along the first axis.

    Parameters
    ----------
    shape : tuple of int
    base : ndarray of uint8, or None
        All slices, memory-mapped; None when only single slices were ever saved.
    changed : dict of int to ndarray
        Slices saved since.
    """

    shape: tuple[int, ...]
    base: Ink | None
    changed: dict[int, Ink]

    def __getitem__(self, index: int) -> Ink | None:
        """Return a slice, None where nothing was ever stated; not to be written to."""
        if index in self.changed:
            return self.changed[index]
        return None if self.base is None else self.base[index]


@dataclass(frozen=True)
class JoinedInk:
    """Ink from several stores slice by slice; where several speak, the first one counts."""

    parts: Sequence[StoredInk]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the volume."""
        return self.parts[0].shape

    def __getitem__(self, index: int) -> Ink | None:
        """Return a slice along the first axis, None where nothing was ever stated."""
        spoken = [s for part in self.parts if (s := part[index]) is not None]
        return merge_ink(spoken[0], spoken[1:]) if len(spoken) > 1 else next(iter(spoken), None)
