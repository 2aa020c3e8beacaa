"""What is done with a volume as a whole, slice by slice for one that the memory does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..methods.check_point import check_point
from ..methods.frameworks.base import PredictOutput
from ..methods.regions import Region
from ..methods.voxel_evidence import Predictions
from ..volume.annotation import NOT_ANNOTATED
from ..volume.project import Project
from ..volume.stored_ink import JoinedInk
from .coherence import make_coherent
from .expected_overlap import ExpectedOverlap
from .judged_volume import about, judge_volume
from .recipe import Recipe
from .reference_shapes import ReferenceShapes
from .stack import SliceStack, View
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
    """Judge a proposal, and write it into the project.

    Parameters
    ----------
    name, info
        See `make_proposal`.
    stack, known, other, overlap
        See `judge_volume`.
    project : Project
    ink : JoinedInk
        All ink of the project.
    workspace : Workspace
    progress : callable
        Called with the finished part in [0, 1].

    Returns
    -------
    int
        Version of the proposal.
    dict of str to float
        Share of each region in the object's neighbourhood.
    """
    judged = judge_volume(
        stack, known, other, workspace, overlap, lambda part: progress(0.8 * part)
    )

    def slabs() -> Iterator[tuple[npt.NDArray[np.uint8], ...]]:
        ids = np.asarray(stack.class_ids, dtype=np.uint8)
        found = (judged.classes, judged.regions, judged.certainty)
        arrays = [np.moveaxis(t.numpy(), 0, stack.axis) for t in found]
        assert stack.view is not None
        for index, parts in enumerate(_placed(arrays, project.info.shape, stack.axis, stack.view)):
            labels, codes, sure = parts
            inked = ink[index]
            if inked is not None:  # strokes outside of the window; those inside are there already
                codes[inked != NOT_ANNOTATED] = 0
            yield ids[labels], codes, (sure * np.float32(255)).round().astype(np.uint8)
            workspace.release()
            progress(0.8 + 0.2 * index / project.info.shape[0])

    told = about(judged, info)
    version = project.write_proposal_slabs(name, project.info.shape, slabs(), lambda: told)
    return version, judged.shares


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
