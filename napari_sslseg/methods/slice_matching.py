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

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from .check_point import check_point
from .slice_features import gaussian_blur


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


@dataclass
class Match:
    """How to carry values from a key slice to a query slice."""

    flow: torch.Tensor
    """(2, H, W) displacement (row, column) in pixels: query p looks at key p + flow."""
    weights: torch.Tensor
    """(N, H, W) weights of the read's offsets, sum 1."""
    cost: torch.Tensor
    """(H, W) expected squared descriptor distance of the read."""
    radius: int

    def carry(self, values: torch.Tensor) -> torch.Tensor:
        """Carry (C, H, W) values of the key slice to the query slice."""
        moved = warp(values, self.flow)
        offsets = window(self.radius)
        _, height, width = values.shape
        r = self.radius
        padded = F.pad(moved[None], (r, r, r, r), mode="replicate")[0]
        if values.device.type != "cpu":
            return read_at_once(padded, self.weights, r)
        result = torch.zeros_like(values)
        for weight, (y, x) in zip(self.weights, offsets, strict=True):
            result.addcmul_(weight, padded[:, r + y : r + y + height, r + x : r + x + width])
        return result


def read_at_once(padded: torch.Tensor, weights: torch.Tensor, radius: int) -> torch.Tensor:
    """Read (C, H, W) values from a window in few operations, whose start is what costs on a GPU.

    `padded` are the values (C, H + 2 r, W + 2 r), `weights` those of `Match`.
    """
    channels, (height, width) = len(padded), weights.shape[-2:]
    shifted = padded.unfold(1, height, 1).unfold(2, width, 1)
    shifted = shifted.reshape(channels, -1, height, width)
    return (shifted[:, _places(radius, weights.device)] * weights).sum(1)


@lru_cache
def _places(radius: int, device: torch.device) -> torch.Tensor:
    """Places of the offsets of `window` in a square that is read row by row."""
    side = 2 * radius + 1
    places = [(y + radius) * side + x + radius for y, x in window(radius)]
    return torch.tensor(places, device=device)


def window(radius: int) -> list[tuple[int, int]]:
    """Offsets (row, column) within a disc."""
    span = range(-radius, radius + 1)
    return [(y, x) for y in span for x in span if y * y + x * x <= (radius + 0.5) ** 2]


def warp(values: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Sample (C, H, W) values at every pixel plus its (2, H, W) flow, edges repeated."""
    return _warp(values[None], flow[None])[0]


def _warp(values: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    height, width = values.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 0]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)[None, :] + flow[:, 1]
    grid = torch.stack(
        (columns * (2 / max(width - 1, 1)) - 1, rows * (2 / max(height - 1, 1)) - 1), -1
    )
    return F.grid_sample(values, grid, padding_mode="border", align_corners=True)


def pyramid(features: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """Halve (D, H, W) descriptors repeatedly; finest first, never below 4 pixels."""
    result = [features]
    while len(result) < levels and min(result[-1].shape[-2:]) >= 8:
        result.append(F.avg_pool2d(result[-1][None], 2, ceil_mode=True)[0])
    return result


def match_slices(
    query: list[torch.Tensor], key: list[torch.Tensor], settings: MatchSettings
) -> Match:
    """Match a query slice with a key slice.

    Parameters
    ----------
    query, key : list of (D, H, W) tensors
        Pyramids of descriptors, see `pyramid`.
    settings : MatchSettings

    Returns
    -------
    Match
    """
    return match_pairs([q[None] for q in query], [k[None] for k in key], settings)[0]


def match_pairs(
    query: list[torch.Tensor], key: list[torch.Tensor], settings: MatchSettings
) -> list[Match]:
    """Match several pairs of slices at once, as `match_slices` does one; for devices to be filled.

    Parameters
    ----------
    query, key : list of (B, D, H, W) tensors
        Pyramids of descriptors; pair by pair.
    settings : MatchSettings

    Returns
    -------
    list of Match
        One a pair.
    """
    pairs = query[0].shape[0]
    flow = torch.zeros((pairs, 2, *query[-1].shape[-2:]), device=query[0].device)
    offsets = window(settings.search_radius)
    shifts = torch.tensor(offsets, dtype=torch.float32, device=flow.device)
    for level in range(len(query) - 1, max(-1, len(query) - 1 - settings.searched_levels), -1):
        size = query[level].shape[-2:]
        if flow.shape[-2:] != size:
            flow = 2 * F.interpolate(flow, size, mode="bilinear", align_corners=False)
        moved = _warp(key[level], flow) if level < len(query) - 1 else key[level]
        cost = _costs(query[level], moved, settings.search_radius)
        cost = gaussian_blur(cost, settings.cost_smoothing)
        weights = _soft(cost, shifts, settings.search_temperature, settings.search_penalty)
        flow = flow + torch.einsum("bnhw,nc->bchw", weights, shifts)
        flow = gaussian_blur(flow, settings.flow_smoothing)
    height, width = query[0].shape[-2:]
    if flow.shape[-2:] != (height, width):
        scale = [round(height / flow.shape[-2]), round(width / flow.shape[-1])]
        flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
        flow = torch.stack((flow[:, 0] * scale[0], flow[:, 1] * scale[1]), 1)
    cost = _costs(query[0], _warp(key[0], flow), settings.read_radius)
    shifts = torch.tensor(window(settings.read_radius), dtype=torch.float32, device=flow.device)
    weights = _soft(cost, shifts, settings.read_temperature, settings.read_penalty)
    expected = cost.mul_(weights).sum(1)
    return [Match(flow[i], weights[i], expected[i], settings.read_radius) for i in range(pairs)]


def _costs(query: torch.Tensor, key: torch.Tensor, radius: int) -> torch.Tensor:
    """Squared distances (B, N, H, W) of every query pixel to the key pixels of its window."""
    pairs, _, height, width = query.shape
    r = radius
    padded = F.pad(key, (r, r, r, r), mode="replicate")
    offsets = window(radius)
    result = torch.empty((pairs, len(offsets), height, width), device=query.device)
    # One piece of memory for all differences: fresh pages would take as long as the arithmetic.
    difference = torch.empty_like(query)
    for i, (y, x) in enumerate(offsets):
        check_point()  # a slice of 512 × 512 takes a tenth of a second
        shifted = padded[..., r + y : r + y + height, r + x : r + x + width]
        torch.sub(query, shifted, out=difference)
        torch.sum(difference.square_(), 1, out=result[:, i])
    return result


def _soft(
    cost: torch.Tensor, shifts: torch.Tensor, temperature: float, penalty: float
) -> torch.Tensor:
    bias = penalty * shifts.square().sum(1)
    return torch.softmax((cost * (-1 / temperature)).sub_(bias[:, None, None]), 1)
