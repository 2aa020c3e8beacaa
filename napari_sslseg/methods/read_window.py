"""Windows that are looked at around the pixels of a slice, and reads from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from . import slice_batches
from .check_point import check_point
from .compiled_read import window_costs, window_read


@dataclass(frozen=True)
class Window:
    """Offsets (row, column) that are looked at around a pixel: those within a disc.

    On what is no processor those of the whole square, which can be looked at in a few operations;
    what lies outside of the disc gets no weight then.
    """

    radius: int
    shifts: torch.Tensor
    """(N, 2) the offsets as floats."""
    bias: torch.Tensor
    """(N,) log weight: falls with the squared distance."""
    places: NDArray[np.int64]
    """(N, 2) the offsets, from 0 to twice the radius."""

    @staticmethod
    @lru_cache
    def of(radius: int, penalty: float, device: torch.device, whole: bool) -> Window:
        """Return a window; of the same parameters always the same one.

        Parameters
        ----------
        radius : int
            In pixels.
        penalty : float
            Log weight lost for each squared pixel of an offset.
        device : torch.device
            Of the tensors.
        whole : bool
            Take the offsets of the whole square; those outside of the disc weigh nothing.
        """
        span = range(-radius, radius + 1)
        square = [(y, x) for y in span for x in span]
        outside = [y * y + x * x > (radius + 0.5) ** 2 for y, x in square]
        if not whole:
            square = [o for o, out in zip(square, outside, strict=True) if not out]
        shifts = torch.tensor(square, dtype=torch.float32)
        bias = -penalty * shifts.square().sum(1)
        if whole:
            bias[torch.tensor(outside)] = -math.inf
        places = np.array(square, np.int64) + radius
        return Window(radius, shifts.to(device), bias.to(device), places)


class Read(Protocol):
    """How values are read from a slice that was moved onto another one."""

    def __call__(self, moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return means of values in each pixel's window, and what the read costs.

        Parameters
        ----------
        moved : (C, H + 2 r, W + 2 r) tensor
            The values, with r more at each edge.

        Returns
        -------
        values : (C, H, W) tensor
        cost : (H, W) tensor
            Expected squared descriptor distance of the read.
        """


@dataclass
class CompiledRead:
    """A read that is computed as a whole when values are there, on a processor."""

    query: torch.Tensor
    """(D, H, W) descriptors."""
    moved: torch.Tensor
    """(D, H + 2 r, W + 2 r) those of the other slice, moved onto it."""
    window: Window
    temperature: float

    def __call__(self, moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read, see `Read`."""
        window = self.window
        return window_read(
            self.query, self.moved, moved, window.places, window.bias.numpy(), self.temperature
        )


@dataclass
class WeightedRead:
    """A read whose weights were computed before, together with those of many other slices."""

    weights: torch.Tensor
    """(N, H, W) weights of the window's offsets, sum 1."""
    cost: torch.Tensor
    """(H, W)."""

    def __call__(self, moved: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read, see `Read`."""
        return read_at_once(moved, self.weights), self.cost


def read_at_once(padded: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Read values from a window in few operations, whose start is what costs on a GPU.

    Parameters
    ----------
    padded : (C, H + 2 r, W + 2 r) float tensor
        The values, with r more at each edge.
    weights : (N, H, W) float tensor
        Of all the ``N = (2 r + 1) ** 2`` offsets of the square, in row-major order.

    Returns
    -------
    (C, H, W) tensor
    """
    height, width = weights.shape[-2:]
    shifted = padded.unfold(1, height, 1).unfold(2, width, 1)
    return (shifted * weights.view(1, *shifted.shape[1:])).sum((1, 2))


def padded(maps: torch.Tensor, window: Window) -> torch.Tensor:
    """Return maps (B, D, H, W) with a window's radius more at each edge, edges repeated."""
    r = window.radius
    return F.pad(maps, (r, r, r, r), mode="replicate")


def costs_in(window: Window, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """Return how much every pixel differs from those in its window.

    Parameters
    ----------
    window : Window
    query : (B, D, H, W) float tensor
        Descriptors.
    key : (B, D, H + 2 r, W + 2 r) float tensor
        Those of the other slices, see `padded`.

    Returns
    -------
    (B, N, H, W) tensor
        Squared distances.
    """
    check_point()
    if not slice_batches.launches_dominate(query.device):
        pairs = zip(query, key, strict=True)
        return torch.stack([window_costs(q, k, window.places) for q, k in pairs])
    batch, _, height, width = query.shape
    size = 2 * window.radius + 1
    result = query.new_empty((batch, size * size, height, width))
    shifted = key.unfold(2, height, 1).unfold(3, width, 1)
    for row, costs in enumerate(result.split(size, 1)):
        difference = query[:, :, None] - shifted[:, :, row]
        torch.sum(difference.square_(), 1, out=costs)
    return result


def soft_weights(window: Window, cost: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the weights (B, N, H, W) of offsets of given costs (B, N, H, W); their sum is 1."""
    return torch.softmax(torch.add(window.bias[:, None, None], cost, alpha=-1 / temperature), 1)
