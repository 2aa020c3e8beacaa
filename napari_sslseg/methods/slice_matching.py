"""Match a slice with its neighbour: a coarse-to-fine displacement, then a windowed soft read.

The displacement takes the motion out, so that a small window suffices however far a structure
moves. It is found by block matching of descriptors: at each level of a pyramid the squared
distances to a few shifts form a cost volume, smoothed in the plane so that neighbours move
together, and the mean shift under its softmax is added (discrete registration with a filtered
cost volume, after Heinrich, Papiez, Schnabel & Handels, WBIR 2014). What is left is resolved by
a softmax-weighted read in a window around the displaced position, the soft form of the reference
matching of Seibold et al. (AAAI 2022) and of label propagation in video.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from . import slice_batches
from .check_point import check_point
from .gaussian_blur import gaussian_blur

#: Pixels of ten descriptors that stay in the second cache of a core together with those that they
#: are compared with and the differences: 1 MB.
_BAND = 8192

#: A band has this many rows at least: the windows reach beyond it.
_FEWEST_ROWS = 8


@dataclass(frozen=True)
class MatchSettings:
    """How two slices are matched. Distances are in the units of `slice_features`."""

    levels: int = 3
    """Pyramid levels of the displacement; each halves the resolution."""
    searched_levels: int = 2
    """Coarsest levels that are searched: what is finer than that is left to the read."""
    search_radius: int = 2
    """Shifts tried at each level, in pixels of the level."""
    search_temperature: float = 0.05
    """Softmax temperature of the search."""
    search_penalty: float = 0.1
    """Log weight lost for each squared pixel of a shift: prefers small steps."""
    cost_smoothing: float = 2.0
    """Standard deviation (pixels of the level) of the Gaussian over the cost volume."""
    flow_smoothing: float = 2.0
    """Standard deviation (pixels of the level) of the Gaussian over the displacement."""
    read_radius: int = 2
    """Radius of the window that labels are read from, in pixels."""
    read_temperature: float = 0.03
    """Softmax temperature of the read."""
    read_penalty: float = 0.06
    """Log weight lost for each squared pixel in the read's window."""


@dataclass(frozen=True)
class Window:
    """Offsets (row, column) that are looked at around a pixel: those within a disc.

    Where starting an operation is what costs, those of the whole square, which can be looked at in
    a few operations; what lies outside of the disc gets no weight then.
    """

    radius: int
    offsets: list[tuple[int, int]]
    shifts: torch.Tensor
    """(N, 2) the same as floats."""
    bias: torch.Tensor
    """(N,) log weight: falls with the squared distance."""

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
        return Window(radius, square, shifts.to(device), bias.to(device))


@dataclass
class Match:
    """How to carry values from a key slice to a query slice."""

    flow: torch.Tensor
    """(2, H, W) displacement (row, column) in pixels: query p looks at key p + flow."""
    places: torch.Tensor
    """(H, W, 2) the same as places to sample at, see `places_of`."""
    weights: torch.Tensor
    """(N, H, W) weights of the window's offsets, sum 1."""
    cost: torch.Tensor
    """(H, W) expected squared descriptor distance of the read, smoothed by a pixel."""
    window: Window

    def carry(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the key slice, carried to the query slice.

        Parameters
        ----------
        values : (C, H, W) float32 tensor
            Of the size of the slices that were matched.

        Returns
        -------
        (C, H, W) tensor
            Weighted means of the values in each pixel's window, edges repeated.
        """
        moved = _sample(values[None], self.places[None])
        _, height, width = values.shape
        r = self.window.radius
        padded = F.pad(moved, (r, r, r, r), mode="replicate")[0]
        if slice_batches.launches_dominate(values.device):
            return read_at_once(padded, self.weights)
        result = torch.zeros_like(values)
        for weight, (y, x) in zip(self.weights, self.window.offsets, strict=True):
            result.addcmul_(weight, padded[:, r + y : r + y + height, r + x : r + x + width])
        return result


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


def warp(values: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Sample values at every pixel plus its flow, bilinearly, edges repeated.

    Parameters
    ----------
    values : (B, C, H, W) float tensor
    flow : (B, 2, H, W) float tensor
        Row and column, pixels.

    Returns
    -------
    (B, C, H, W) tensor
    """
    return _sample(values, places_of(flow))


def _sample(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(values, places, padding_mode="border", align_corners=True)


def places_of(flow: torch.Tensor) -> torch.Tensor:
    """Return where every pixel plus its flow lies, for `torch.nn.functional.grid_sample`.

    Parameters
    ----------
    flow : (B, 2, H, W) float tensor
        Row and column, pixels.

    Returns
    -------
    (B, H, W, 2) tensor
        Column and row, -1 and 1 being the middles of the first and the last pixel (aligned
        corners).
    """
    height, width = flow.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 0]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)[None, :] + flow[:, 1]
    return torch.stack(
        (columns * (2 / max(width - 1, 1)) - 1, rows * (2 / max(height - 1, 1)) - 1), -1
    )


