"""What the last network predicted of its volume, so that an update need not ask it again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ..methods.frameworks.base import PredictOutput
from ..volume.project import Project
from .kept_tensors import Part, keep, take_over, volume_facts
from .stack import SliceStack
from .tiles import Tiles

#: Bytes of probabilities above which they are not kept: a full disk costs more than predicting.
MOST_BYTES = 2**28


class KeptPrediction:
    """Probabilities that a network predicted, on the disk.

    Parameters
    ----------
    project : Project
    stack : SliceStack
    """

    def __init__(self, project: Project, stack: SliceStack) -> None:
        self._stack = stack
        self._path = project.kept / "prediction.safetensors"
        self._facts = volume_facts(project, stack)

    def keep(self, output: PredictOutput, weights: str, tiles: Tiles) -> None:
        """Keep a prediction of all slices.

        Parameters
        ----------
        output : PredictOutput, (Z, K, H, W) float16
        weights : str
            Name of the file that the network's weights are in.
        tiles : Tiles
            Where it looked.
        """
        part = Part.of(output.plain[:, 0])
        tensors = {"plain": part.cut(output.plain)}
        if not torch.equal(output.plain, output.rectified):
            tensors["rectified"] = part.cut(output.rectified)
        if sum(each.numel() * each.element_size() for each in tensors.values()) <= MOST_BYTES:
            frames = {"size": tiles.size, "corners": tiles.corners}
            about = {**self._facts, "weights": weights, "frames": frames, "part": asdict(part)}
            keep(self._path, tensors, about)

    def of(self, weights: str, foreground: Tensor) -> PredictOutput | None:
        """Return the prediction of a network; None where it is not kept, or looked elsewhere.

        Parameters
        ----------
        weights : str
            As of `keep`.
        foreground : Tensor, (1, H, W)
            Where the object may be now, see `Tiles.surrounds`.
        """

        def build(tensors: dict[str, Tensor], about: dict[str, Any]) -> PredictOutput | None:
            corners = tuple((row, column) for row, column in about["frames"]["corners"])
            height, width = about["frames"]["size"]
            if not Tiles((height, width), corners).surrounds(foreground, self._stack.ink):
                return None
            part, size = Part(**about["part"]), self._stack.ink.shape[1:]
            plain = part.probabilities(tensors["plain"], *size)
            if "rectified" not in tensors:
                return PredictOutput(plain, plain)
            return PredictOutput(plain, part.probabilities(tensors["rectified"], *size))

        return take_over(self._path, {**self._facts, "weights": weights}, build)
