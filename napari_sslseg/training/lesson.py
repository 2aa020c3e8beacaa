"""A labelled volume, as a network sees it that learns from several."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..volume.annotation import NOT_ANNOTATED
from .sampler import Prior
from .stack import SliceStack


@dataclass
class Lesson:
    """A labelled volume, as the shared network sees it.

    Parameters
    ----------
    stack : SliceStack
    prior : Prior
    """

    stack: SliceStack
    prior: Prior

    @property
    def foreground(self) -> Tensor:
        """Where the object may be, (Z, H, W)."""
        return 1 - self.prior.probabilities[:, 0].float()

    def widened(self, class_ids: tuple[int, ...]) -> Lesson:
        """Return the same with all of some classes, of which it may know a part.

        Parameters
        ----------
        class_ids : tuple of int
            Label value of each class index, its own among them.
        """
        if class_ids == self.stack.class_ids:
            return self
        own = self.prior.probabilities
        positions = [class_ids.index(i) for i in self.stack.class_ids]
        probabilities = own.new_zeros(len(own), len(class_ids), *own.shape[2:])
        probabilities[:, positions] = own
        lookup = torch.full((256,), NOT_ANNOTATED, dtype=torch.uint8)
        lookup[: len(positions)] = torch.tensor(positions, dtype=torch.uint8)
        stack = replace(self.stack, ink=lookup[self.stack.ink.long()], class_ids=class_ids)
        return Lesson(stack, Prior(probabilities, self.prior.weight))
