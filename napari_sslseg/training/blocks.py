"""A volume that the memory does not hold: a window of its slices, worked on block by block."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..methods.frameworks.base import PredictOutput
from ..methods.regions import Region
from ..methods.voxel_evidence import Predictions
from ..volume.annotation import NOT_ANNOTATED
from ..volume.project import Project
from .control import Control
from .expected_overlap import ExpectedOverlap
from .judged_volume import about, judge_volume
from .recipe import Recipe
from .stack import SliceStack, View
from .trainer import Trainer, predict_slices
from .whole_volume import Report, WholeVolume
from .windowed import grown_view
from .workspace import Workspace

#: Slices whose predictions are written at a time.
_BLOCK = 8

#: Returns the stack of a window.
Cut = Callable[[View], SliceStack]


class BlockVolume(WholeVolume):
    """The same as `WholeVolume`, slice by slice, with what is known of each voxel in files.

    Parameters
    ----------
    project : Project
    view : View
        Window to begin with.
    cut : callable
        Returns the stack of any window.
    workspace : Workspace
    """

    def __init__(self, project: Project, view: View, cut: Cut, workspace: Workspace) -> None:
        super().__init__(project, cut(view), workspace)
        self.workspace, self._cut, self._view = workspace, cut, view

    def guarded(self) -> contextlib.AbstractContextManager[None]:
        """Look after the memory in a thread of its own."""
        return self.workspace.guarded()

    def grow_around(self, probabilities: Tensor) -> bool:
        """Take in more of the slices if the objects reach the edge of the window."""
        grown = grown_view(self._view, probabilities)
        if grown == self._view:
            return False
        self._view = grown
        self.stack = self._cut(grown)
        return True

    def predict(
        self, trainer: Trainer, recipe: Recipe, control: Control, report: Report
    ) -> PredictOutput:
        """Predict some slices at a time, into files."""
        stack = self.stack
        depth, _, height, width = stack.image.shape
        shape = (depth, stack.classes, height, width)
        plain = rectified = self.workspace.zeros(shape, torch.half)
        if recipe.temperature is not None:
            rectified = self.workspace.zeros(shape, torch.half)
        for start in range(0, depth, _BLOCK):
            block = list(range(start, min(depth, start + _BLOCK)))
            report(start / depth)
            output = predict_slices(trainer.model, stack, block, trainer.plan, control)
            plain[start : start + len(block)] = output.plain
            if rectified is not plain:
                rectified[start : start + len(block)] = output.rectified
            self.workspace.release()
        stack.empty_outside(plain)
        stack.empty_outside(rectified)
        return PredictOutput(plain, rectified)

    def write(
        self,
        name: str,
        known: Predictions,
        other: Tensor,
        info: dict[str, object],
        overlap: ExpectedOverlap,
        report: Report,
    ) -> tuple[int, dict[str, float]]:
        """Judge a proposal, and write it into the project slab by slab."""
        stack, workspace, shape = self.stack, self.workspace, self.project.info.shape
        ink = self.project.stored_ink()
        judged = judge_volume(
            stack, known, other, workspace, overlap, lambda part: report(0.8 * part)
        )

        def slabs() -> Iterator[tuple[npt.NDArray[np.uint8], ...]]:
            ids = np.asarray(stack.class_ids, dtype=np.uint8)
            found = (judged.classes, judged.regions, judged.certainty)
            arrays = [np.moveaxis(t.numpy(), 0, stack.axis) for t in found]
            for index, parts in enumerate(_placed(arrays, shape, stack.axis, self._view)):
                labels, codes, sure = parts
                inked = ink[index]
                if inked is not None:  # strokes outside of the window; those inside are there
                    codes[inked != NOT_ANNOTATED] = 0
                yield ids[labels], codes, (sure * np.float32(255)).round().astype(np.uint8)
                workspace.release()
                report(0.8 + 0.2 * index / shape[0])

        told = about(judged, info)
        version = self.project.write_proposal_slabs(name, shape, slabs(), lambda: told)
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
