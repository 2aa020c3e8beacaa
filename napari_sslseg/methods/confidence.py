"""How likely a proposed voxel is right: a small calibrated model of what is known about it.

The probability that a method gives its winning class says little about how often it wins rightly:
labels that are carried through a volume keep their certainty, and a network that was trained on
them shares their mistakes. What tells is taken together here: how sure both predictions are and
whether they agree, how alike the surroundings are labelled, how far the border of the proposal is,
what the neighbouring inked slices show at this place, and how far away they are
(`voxel_evidence`). A small perceptron turns that into the chance of being right (trained with the
log loss, a proper scoring rule, so that it is calibrated on volumes like those it was fitted to).
Beyond the outermost inked slices another one does: there an object goes on or has ended.

The weights come from ``benchmarks/fit_confidence.py``. They are the same for all volumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .check_point import check_point
from .voxel_evidence import EVIDENCE, FAR, REACH, Kind, Predictions, evidence

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
def load_model(kind: Kind) -> ConfidenceModel:
    """Return the model fitted to a kind of evidence, on the processor; always the same object."""
    from safetensors.torch import load_file

    prefix = f"{kind}."
    model = ConfidenceModel(EVIDENCE[kind])
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
    window = _window(known)
    found = evidence(_cropped(known, *window))
    upcoming = next(found, None)
    for z in range(len(known.proposed)):
        check_point()
        result = known.proposed[z].float().amax(0)
        if upcoming is not None and upcoming.slice == z:
            with torch.no_grad():
                chance = load_model(upcoming.kind)(upcoming.rows).sigmoid()
            result[window][upcoming.near] = chance
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
        border = REACH + int(FAR)
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
