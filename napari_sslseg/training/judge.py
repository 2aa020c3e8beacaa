"""What tells sure voxels from doubtful ones: MetaSSL's regions of two predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..methods.regions import region_codes
from ..methods.voxel_evidence import Predictions
from ..volume.annotation import NOT_ANNOTATED

#: Confidence of a discrepant voxel above which it is confident (DC), beside a network, or somewhat
#: more (`TrustedShare.confident`). The thresholds of the unanimous would leave none, because
#: discrepancy itself makes unsure.
DISCREPANT = 0.4

#: The same of the matching alone: an even chance. At two fifths what lies above was wrong as often
#: as what lies below where the references are far apart (docs/experiments.md).
DISCREPANT_READ = 0.5

#: Confidence up to which no voxel is unanimous, beside a network, which adds to it what it knows.
#: With two fifths, what became DS was wrong less often than DC in hearts (docs/experiments.md).
DISPUTED = 0.2

#: The same of the matching alone: an even chance, at which another class is likelier.
DISPUTED_READ = 0.5

#: The network's share when it is asked for a second prediction of what it is part of.
RAISED = 0.5

#: Share of the farther read when it is asked for one of the matching that it is part of.
RAISED_READ = 1 / 4


def raised_network(proposed: Tensor, network: Tensor) -> Tensor:
    """Return the second prediction that a mixture with the network is compared with.

    The network is heard in the mixture already: far from the references more, near them less,
    because there it is more often wrong than the matching. So it means little that by itself it
    would say something else; a discrepancy is where the mixture changes when the network counts as
    much again as all of it. Such voxels are more often wrong than the unsure ones that both agree
    on (docs/experiments.md), which is not always so where just the network differs.

    Parameters
    ----------
    proposed, network : Tensor, (..., K, H, W)
        Probabilities.

    Returns
    -------
    Tensor, (..., H, W)
        Classes.
    """
    return torch.lerp(proposed.float(), network.float(), RAISED).max(-3).indices


def raised_read(proposed: Tensor, farther: Tensor) -> Tensor:
    """Return the second prediction that the matching is compared with.

    The read from the farther side is heard in the matching already, as far as it is worth, as the
    network is in a mixture (`raised_network`). Where it names another class but the matching is
    sure of its own, it is mostly the farther read that is wrong: such voxels are less often wrong
    than the unsure ones that both agree on (docs/experiments.md). A discrepancy is where the
    matching changes when a quarter of it is the farther read alone.

    Parameters
    ----------
    proposed : Tensor, (..., K, H, W)
        The matching's probabilities.
    farther : Tensor, (..., H, W) uint8
        Classes that the farther read names.

    Returns
    -------
    Tensor, (..., H, W)
        Classes.
    """
    highest, named = proposed.float().max(-3)
    classes = farther.long()
    own = proposed.gather(-3, classes.unsqueeze(-3)).squeeze(-3).float()
    # Labels that are certain overtake, in a mixture with them, what leads by less.
    return torch.where(highest - own < RAISED_READ / (1 - RAISED_READ), classes, named)


class Limits(NamedTuple):
    """Confidence that tells discrepant voxels.

    Attributes
    ----------
    confident : float
        Above it a discrepant voxel is confident.
    disputed : float
        Up to it a voxel is discrepant whatever the second prediction says; not above `confident`.
    """

    confident: float
    disputed: float


@dataclass(frozen=True)
class Judged:
    """Voxels of a proposal, all of one shape.

    Parameters
    ----------
    classes, regions : Tensor of uint8
        Ink as it is, without a region.
    certainty : Tensor
        Chance of being right; 1 where inked.
    """

    classes: Tensor
    regions: Tensor
    certainty: Tensor


def judge_voxels(
    certainty: Tensor,
    proposed: Tensor,
    other: Tensor,
    thresholds: Tensor,
    limits: Limits,
    ink: Tensor,
    outside: Tensor,
) -> Judged:
    """Tell the regions of voxels, each by itself.

    Parameters
    ----------
    certainty : Tensor, (...)
        Chance that the proposed class is right.
    proposed, other : Tensor, (...)
        Proposed classes, and those of the second prediction.
    thresholds : Tensor, (classes,)
        See `judge_volume`.
    limits : Limits
    ink : Tensor, (...) uint8
        255 where not annotated.
    outside : Tensor of bool
        What lies outside of the object, as the user says; may have fewer axes.

    Returns
    -------
    Judged
    """
    inked, named = ink != NOT_ANNOTATED, proposed.long()
    discrepant = dissent(certainty, proposed, other, limits) & ~outside
    needed = torch.where(discrepant, limits.confident, thresholds[named])
    regions = region_codes((certainty > needed) | outside, discrepant).masked_fill(inked, 0)
    classes = torch.where(inked, ink, proposed.to(torch.uint8))
    return Judged(classes, regions, certainty.masked_fill(inked, 1.0))


def dissent(certainty: Tensor, proposed: Tensor, other: Tensor, limits: Limits) -> Tensor:
    """Return where a proposal is contradicted, bool.

    By the second prediction, or by the confidence itself: where the proposed class is less likely
    right than wrong, that both name it does not make it something to agree on.

    Parameters
    ----------
    certainty, proposed, other, limits
        See `judge_voxels`.
    """
    return (proposed.long() != other.long()) | (certainty <= limits.disputed)


def limits_of(known: Predictions) -> Limits:
    """Return the limits of a proposal."""
    alone = known.network is None
    return Limits(DISCREPANT_READ, DISPUTED_READ) if alone else Limits(DISCREPANT, DISPUTED)