def pyramid(features: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Halve descriptors repeatedly by averaging; a last odd row or column is kept.

    Parameters
    ----------
    features : (B, D, H, W) float tensor
    levels : int
        Most levels; there are fewer where sides would fall below 4 pixels.

    Returns
    -------
    list of Tensor
        The finest first, which is `features`.
    """
    result = [features]
    while len(result) < levels and min(result[-1].shape[-2:]) >= 8:
        result.append(F.avg_pool2d(result[-1], 2, ceil_mode=True))
    return result


def match_pairs(
    query: list[torch.Tensor], key: list[torch.Tensor], settings: MatchSettings
) -> list[Match]:
    """Match query slices with key slices, pair by pair.

    Parameters
    ----------
    query, key : list of (B, D, H, W) tensors
        Pyramids of descriptors, see `pyramid`.
    settings : MatchSettings

    Returns
    -------
    list of Match
        One a pair.
    """
    pairs, device = query[0].shape[0], query[0].device
    flow = torch.zeros((pairs, 2, *query[-1].shape[-2:]), device=device)
    whole = slice_batches.launches_dominate(device)
    search = Window.of(settings.search_radius, settings.search_penalty, device, whole)
    for level in range(len(query) - 1, max(-1, len(query) - 1 - settings.searched_levels), -1):
        size = query[level].shape[-2:]
        if flow.shape[-2:] != size:
            flow = 2 * F.interpolate(flow, size, mode="bilinear", align_corners=False)
        moved = warp(key[level], flow) if level < len(query) - 1 else key[level]
        cost = _search_costs(query[level], moved, search)
        cost = gaussian_blur(cost, settings.cost_smoothing)
        weights = _soft(cost, search, settings.search_temperature)
        flow = flow + torch.einsum("bnhw,nc->bchw", weights, search.shifts)
        flow = gaussian_blur(flow, settings.flow_smoothing)
    height, width = query[0].shape[-2:]
    if flow.shape[-2:] != (height, width):
        scale = [round(height / flow.shape[-2]), round(width / flow.shape[-1])]
        flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
        flow = torch.stack((flow[:, 0] * scale[0], flow[:, 1] * scale[1]), 1)
    places = places_of(flow)
    read = Window.of(settings.read_radius, settings.read_penalty, device, whole)
    weights, cost = _soft_read(query[0], _sample(key[0], places), read, settings.read_temperature)
    expected = gaussian_blur(cost, 1.0)[:, 0]
    return [Match(flow[i], places[i], weights[i], expected[i], read) for i in range(pairs)]


def _soft_read(
    query: torch.Tensor, key: torch.Tensor, window: Window, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights (B, N, H, W) of a read, and what it costs (B, 1, H, W)."""
    pairs, _, height, width = query.shape
    weights = query.new_empty((pairs, len(window.offsets), height, width))
    expected = query.new_empty((pairs, 1, height, width))
    padded = _padded(key, window)
    for rows in _bands(query):
        cost = _costs(query[:, :, rows], _band(padded, rows, window), window)
        soft = _soft(cost, window, temperature)
        weights[:, :, rows] = soft
        torch.sum(cost.mul_(soft), 1, keepdim=True, out=expected[:, :, rows])
    return weights, expected


def _search_costs(query: torch.Tensor, key: torch.Tensor, window: Window) -> torch.Tensor:
    """Squared distances (B, N, H, W) of every query pixel to the key pixels of its window."""
    padded = _padded(key, window)
    bands = [_costs(query[:, :, r], _band(padded, r, window), window) for r in _bands(query)]
    return bands[0] if len(bands) == 1 else torch.cat(bands, 2)


def _padded(key: torch.Tensor, window: Window) -> torch.Tensor:
    r = window.radius
    return F.pad(key, (r, r, r, r), mode="replicate")


def _bands(query: torch.Tensor) -> list[slice]:
    """Rows that are worked on together: on a processor as many as stay in its caches."""
    height, width = query.shape[-2:]
    whole = slice_batches.launches_dominate(query.device)
    rows = height if whole else max(_FEWEST_ROWS, _BAND // width)
    return [slice(start, min(start + rows, height)) for start in range(0, height, rows)]


def _band(padded: torch.Tensor, rows: slice, window: Window) -> torch.Tensor:
    """Return what the windows of some rows reach of a padded key."""
    return padded[:, :, rows.start : rows.stop + 2 * window.radius]


def _costs(query: torch.Tensor, padded: torch.Tensor, window: Window) -> torch.Tensor:
    """Squared distances (B, N, H, W) of every query pixel to the padded key pixels around it."""
    pairs, _, height, width = query.shape
    r = window.radius
    result = query.new_empty((pairs, len(window.offsets), height, width))
    if slice_batches.launches_dominate(query.device):
        shifted = padded.unfold(2, height, 1).unfold(3, width, 1)
        for row, costs in enumerate(result.split(2 * r + 1, 1)):
            check_point()
            difference = query[:, :, None] - shifted[:, :, row]
            torch.sum(difference.square_(), 1, out=costs)
        return result
    check_point()
    # One piece of memory for all differences: fresh pages would take as long as the arithmetic.
    difference = torch.empty_like(query, memory_format=torch.contiguous_format)
    for i, (y, x) in enumerate(window.offsets):
        shifted = padded[..., r + y : r + y + height, r + x : r + x + width]
        torch.sub(query, shifted, out=difference)
        torch.sum(difference.square_(), 1, out=result[:, i])
    return result


def _soft(cost: torch.Tensor, window: Window, temperature: float) -> torch.Tensor:
    return torch.softmax(torch.add(window.bias[:, None, None], cost, alpha=-1 / temperature), 1)
