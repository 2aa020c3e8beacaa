"""How likely a proposed voxel is right: a small calibrated model of what is known about it.

The probability that a method gives its winning class says little about how often it wins rightly:
labels that are carried through a volume keep their certainty, and a network that was trained on
them shares their mistakes. What tells is taken together here: how sure both predictions are and
whether they agree, how alike the surroundings are labelled, how far the border of the proposal is,
what the neighbouring inked slices show at this place, and how far away they are. A small
perceptron turns that into the chance of being right (trained with the log loss, a proper scoring
rule, so that it is calibrated on volumes like those it was fitted to).

The weights come from ``benchmarks/fit_confidence.py``. They are the same for all volumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor, nn

from .check_point import check_point
from .shape_prior import signed_distances
from .working_region import within_reach

#: Distance (pixels) from the proposed or inked objects within which confidence is estimated;
#: farther away the proposal's own probability stands.
REACH = 5

#: Distances count up to this many pixels.
_FAR = 15.0

#: Evidence of every voxel, in this order; the last three only with a network.
MATCHING_EVIDENCE = (
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
NETWORK_EVIDENCE = (*MATCHING_EVIDENCE, "network", "network_certainty", "agree")

#: Evidence that can only speak for the proposal.
SUPPORTING = frozenset(
    (
        "proposed",
        "matched",
        "reads_agree",
        "smooth_5_5_5",
        "smooth_3_9_9",
        "border",
        "nearer_shape",
        "other_shape",
        "between_inked",
        "network",
        "agree",
    )
)

WEIGHTS = Path(__file__).with_name("confidence.safetensors")


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


class ConfidenceModel(nn.Module):
    """Perceptron from standardised evidence to the log odds of being right.

    It can only rise with the evidence of `SUPPORTING`: what no volume of the fit has shown, such as
    a network that contradicts everything, must not make it surer. Their weights into the first
    layer, and all weights after it, count by their absolute values.

    Parameters
    ----------
    names : sequence of str
        Kinds of evidence, in order.
    hidden : int
    """

    mean: Tensor
    scale: Tensor
    rising: Tensor

    def __init__(self, names: Sequence[str], hidden: int = 24) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(names)))
        self.register_buffer("scale", torch.ones(len(names)))
        rising = torch.tensor([name in SUPPORTING for name in names])
        self.register_buffer("rising", rising, persistent=False)
        self.first = nn.Linear(len(names), hidden)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 1)

    def forward(self, evidence: Tensor) -> Tensor:
        """Return the log odds (N,) of being right, of rows of evidence (N, inputs) float32.

        Evidence counts up to three standard deviations from its mean, no farther.
        """
        # Beyond what was fitted nothing is known, so nothing is extrapolated.
        rows = ((evidence - self.mean) / self.scale).clamp(-3, 3)
        weight = torch.where(self.rising, self.first.weight.abs(), self.first.weight)
        rows = F.linear(rows, weight, self.first.bias).tanh()
        rows = F.linear(rows, self.second.weight.abs(), self.second.bias).tanh()
        return F.linear(rows, self.last.weight.abs(), self.last.bias)[:, 0]


@cache
def load_model(with_network: bool) -> ConfidenceModel:
    """Return the fitted model, in evaluation mode on the processor; always the same object.

    Parameters
    ----------
    with_network : bool
        Whether it takes `NETWORK_EVIDENCE` or `MATCHING_EVIDENCE`.
    """
    from safetensors.torch import load_file

    prefix = "network." if with_network else "matching."
    names = NETWORK_EVIDENCE if with_network else MATCHING_EVIDENCE
    model = ConfidenceModel(names)
    state = load_file(WEIGHTS)
    model.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    )
    return model.eval()


def estimate_confidence(known: Predictions) -> Tensor:
    """Return the chance that each proposed class is right.

    Parameters
    ----------
    known : Predictions
        Of at least one slice.

    Returns
    -------
    Tensor, (Z, H, W)
        float32 in [0, 1]. In inked slices, and farther than `REACH` pixels from all objects, it is
        the probability of the proposed class; everywhere if `known` is calibrated.
    """
    return torch.stack(list(confidence_slices(known)))


def confidence_slices(known: Predictions) -> Iterator[Tensor]:
    """Yield what `estimate_confidence` returns, (H, W), slice by slice, for volumes of any size."""
    if known.calibrated:
        yield from (proposed.float().amax(0) for proposed in known.proposed)
        return
    model = load_model(known.network is not None)
    window = _window(known)
    found = evidence(_cropped(known, *window))
    upcoming = next(found, None)
    for z in range(len(known.proposed)):
        check_point()
        result = known.proposed[z].float().amax(0)
        if upcoming is not None and upcoming[0] == z:
            _, near, rows = upcoming
            with torch.no_grad():
                result[window][near] = model(rows).sigmoid()
            upcoming = next(found, None)
        yield result


def _window(known: Predictions) -> tuple[slice, slice]:
    """Rows and columns around all objects: distances need not be measured in the whole slice."""
    shown = torch.zeros(known.proposed.shape[-2:], dtype=torch.bool, device=known.proposed.device)
    for proposed in known.proposed:
        shown |= proposed.float().max(0).indices > 0
    for z in known.inked:
        shown |= known.matched[z].float().max(0).indices > 0
    result = []
    for used in (shown.any(1), shown.any(0)):
        where = torch.nonzero(used).flatten()
        low, high = (int(where[0]), int(where[-1])) if len(where) else (0, 0)
        border = REACH + int(_FAR)
        result.append(slice(max(0, low - border), min(len(used), high + border + 1)))
    return result[0], result[1]


def _cropped(known: Predictions, rows: slice, columns: slice) -> Predictions:
    return Predictions(
        known.proposed[..., rows, columns],
        known.matched[..., rows, columns],
        known.reads[..., rows, columns],
        known.inked,
        None if known.network is None else known.network[..., rows, columns],
    )


def evidence(known: Predictions) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield the evidence of each slice without ink; slices without any object nearby are left out.

    Parameters
    ----------
    known : Predictions
        With at least one inked slice.

    Yields
    ------
    slice : int
    near : Tensor, (H, W)
        bool: pixels near a proposed object, or on one that the nearest inked slices show.
    rows : Tensor, (N, F)
        float32, a row for each of these pixels. Columns are those of `NETWORK_EVIDENCE`, or of
        `MATCHING_EVIDENCE` without a network.
    """
    classes = known.proposed.shape[1]
    inked = sorted(known.inked)
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
        columns = [
            _log_odds(best[near]),
            _log_odds(matched.gather(1, label[:, None])[:, 0]),
            _log_odds(known.reads[z][near].float()),
            _log_odds(_surroundings(known.proposed, z, own, 2, 2)[near]),
            _log_odds(_surroundings(known.proposed, z, own, 1, 4)[near]),
            _border_distance(own)[near],
            nearer.clamp(-_FAR, _FAR),
            other.clamp(-_FAR, _FAR),
            torch.full_like(nearer, float(np.log1p(abs(ends[0] - z)))),
            torch.full_like(nearer, float(len(ends) == 2)),
            torch.full_like(nearer, common),
            (label > 0).float(),
        ]
        if known.network is not None:
            network = known.network[z].float().permute(1, 2, 0)[near]
            certainty, other_label = network.max(1)
            columns += [
                _log_odds(network.gather(1, label[:, None])[:, 0]),
                _log_odds(certainty),
                (other_label == label).float(),
            ]
        yield z, near, torch.stack(columns, 1)


