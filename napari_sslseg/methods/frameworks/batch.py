"""One training batch, and what is done to it before a framework sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..augment import WeakAugmentation, move_images, move_labels, move_maps, sample_weak
from ..augment_volumes import sample_weak_volume
from ..losses import IGNORE
from ..networks import pad_to_multiple


@dataclass
class Batch:
    """One training batch, of images ``(B, C, H, W)`` or volumes ``(B, C, D, H, W)``.

    Shapes are given for images. Where classes overlap, annotations are ``(B, K, H, W)`` of 0 and 1,
    255 where not annotated, in place of class ids.

    Attributes
    ----------
    labelled_image
        ``(Bl, C, H, W)`` float32.
    labelled_target
        ``(Bl, H, W)`` class ids, 255 where not annotated.
    unlabelled_image
        ``(Bu, C, H, W)`` float32; Bu may be 0.
    prior
        ``(Bu, K, H, W)`` soft pseudo-labels carried from elsewhere, or None.
    prior_weight
        ``(Bu, H, W)`` trust in `prior`, in [0, 1]; None is full trust.
    labelled_prior, labelled_prior_weight
        The same for the labelled images; only their pixels without annotation use it.
    """

    labelled_image: Tensor
    labelled_target: Tensor
    unlabelled_image: Tensor
    prior: Tensor | None = None
    prior_weight: Tensor | None = None
    labelled_prior: Tensor | None = None
    labelled_prior_weight: Tensor | None = None

    @property
    def labelled_count(self) -> int:
        """Number of labelled images."""
        return self.labelled_image.shape[0]

    @property
    def unlabelled_count(self) -> int:
        """Number of unlabelled images."""
        return self.unlabelled_image.shape[0]

    def normalised(self) -> Batch:
        """Return the batch with int64 targets and explicit prior weights."""
        changes: dict[str, Tensor] = {"labelled_target": self.labelled_target.long()}
        for prior, weight in (
            (self.prior, "prior_weight"),
            (self.labelled_prior, "labelled_prior_weight"),
        ):
            if prior is not None and getattr(self, weight) is None:
                changes[weight] = torch.ones_like(prior[:, 0])
        return replace(self, **changes)

    def padded(self, multiple: int) -> Batch:
        """Return the batch with its sides padded at their ends.

        No annotation and no prior covers the pixels that are added. The terms of unlabelled images
        compare predictions there as elsewhere.

        Parameters
        ----------
        multiple
            Sides become multiples of it, and two of them at least, as networks pad what they see.
        """
        sides = self.labelled_image.shape[2:]
        added = [max(n + -n % multiple, 2 * multiple) - n for n in sides]
        if not any(added):
            return self
        amounts = [n for size in reversed(added) for n in (0, size)]

        def constant(maps: Tensor | None, value: float) -> Tensor | None:
            return None if maps is None else F.pad(maps, amounts, value=value)

        target = constant(self.labelled_target, IGNORE)
        assert target is not None
        return Batch(
            pad_to_multiple(self.labelled_image, multiple, 2 * multiple),
            target,
            pad_to_multiple(self.unlabelled_image, multiple, 2 * multiple),
            constant(self.prior, 0),
            constant(self.prior_weight, 0),
            constant(self.labelled_prior, 0),
            constant(self.labelled_prior_weight, 0),
        )

    def moved(
        self, generator: torch.Generator, config: WeakAugmentation, multiple: int = 1
    ) -> Batch:
        """Return the batch under random geometry.

        Where a view looks beyond the image, which repeats its border there, annotations are 255 and
        priors weigh 0. The terms of unlabelled images compare predictions there as elsewhere.

        Parameters
        ----------
        generator
            Source of randomness.
        config
            Chances and ranges; `stretch` and `crop` are of images alone.
        multiple
            Sides of cropped views are multiples of it, pixels.
        """
        size = None
        if self.labelled_image.ndim == 4:
            size = config.size(self.labelled_image.shape[2:], multiple)
            labelled = sample_weak(self.labelled_image, generator, config, size)
            unlabelled = sample_weak(self.unlabelled_image, generator, config, size)
        else:
            labelled = sample_weak_volume(self.labelled_image, generator, config)
            unlabelled = sample_weak_volume(self.unlabelled_image, generator, config)
        how = config.interpolation

        def soft(maps: Tensor | None, theta: Tensor) -> Tensor | None:
            return None if maps is None else move_maps(maps, theta, size=size)

        def weight(maps: Tensor | None, theta: Tensor) -> Tensor | None:
            if maps is None:
                return None
            return move_maps(maps[:, None], theta, fill=0, size=size)[:, 0]

        return Batch(
            move_images(self.labelled_image, labelled, size, how),
            move_labels(self.labelled_target, labelled, size=size),
            move_images(self.unlabelled_image, unlabelled, size, how),
            soft(self.prior, unlabelled),
            weight(self.prior_weight, unlabelled),
            soft(self.labelled_prior, labelled),
            weight(self.labelled_prior_weight, labelled),
        )
