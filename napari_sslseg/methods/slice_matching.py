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

import torch
import torch.nn.functional as F

from . import slice_batches
from .gaussian_blur import gaussian_blur
from .read_window import CompiledRead, Read, WeightedRead, Window, costs_in, padded, soft_weights


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

    places: torch.Tensor
    """(H + 2 r, W + 2 r, 2) where in the key slice each pixel looks, see `places_of`, those at the
    edges repeated r times."""
    read: Read

    def carry(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return values of the key slice, carried to the query slice, and what that costs.

        Parameters
        ----------
        values : (C, H, W) float32 tensor
            Of the size of the slices that were matched.

        Returns
        -------
        values : (C, H, W) tensor
            Weighted means of the values in each pixel's window, edges repeated.
        cost : (H, W) tensor
            Expected squared descriptor distance of the read, smoothed by a pixel.
        """
        read, cost = self.read(_sample(values[None], self.places[None])[0])
        return read, gaussian_blur(cost[None, None], 1.0)[0, 0]


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
        result.append(_halved(result[-1]))
    return result


def _halved(maps: torch.Tensor) -> torch.Tensor:
    """Average maps (B, D, H, W) over 2 x 2 pixels; a last odd one alone."""
    if slice_batches.launches_dominate(maps.device):
        return F.avg_pool2d(maps, 2, ceil_mode=True)
    # A processor adds rows and columns several times as fast as it pools.
    height, width = maps.shape[-2:]
    if height % 2 or width % 2:
        maps = F.pad(maps, (0, width % 2, 0, height % 2), mode="replicate")
    rows = maps[..., ::2, :] + maps[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)


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
        cost = costs_in(search, query[level], padded(moved, search))
        cost = gaussian_blur(cost, settings.cost_smoothing)
        weights = soft_weights(search, cost, settings.search_temperature)
        flow = flow + torch.einsum("bnhw,nc->bchw", weights, search.shifts)
        flow = gaussian_blur(flow, settings.flow_smoothing)
    height, width = query[0].shape[-2:]
    if flow.shape[-2:] != (height, width):
        scale = [round(height / flow.shape[-2]), round(width / flow.shape[-1])]
        flow = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
        flow = torch.stack((flow[:, 0] * scale[0], flow[:, 1] * scale[1]), 1)
    read = Window.of(settings.read_radius, settings.read_penalty, device, whole)
    # Repeated edges of the few places instead of those of all that is read at them.
    places = padded(places_of(flow).movedim(-1, 1), read).movedim(1, -1)
    moved, reads = _sample(key[0], places), list[Read]()
    if whole:
        cost = costs_in(read, query[0], moved)
        weights = soft_weights(read, cost, settings.read_temperature)
        expected = (weights * cost).sum(1)
        reads += [WeightedRead(weights[i], expected[i]) for i in range(pairs)]
    else:
        for here, there in zip(query[0], moved, strict=True):
            reads.append(CompiledRead(here, there, read, settings.read_temperature))
    return [Match(places[i], reads[i]) for i in range(pairs)]