def _log_odds(chance: Tensor) -> Tensor:
    return ((chance + 2e-3) / (1 - chance + 2e-3)).log()


def _surroundings(probabilities: Tensor, z: int, own: Tensor, slices: int, pixels: int) -> Tensor:
    """Mean probability of each pixel's own class in a box around it, (H, W)."""
    low, high = max(0, z - slices), min(len(probabilities), z + slices + 1)
    mean = probabilities[low:high].float().mean(0)
    mean = F.avg_pool2d(mean[None], 2 * pixels + 1, 1, pixels, count_include_pad=False)[0]
    return mean.gather(0, own[None])[0]


def _border_distance(labels: Tensor) -> Tensor:
    """Distance (pixels) to the nearest change of label, (H, W), at most `_FAR`."""
    host = labels.cpu().numpy()
    edge = np.zeros(host.shape, dtype=bool)
    rows, columns = host[1:] != host[:-1], host[:, 1:] != host[:, :-1]
    edge[1:] |= rows
    edge[:-1] |= rows
    edge[:, 1:] |= columns
    edge[:, :-1] |= columns
    if not edge.any():
        return torch.full(host.shape, _FAR)
    distance = ndimage.distance_transform_edt(~edge).astype(np.float32)
    return torch.from_numpy(np.minimum(distance, _FAR))
