"""What is known about a proposed voxel that tells how likely it is right.

Evidence is gathered slice by slice: how sure the predictions are and whether they agree, how alike
the surroundings are labelled, how far the border of the proposal is, what the neighbouring inked
slices show at this place, and how far away they are. `confidence` turns it into a chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from .shape_prior import signed_distances
from .working_region import within_reach

#: Distance (pixels) from the proposed or inked objects within which there is evidence.
REACH = 5

#: Distances count up to this many pixels.
FAR = 15.0

Kind = Literal["matching", "network", "beyond"]
"""Of a slice: inked slices lie on both sides of it, without or with a network; or on one alone."""

_MATCHING = (
    "proposed",
    "matched",
    "reads_agree",
    "smooth_5_5_5",
    "smooth_3_9_9",
    "border",
    "nearer_shape",
    "other_shape",
    "slices_away",
    "between_inked",
    "shapes_alike",
    "foreground",
)

#: Evidence of every voxel, in this order. Beyond the outermost inked slices an object may end: how
#: much of it the nearest one shows, and whether it grows or shrinks towards there, comes in.
EVIDENCE: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        "matching": _MATCHING,
        "network": (*_MATCHING, "network", "network_certainty", "agree"),
        "beyond": (
            *(n for n in _MATCHING if n not in ("other_shape", "between_inked", "shapes_alike")),
            "remaining",
            "trend",
        ),
    }
)


@dataclass
class Predictions:
    """What is known about a volume, slicing axis first; in the memory of the processor.

    Parameters
    ----------
    proposed : Tensor, (Z, K, H, W)
        Probabilities whose winning classes are proposed.
    matched : Tensor, (Z, K, H, W)
        Those of the reference matching.
    reads : Tensor, (Z, H, W)
        Agreement of the matching's reads from either side, in [0, 1].
    inked : list of int
        Slices that labels were carried from; `matched` shows their ink. They are not judged. At
        least one, unless `calibrated`.
    network : Tensor, (Z, K, H, W), or None
        Probabilities of the network.
    calibrated : bool
        Whether the probability of the proposed class is the chance that it is right: of a network
        that has learned from ink alone, and not from propagated labels, whose mistakes it would
        share.
    """

    proposed: Tensor
    matched: Tensor
    reads: Tensor
    inked: list[int]
    network: Tensor | None = None
    calibrated: bool = False


class SliceEvidence(NamedTuple):
    """What is known about the voxels of a slice.

    Attributes
    ----------
    slice : int
    near : Tensor, (H, W)
        bool: pixels near a proposed object, or on one that the nearest inked slices show.
    rows : Tensor, (N, F)
        float32, a row for each of these pixels; columns as `EVIDENCE` names them.
    kind : Kind
    """

    slice: int
    near: Tensor
    rows: Tensor
    kind: Kind


def evidence(known: Predictions) -> Iterator[SliceEvidence]:
    """Yield the evidence of each slice without ink; slices without any object nearby are left out.

    Parameters
    ----------
    known : Predictions
        With at least one inked slice.
    """
    classes = known.proposed.shape[1]
    inked = sorted(known.inked)
    areas = _Areas(known.matched, inked)
    shapes: dict[int, Tensor] = {}
    inside: dict[int, Tensor] = {}
    for z in range(known.proposed.shape[0]):
        if z in known.inked:
            continue
        below = max((i for i in inked if i < z), default=None)
        above = min((i for i in inked if i > z), default=None)
        ends = [i for i in (below, above) if i is not None]
        ends.sort(key=lambda i, z=z: abs(i - z))  # type: ignore[misc]
        # Of the slices on either side alone: distances in all inked ones would fill the memory.
        for i in set(shapes).difference(ends):
            del shapes[i], inside[i]
        for i in set(ends).difference(shapes):
            labels = known.matched[i].float().max(0).indices
            shapes[i], inside[i] = signed_distances(labels, classes), labels > 0
        proposed = known.proposed[z].float()
        best, own = proposed.max(0)
        near = within_reach(own[None] > 0, REACH)[0]
        for i in ends:
            near |= inside[i]
        if not bool(near.any()):
            continue
        label = own[near]
        picked = [shapes[i].permute(1, 2, 0)[near].gather(1, label[:, None])[:, 0] for i in ends]
        nearer, other = picked[0], picked[-1]
        common = 0.0
        if len(ends) == 2:
            both, either = inside[ends[0]] & inside[ends[1]], inside[ends[0]] | inside[ends[1]]
            common = float(both.sum() / either.sum().clamp_min(1))
        matched = known.matched[z].float().permute(1, 2, 0)[near]
        found = {
            "proposed": _log_odds(best[near]),
            "matched": _log_odds(matched.gather(1, label[:, None])[:, 0]),
            "reads_agree": _log_odds(known.reads[z][near].float()),
            "smooth_5_5_5": _log_odds(_surroundings(known.proposed, z, own, 2, 2)[near]),
            "smooth_3_9_9": _log_odds(_surroundings(known.proposed, z, own, 1, 4)[near]),
            "border": _border_distance(own)[near],
            "nearer_shape": nearer.clamp(-FAR, FAR),
            "other_shape": other.clamp(-FAR, FAR),
            "slices_away": torch.full_like(nearer, float(np.log1p(abs(ends[0] - z)))),
            "between_inked": torch.full_like(nearer, float(len(ends) == 2)),
            "shapes_alike": torch.full_like(nearer, common),
            "foreground": (label > 0).float(),
        }
        kind: Kind = "matching"
        if len(ends) == 1 and (known.network is None or len(inked) > 1):
            kind = "beyond"
            found["remaining"], found["trend"] = areas.beyond(ends[0], z)[:, label]
        elif known.network is not None:
            kind = "network"
            network = known.network[z].float().permute(1, 2, 0)[near]
            certainty, other_label = network.max(1)
            found["network"] = _log_odds(network.gather(1, label[:, None])[:, 0])
            found["network_certainty"] = _log_odds(certainty)
            found["agree"] = (other_label == label).float()
        yield SliceEvidence(z, near, torch.stack([found[n] for n in EVIDENCE[kind]], 1), kind)


class _Areas:
    """How much of each class the inked slices show; of class 0, how much of any object."""

    def __init__(self, matched: Tensor, inked: Sequence[int]) -> None:
        self._inked, shown = list(inked), []
        for i in inked:
            labels = matched[i].float().max(0).indices
            counts = torch.bincount(labels.flatten(), minlength=matched.shape[1])
            counts[0] = counts[1:].sum()
            shown.append(counts)
        self._shown = torch.stack(shown).float() + 1

    def beyond(self, end: int, z: int) -> Tensor:
        """Return how much is left at an outermost slice, and what of that is to be expected at z.

        Both (2, K) as logarithms: of the share of what the fullest inked slice shows, and of the
        growth if it goes on as from the inked slice before.
        """
        here = self._inked.index(end)
        inwards = min(here + 1, len(self._inked) - 1) if z < end else max(here - 1, 0)
        remaining = (self._shown[here] / self._shown.max(0).values).log()
        step = abs(self._inked[inwards] - end)
        growth = (self._shown[here] / self._shown[inwards]).log()
        return torch.stack([remaining, growth * abs(z - end) / step if step else growth])


def _log_odds(chance: Tensor) -> Tensor:
    return ((chance + 2e-3) / (1 - chance + 2e-3)).log()


def _surroundings(probabilities: Tensor, z: int, own: Tensor, slices: int, pixels: int) -> Tensor:
    """Mean probability of each pixel's own class in a box around it, (H, W)."""
    low, high = max(0, z - slices), min(len(probabilities), z + slices + 1)
    mean = probabilities[low:high].float().mean(0)
    counts = _box_sum(torch.ones_like(mean[:1]), pixels)
    return (_box_sum(mean, pixels) / counts).gather(0, own[None])[0]


def _box_sum(maps: Tensor, reach: int) -> Tensor:
    """Sum (K, H, W) over the square around each pixel."""
    # Along columns and rows in turn: pooling of the whole square takes five times as long.
    for axis in (1, 2):
        around = [0, 0, reach, reach] if axis == 1 else [reach, reach]
        maps = F.pad(maps, around).unfold(axis, 2 * reach + 1, 1).sum(-1)
    return maps


def _border_distance(labels: Tensor) -> Tensor:
    """Distance (pixels) to the nearest change of label, (H, W), at most `FAR`."""
    host = labels.cpu().numpy()
    edge = np.zeros(host.shape, dtype=bool)
    rows, columns = host[1:] != host[:-1], host[:, 1:] != host[:, :-1]
    edge[1:] |= rows
    edge[:-1] |= rows
    edge[:, 1:] |= columns
    edge[:, :-1] |= columns
    if not edge.any():
        return torch.full(host.shape, FAR)
    distance = ndimage.distance_transform_edt(~edge).astype(np.float32)
    return torch.from_numpy(np.minimum(distance, FAR))
