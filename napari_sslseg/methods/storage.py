"""Where the large arrays of a volume are kept: in memory, or wherever the caller has room."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Protocol

import torch


class Slices(Protocol):
    """Images of slices that are made when they are asked for; a tensor is one such source."""

    @property
    def shape(self) -> Any:
        """(Z, C, H, W)."""

    def __getitem__(self, index: Any, /) -> torch.Tensor:
        """Return slices as float tensors, as a tensor of the whole would."""


class Storage(Protocol):
    """Keeps arrays that have a value for every voxel."""

    #: Type of probabilities and the like.
    precision: torch.dtype

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Return an array of zeros, whose room is free again when nothing refers to it.

        Parameters
        ----------
        shape
            Of the array.
        dtype
            `precision`, float32 or uint8.
        """

    def copy(self, source: torch.Tensor) -> torch.Tensor:
        """Return a copy, in this storage, of an array of one of the types of `zeros`."""

    def slices_in_memory(self, bytes_each: int) -> int:
        """Return how many slices of so many bytes each all threads together may hold, 0 or more."""

    def release(self) -> None:
        """Give back the memory of what has been looked at; nothing is lost."""


class InMemory:
    """A `Storage` of tensors as they are, for what the memory holds as a whole."""

    precision = torch.float32

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """Return zeros."""
        return torch.zeros(tuple(shape), dtype=dtype)

    def copy(self, source: torch.Tensor) -> torch.Tensor:
        """Return a copy."""
        return source.clone()

    def slices_in_memory(self, bytes_each: int) -> int:
        """Return as many as anybody may ask for."""
        return sys.maxsize

    def release(self) -> None:
        """Keep everything."""
