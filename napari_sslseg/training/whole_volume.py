"""What a run does with a volume as a whole: predict, compare, mix and write."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
from torch import Tensor

from ..methods.check_point import check_point
from ..methods.frameworks.base import PredictOutput
from ..methods.storage import InMemory, Storage
from ..methods.voxel_evidence import Predictions
from ..volume.project import Project
from .coherence import make_coherent
from .control import Control
from .expected_overlap import ExpectedOverlap
from .judged_volume import make_proposal
from .recipe import Recipe
from .reference_shapes import ReferenceShapes
from .stack import SliceStack
from .trainer import Trainer, predict_slices

#: Called with the finished part of something in [0, 1].
Report = Callable[[float], object]


class WholeVolume:
    """A volume that the memory holds as a whole; `blocks.BlockVolume` is one that it does not.

    Parameters
    ----------
    project : Project
        Proposals are written into it.
    stack : SliceStack
    storage : Storage, optional
        Where what is known of every voxel is kept; default: in memory.
    """

    def __init__(self, project: Project, stack: SliceStack, storage: Storage | None = None) -> None:
        self.project, self.stack = project, stack
        self._storage = storage or InMemory()

    def guarded(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the run keeps within its memory."""
        return contextlib.nullcontext()

    def grow_around(self, probabilities: Tensor) -> bool:
        """Take in more of the slices if the objects reach the edge of what is worked on.

        Parameters
        ----------
        probabilities : Tensor, (Z, K, H, W)
            Of what is proposed.

        Returns
        -------
        bool
            Whether `stack` is another one now.
        """
        return False

    def predict(
        self, trainer: Trainer, recipe: Recipe, control: Control, report: Report
    ) -> PredictOutput:
        """Predict all slices; what lies outside of the object, as the user says, is background.

        Parameters
        ----------
        trainer : Trainer
        recipe : Recipe
            Says whether rectified predictions are wanted.
        control : Control
        report : callable

        Returns
        -------
        PredictOutput, (Z, K, H, W) float16
        """
        everything = list(range(self.stack.depth))
        output = predict_slices(trainer.model, self.stack, everything, trainer.plan, control)
        return PredictOutput(*map(self.stack.empty_outside, (output.plain, output.rectified)))

    def winning_classes(self, probabilities: Tensor) -> Tensor:
        """Return the classes (Z, H, W) uint8 of probabilities (Z, K, H, W)."""
        return self._each_slice(probabilities, lambda z: probabilities[z].float().max(0).indices)

    def raised_classes(
        self, raised: Callable[[Tensor, Tensor], Tensor], proposed: Tensor, part: Tensor
    ) -> Tensor:
        """Return the classes (Z, H, W) uint8 of `judge.raised_network` or `judge.raised_read`.

        Parameters
        ----------
        raised : callable
            Either of them.
        proposed : Tensor, (Z, K, H, W)
            Probabilities.
        part : Tensor, (Z, ...)
            What is to count more in them.
        """
        return self._each_slice(proposed, lambda z: raised(proposed[z], part[z]))

    def mixed(
        self, recipe: Recipe, output: PredictOutput, matched: Tensor | None, away: Tensor
    ) -> Tensor:
        """Return a proposal's probabilities from a network's output, the matching and the shapes.

        Parameters
        ----------
        recipe : Recipe
        output : PredictOutput, (Z, K, H, W)
        matched : Tensor, (Z, K, H, W), or None
            The matching's probabilities.
        away : Tensor, (Z,)
            See `pixels_away`.

        Returns
        -------
        Tensor, (Z, K, H, W)
            `matched` itself where the network is not heard, the network's where nothing is matched.
        """
        if matched is None:
            return output.plain if recipe.temperature is None else output.rectified
        if not recipe.heard:
            return matched
        storage, shapes = self._storage, ReferenceShapes(self.stack)
        result = storage.zeros(matched.shape, storage.precision)
        for z in range(len(matched)):
            check_point()
            own = PredictOutput(output.plain[z : z + 1], output.rectified[z : z + 1])
            guided = shapes.mixed_into(matched[z : z + 1], z)
            result[z] = recipe.mix(own, guided, away[z : z + 1])[0]
            storage.release()
        coherent = storage.zeros(matched.shape, storage.precision)
        return make_coherent(result, self.stack, coherent, storage.release)

    def write(
        self,
        name: str,
        known: Predictions,
        other: Tensor,
        info: dict[str, object],
        overlap: ExpectedOverlap,
        report: Report,
    ) -> tuple[int, dict[str, float]]:
        """Judge a proposal, and write it into the project.

        Parameters
        ----------
        name, info
            See `make_proposal`.
        known, other, overlap
            See `judge_volume`.
        report : callable

        Returns
        -------
        int
            Version of the proposal.
        dict of str to float
            Share of each region in the object's neighbourhood.
        """
        proposal, shares = make_proposal(name, self.stack, known, other, info, overlap)
        return self.project.write_proposal(proposal), shares

    def _each_slice(self, like: Tensor, classes: Callable[[int], Tensor]) -> Tensor:
        """Return the classes (Z, H, W) uint8 of slices, for probabilities (Z, K, H, W)."""
        depth, _, height, width = like.shape
        result = self._storage.zeros((depth, height, width), torch.uint8)
        for z in range(depth):
            check_point()
            result[z] = classes(z)
            self._storage.release()
        return result
