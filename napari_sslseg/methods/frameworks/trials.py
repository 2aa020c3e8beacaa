"""Trying out the extra teachers of the combined method on the labelled images of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..affinity import resize
from ..label_space import LabelSpace
from ..matching import Match, match_each_other
from ..prototypes import Prototypes, query
from ..reference_pool import ReferencePool, grid_size, sample_nearest
from ..teacher_trust import TeacherTrust
from .semsim_views import Views

#: The teachers in the order of the terms they belong to.
TEACHERS = ("unlabelled", "intra", "cross", "matched")

#: Labelled images whose prediction is rectified for a trial: affinities are dear.
RECTIFIED = 2


def plain_labels(probs: Tensor, size: Sequence[int], space: LabelSpace) -> Tensor:
    """Return the network's own labels of probabilities, on a grid.

    Parameters
    ----------
    probs
        ``(B, K, H, W)``.
    size
        Height and width of the grid.
    space
        What the classes mean.

    Returns
    -------
    Tensor
        ``(B, *size)`` int64; overlapping: ``(B, K, *size)``.
    """
    return space.decide(resize(probs, (size[0], size[1])))[1]


def annotation_on(target: Tensor, size: Sequence[int], space: LabelSpace) -> Tensor:
    """Return an annotation, sampled nearest, on a grid.

    Parameters
    ----------
    target
        ``(B, H, W)`` class ids; overlapping: ``(B, K, H, W)``.
    size, space
        As in `plain_labels`, which this returns the like of; 255 where nothing is annotated.
    """
    maps = target if space.overlapping else target[:, None]
    sampled = sample_nearest(maps.float(), size).long()
    return sampled if space.overlapping else sampled[:, 0]


@torch.no_grad()
def try_plain(trust: TeacherTrust, views: Views, target: Tensor, weak_probs: Tensor) -> None:
    """Compare the classes that the network sees in weak views with those of labelled images.

    Parameters
    ----------
    trust
        Takes it in.
    views
        Of the step.
    target
        The annotation.
    weak_probs
        ``(B, K, H, W)`` probabilities of the weak views.
    """
    plain = trust.space.decide(views.clean_labelled)[1]
    trust.compare("unlabelled", trust.space.decide(weak_probs)[1], plain, target)


@torch.no_grad()
def try_rectified(
    trust: TeacherTrust, views: Views, target: Tensor, on_labelled: Tensor, on_weak: Tensor
) -> None:
    """Try the rectified prediction.

    Parameters
    ----------
    trust
        Takes it in.
    views
        Of the step.
    target
        The annotation.
    on_labelled, on_weak
        Rectified probabilities, on the affinity grid, of the first labelled images and of the weak
        views.
    """
    count, size = on_labelled.shape[0], on_labelled.shape[2:]
    truth = annotation_on(target[:count], size, trust.space)
    plain = plain_labels(views.clean_labelled[:count], size, trust.space)
    trust.try_out("intra", trust.space.decide(on_labelled)[1], plain, truth)
    trust.compare("intra", trust.space.decide(on_weak)[1], plain, truth)


@torch.no_grad()
def try_prototypes(
    trust: TeacherTrust,
    views: Views,
    target: Tensor,
    prototypes: list[Prototypes],
    on_weak: Tensor,
    temperature: float,
) -> None:
    """Try the prototypes: each labelled image asks those of all others.

    With one labelled image there is nobody to ask.

    Parameters
    ----------
    trust, views, target
        As for `try_plain`.
    prototypes
        Of all labelled images: of all classes, or one of each overlapping class.
    on_weak
        Labels that weak views get, on the grid of the fused maps.
    temperature
        Of the softmax over similarities.
    """
    size = views.labelled_fused.shape[2:]
    truth = annotation_on(target, size, trust.space)
    plain = plain_labels(views.clean_labelled, size, trust.space)
    trust.compare("cross", on_weak, plain, truth)
    count = truth.shape[0]
    if count < 2:
        return
    fused = views.labelled_fused.detach()
    other = ~torch.eye(count, dtype=torch.bool, device=fused.device)
    answers = []
    for each in prototypes:
        similar = query(fused, each.detach(), temperature).similarity
        present = (each.present & other[:, :, None])[..., None, None]
        answers.append((similar / temperature).masked_fill(~present, -1e4).logsumexp(1).argmax(1))
    found = torch.stack(answers, 1) if trust.space.overlapping else answers[0]
    trust.try_out("cross", found, plain, truth)


@torch.no_grad()
def try_matching(
    trust: TeacherTrust, views: Views, target: Tensor, classes: int, grid: int, found: Match
) -> None:
    """Try reference matching: each labelled image is labelled by all others.

    On half the grid, which takes a sixteenth of the comparisons. With one labelled image there is
    nobody to compare with.

    Parameters
    ----------
    trust, views, target
        As for `try_plain`.
    classes
        Number of classes.
    grid
        Most cells a side of the matching grid of the method.
    found
        Matches of the weak views, on that grid.
    """
    space, size = trust.space, grid_size(views.labelled_decoder.shape, max(1, grid // 2))
    truth = annotation_on(target, size, space)
    plain = plain_labels(views.clean_labelled, size, space)
    trust.compare("matched", found.labels, plain, truth)
    if truth.shape[0] < 2:
        return
    pool = ReferencePool.from_maps(views.labelled_decoder, target, classes, max(1, grid // 2))
    labels = match_each_other(pool)
    shape = (truth.shape[0], *size)
    if space.overlapping:
        labels = labels.view(*shape, classes).movedim(-1, 1)
    else:
        labels = labels.view(shape)
    trust.try_out("matched", labels, plain, truth)
