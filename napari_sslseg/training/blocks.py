"""What `judge` and `recipe` do with a whole volume, done slice by slice for a large one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..methods.check_point import check_point
from ..methods.confidence import confidence_slices
from ..methods.frameworks.base import PredictOutput
from ..methods.regions import AdaptiveThresholds, Region
from ..methods.voxel_evidence import Predictions
from ..volume.annotation import NOT_ANNOTATED
from ..volume.project import Project
from ..volume.proposal import REGION_NAMES, neighbourhood_slab
from ..volume.stored_ink import JoinedInk
from .coherence import make_coherent
from .expected_overlap import ExpectedOverlap
from .judge import Limits, dissent, judge_voxels, limits_of
from .recipe import Recipe
from .reference_shapes import ReferenceShapes
from .stack import SliceStack, View
from .trusted_share import TrustedShare
from .workspace import Workspace


def winning_classes(probabilities: Tensor, workspace: Workspace) -> Tensor:
    """Return the classes (Z, H, W) uint8, in a file, of probabilities (Z, K, H, W)."""
    depth, _, height, width = probabilities.shape
    classes = workspace.zeros((depth, height, width), torch.uint8)
    for z in range(depth):
        check_point()
        classes[z] = probabilities[z].float().max(0).indices
        workspace.release()
    return classes


def raised_classes(
    raised: Callable[[Tensor, Tensor], Tensor], proposed: Tensor, part: Tensor, workspace: Workspace
) -> Tensor:
    """Return the classes (Z, H, W) uint8, in a file, of `raised_network` or `raised_read`.

    Parameters
    ----------
    raised : callable
        Either of them.
    proposed : Tensor, (Z, K, H, W)
        Probabilities, read slice by slice.
    part : Tensor, (Z, ...)
        What is to count more in them, read slice by slice.
    workspace : Workspace
    """
    depth, _, height, width = proposed.shape
    classes = workspace.zeros((depth, height, width), torch.uint8)
    for z in range(depth):
        check_point()
        classes[z] = raised(proposed[z], part[z])
        workspace.release()
    return classes


def mixed(
    recipe: Recipe,
    output: PredictOutput,
    matched: Tensor,
    away: Tensor,
    stack: SliceStack,
    workspace: Workspace,
) -> Tensor:
    """Return the proposal's probabilities from a network's output, the matching and the shapes.

    Parameters
    ----------
    recipe : Recipe
    output : PredictOutput, (Z, K, H, W)
    matched : Tensor, (Z, K, H, W)
        The matching's probabilities.
    away : Tensor, (Z,)
        See `pixels_away`.
    stack : SliceStack
    workspace : Workspace

    Returns
    -------
    Tensor, (Z, K, H, W)
        Float16, in a file; `matched` itself where the network is not heard.
    """
    if not recipe.heard:
        return matched
    shapes = ReferenceShapes(stack)
    result = workspace.zeros(matched.shape, workspace.precision)
    for z in range(len(matched)):
        check_point()
        own = PredictOutput(output.plain[z : z + 1], output.rectified[z : z + 1])
        guided = shapes.mixed_into(matched[z : z + 1], z)
        result[z] = recipe.mix(own, guided, away[z : z + 1])[0]
        workspace.release()
    coherent = workspace.zeros(matched.shape, workspace.precision)
    return make_coherent(result, stack, coherent, workspace.release)


def likeness(one: Tensor, two: Tensor, classes: int) -> float:
    """Return the mean Dice over the classes between two label volumes; NaN when none occurs.

    Parameters
    ----------
    one, two : Tensor, (Z, H, W) uint8
        Class indices; 0, the background, does not count.
    classes : int
        Number of classes, background included.
    """
    both, sizes = np.zeros(classes), np.zeros(classes)
    for a, b in zip(one.numpy(), two.numpy(), strict=True):
        both += np.bincount(a[a == b], minlength=classes)
        sizes += np.bincount(a.ravel(), minlength=classes)
        sizes += np.bincount(b.ravel(), minlength=classes)
    seen = np.flatnonzero(sizes[1:]) + 1
    return float(np.mean(2 * both[seen] / sizes[seen])) if len(seen) else float("nan")


def write_judged(
    name: str,
    stack: SliceStack,
    known: Predictions,
    other: Tensor,
    info: dict[str, Any],
    project: Project,
    ink: JoinedInk,
    workspace: Workspace,
    progress: Callable[[float], object],
    overlap: ExpectedOverlap,
) -> tuple[int, dict[str, float]]:
    """Judge a proposal as `make_proposal` does, and write it into the project.

    Parameters
    ----------
    name, stack, known, other, info
        See `make_proposal`.
    project : Project
    ink : JoinedInk
        All ink of the project.
    workspace : Workspace
    progress : callable
        Called with the finished part in [0, 1].
    overlap : ExpectedOverlap
        See `make_proposal`.

    Returns
    -------
    int
        Version of the proposal.
    dict of str to float
        Share of each region in the object's neighbourhood.
    """
    depth = stack.depth
    classes = winning_classes(known.proposed, workspace)
    outside = torch.zeros(depth, dtype=torch.bool)
    outside[stack.outside] = True
    certainty = workspace.zeros(tuple(stack.ink.shape), torch.float32)
    thresholds, limits = _thresholds(
        stack,
        known,
        classes,
        other,
        outside,
        certainty,
        workspace,
        lambda part: progress(0.6 * part),
        overlap,
    )
    regions = workspace.zeros(tuple(stack.ink.shape), torch.uint8)
    for z in range(depth):
        found = judge_voxels(
            certainty[z], classes[z], other[z], thresholds, limits, stack.ink[z], outside[z]
        )
        classes[z], regions[z], certainty[z] = found.classes, found.regions, found.certainty
        workspace.release()
        progress(0.6 + 0.1 * z / depth)
    shares = _shares(classes, regions, workspace, lambda part: progress(0.7 + 0.1 * part))

    def slabs() -> Iterator[tuple[npt.NDArray[np.uint8], ...]]:
        ids = np.asarray(stack.class_ids, dtype=np.uint8)
        arrays = [np.moveaxis(t.numpy(), 0, stack.axis) for t in (classes, regions, certainty)]
        assert stack.view is not None
        for index, parts in enumerate(_placed(arrays, project.info.shape, stack.axis, stack.view)):
            labels, codes, sure = parts
            inked = ink[index]
            if inked is not None:  # strokes outside of the window; those inside are there already
                codes[inked != NOT_ANNOTATED] = 0
            yield ids[labels], codes, (sure * np.float32(255)).round().astype(np.uint8)
            workspace.release()
            progress(0.8 + 0.2 * index / project.info.shape[0])

    about = {**info, "thresholds": [round(float(t), 4) for t in thresholds], "shares": shares}
    version = project.write_proposal_slabs(name, project.info.shape, slabs(), lambda: about)
    return version, shares


def _thresholds(
    stack: SliceStack,
    known: Predictions,
    proposed: Tensor,
    other: Tensor,
    outside: Tensor,
    certainty: Tensor,
    workspace: Workspace,
    progress: Callable[[float], object],
    overlap: ExpectedOverlap,
) -> tuple[Tensor, Limits]:
    """Return the thresholds of the classes, and the limits, as `make_proposal` finds them.

    Fills in the certainty, adds to the overlap, and empties what is proposed outside of the object.
    """
    limits = limits_of(known)
    sums, counts = torch.zeros(stack.classes).double(), torch.zeros(stack.classes)
    for z, sure in enumerate(confidence_slices(known)):
        if outside[z]:
            certainty[z], proposed[z] = 1.0, 0
            continue
        certainty[z] = sure
        near = torch.from_numpy(neighbourhood_slab(proposed.numpy(), z))
        open_ = (stack.ink[z] == NOT_ANNOTATED) & near
        if overlap.covers(known, z):
            overlap.add_slice(known.proposed[z], sure, open_)
        counted = open_ & ~dissent(sure, proposed[z], other[z], limits)
        sums += torch.bincount(proposed[z][counted], sure[counted].double(), stack.classes)
        counts += torch.bincount(proposed[z][counted], minlength=stack.classes)
        workspace.release()
        progress(0.8 * z / stack.depth)
    initial = AdaptiveThresholds(stack.classes, rate=1.0).get()
    means = torch.where(counts > 0, (sums / (counts.double() + 1)).float(), initial)
    share = TrustedShare(means)
    for z in range(stack.depth):
        if not outside[z]:
            near = torch.from_numpy(neighbourhood_slab(proposed.numpy(), z))
            open_ = (stack.ink[z] == NOT_ANNOTATED) & near
            unanimous = open_ & ~dissent(certainty[z], proposed[z], other[z], limits)
            share.add(certainty[z], proposed[z], unanimous, open_)
        workspace.release()
        progress(0.8 + 0.2 * z / stack.depth)
    return share.lowered(), limits._replace(confident=share.confident(limits.confident))


def _shares(
    classes: Tensor, regions: Tensor, workspace: Workspace, progress: Callable[[float], object]
) -> dict[str, float]:
    """Return the share of each region in the object's neighbourhood."""
    totals = np.zeros(5)
    for z in range(len(classes)):
        near = neighbourhood_slab(classes.numpy(), z)
        totals += np.bincount(regions[z].numpy()[near], minlength=5)
        workspace.release()
        progress(z / len(classes))
    judged = totals[1:].sum()
    return {n: float(totals[code] / judged) if judged else 0.0 for code, n in REGION_NAMES.items()}


def _placed(
    arrays: list[npt.NDArray[Any]], shape: tuple[int, ...], axis: int, view: View
) -> Iterator[list[npt.NDArray[Any]]]:
    """Yield the slabs of whole volumes from those of a window, in the volume's axis order.

    Outside of the window is sure background: class 0, region UC, confidence 1.
    """
    spans: list[slice] = [view.rows, view.columns]
    spans.insert(axis, slice(0, shape[axis]))
    first, *others = spans
    for index in range(shape[0]):
        slabs = [
            np.full(shape[1:], value, dtype=array.dtype)
            for value, array in zip((0, int(Region.UC), 1), arrays, strict=True)
        ]
        if first.start <= index < first.stop:
            for slab, array in zip(slabs, arrays, strict=True):
                slab[others[0], others[1]] = array[index - first.start]
        yield slabs
