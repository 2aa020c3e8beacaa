"""Reference slices of a project's other volumes, which teach a run on one of them too.

A few references of one volume leave open what lies between them; in the volumes that were finished
before, the same organ is labelled there. Their labelled slices are brought to the pixel size of the
volume at hand, cut into frames around their object as the network sees it, and told where in the
object they lie: the position channels of both volumes agree where the object begins, where it ends
and where its middle is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..methods.frameworks.base import Batch
from ..methods.intensity import IntensityScale
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND
from ..volume.project import Project, ProjectError
from .object_box import ObjectBox, aligned_positions
from .pixel_size import pixel_of, resized, resized_labels, shape_of, size_at
from .plan import Plan
from .sampler import Sampler
from .stack import CONTEXT, SliceStack, TrainingError
from .teachers import Teachers
from .tiles import Tiles
from .windowed import channel_scales

#: Slices of each volume that are listened to: more of them tell the same again.
MOST_SLICES = 48

#: Slices beyond the object's ends that are shown as well, where they are labelled. That is enough
#: where references of the volume say where its own object ends.
BEYOND = 2

#: Share of the labelled frames of a step that come from other volumes.
SHARE = 0.5

#: Share of the unlabelled frames of a step that are the volume's own, with the labels that were
#: propagated there, until it is known how good those are.
PRIOR = 0.5


@dataclass(frozen=True)
class OtherReferences:
    """Frames of labelled slices of other volumes.

    Parameters
    ----------
    images : Tensor, (N, in_channels, h, w) float32
        As `SliceStack.context` makes them, cut and reduced as `Tiles.cut` does.
    labels : Tensor, (N, h, w) uint8
        Position in the stack's `class_ids`, 255 for a class that it does not know.
    weights : Tensor, (N,) float32
        How often each is drawn; those of a volume sum up to 1.
    names : tuple of str
        Of the volumes.
    keys : tuple of str
        Of the volumes, in the project.
    """

    images: Tensor
    labels: Tensor
    weights: Tensor
    names: tuple[str, ...]
    keys: tuple[str, ...]

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return images and labels of `count` frames, drawn with replacement by their weights."""
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        return self.images[chosen], self.labels[chosen]

    @property
    def area(self) -> float:
        """Mean number of pixels of the object in a frame that shows it."""
        shown = (self.labels != BACKGROUND) & (self.labels != NOT_ANNOTATED)
        areas = shown.flatten(1).sum(1).float()
        return float(areas[areas > 0].mean()) if bool(areas.any()) else 0.0

    def to(self, device: torch.device) -> OtherReferences:
        """Return the same with images and labels on a device; the weights stay where they are."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


class JoinedSampler:
    """Draws a volume's own batches, and puts others' references among its frames.

    Not only among the labelled ones: where labels propagated in the volume are not to be trusted,
    its unlabelled frames have nothing to hold a network to but what that believes already.

    Parameters
    ----------
    own : Sampler
    others : OtherReferences
    labelled : int
        Labelled frames of a batch: `SHARE` of them are others', or all where the volume has none.
    generator : torch.Generator
    prior : float
        Share of the unlabelled frames that are the volume's own, with the labels that were
        propagated there; the others have what is labelled there in their place.
    """

    def __init__(
        self,
        own: Sampler,
        others: OtherReferences,
        labelled: int,
        generator: torch.Generator,
        prior: float = PRIOR,
    ) -> None:
        self._own, self._others, self._generator = own, others, generator
        self._labelled, self._prior = labelled, prior

    def draw(self) -> Batch:
        """Return one batch."""
        batch = self._own.draw()
        images, labels = batch.labelled_image, batch.labelled_target
        keep = min(len(images), self._labelled - round(SHARE * self._labelled))
        other_images, other_labels = self._others.draw(self._labelled - keep, self._generator)
        other_images, other_labels = other_images.to(images), other_labels.to(labels)
        if keep:
            other_images = torch.cat([images[:keep], other_images])
            other_labels = torch.cat([labels[:keep], other_labels])
        return replace(
            self._unlabelled(batch),
            labelled_image=other_images,
            labelled_target=other_labels,
            # Ink says all about these frames; nothing was propagated to them.
            labelled_prior=_followed_by_nothing(batch.labelled_prior, keep, other_images),
            labelled_prior_weight=_followed_by_nothing(
                batch.labelled_prior_weight, keep, other_images
            ),
        )

    def _unlabelled(self, batch: Batch) -> Batch:
        """Put others' frames in the place of unlabelled ones."""
        count = len(batch.unlabelled_image)
        if batch.prior is None or batch.prior_weight is None or not count:
            return batch
        mine = torch.rand(count, generator=self._generator) < self._prior
        images, labels = self._others.draw(count, self._generator)
        images, labels = images.to(batch.unlabelled_image), labels.to(batch.prior.device)
        known = labels != NOT_ANNOTATED
        classes = torch.arange(batch.prior.shape[1], device=labels.device)[:, None, None]
        mine = mine.to(labels.device)[:, None, None]
        return replace(
            batch,
            unlabelled_image=torch.where(mine[:, None], batch.unlabelled_image, images),
            prior=torch.where(
                mine[:, None], batch.prior, (classes == labels[:, None]).to(batch.prior)
            ),
            prior_weight=torch.where(mine, batch.prior_weight, known.to(batch.prior_weight)),
        )


def _followed_by_nothing(maps: Tensor | None, keep: int, images: Tensor) -> Tensor | None:
    """Return the first of some maps, (B, [K,] h, w), and zeros for the other images."""
    if maps is None:
        return None
    found = maps.new_zeros(len(images), *maps.shape[1:-2], *images.shape[-2:])
    if keep:
        found[:keep] = maps[:keep]
    return found


def gather(
    teachers: Teachers,
    stack: SliceStack,
    own: ObjectBox | None,
    plan: Plan,
    check: Callable[[], object],
    beyond: int = BEYOND,
    missed: Callable[[str], object] = lambda name: None,
) -> OtherReferences | None:
    """Collect the references of the other volumes of a project.

    Parameters
    ----------
    teachers : Teachers
    stack : SliceStack
        The volume of the run.
    own : ObjectBox or None
        Where its object is; None where that is not known, and the volumes are aligned as wholes.
    plan : Plan
        Says what frames look like.
    check : callable
        Called now and then; may raise.
    beyond : int
        Slices beyond the object's ends that are shown as well, where they are labelled.
    missed : callable
        Called with the name of each volume that cannot be used.

    Returns
    -------
    OtherReferences or None
        None when no other volume has anything to tell.
    """
    parts, names, keys = [], [], []
    for teacher in teachers.volumes:
        check()
        try:
            frames = _frames(teacher.project, teacher.whole, stack, own, plan, check, beyond)
        except (TrainingError, ProjectError, OSError):
            missed(teacher.project.info.name)
            continue
        if frames is not None:
            parts.append((*frames, torch.full((len(frames[0]),), 1 / len(frames[0]))))
            names.append(teacher.project.info.name)
            keys.append(teacher.key)
    if not parts:
        return None
    images, labels, weights = (torch.cat(each) for each in zip(*parts, strict=True))
    return OtherReferences(images, labels, weights, tuple(names), tuple(keys))


def _frames(
    other: Project,
    whole: Sequence[int],
    stack: SliceStack,
    own: ObjectBox | None,
    plan: Plan,
    check: Callable[[], object],
    beyond: int,
) -> tuple[Tensor, Tensor] | None:
    """Return frames and labels of some slices of a volume; None if no object is in them."""
    axis, info = stack.axis, other.info
    lookup = np.full(256, NOT_ANNOTATED, dtype=np.uint8)
    lookup[list(stack.class_ids)] = np.arange(stack.classes, dtype=np.uint8)
    ink = np.moveaxis(other.all_ink(), axis, 0)
    pixel = pixel_of(info.spacing, axis)
    size = size_at(shape_of(info.shape, axis), pixel, stack.spacing[1:])
    objects = [z for z in whole if _shows_object(lookup[ink[z]])]
    if not objects:
        return None
    chosen = _spread([z for z in whole if objects[0] - beyond <= z <= objects[-1] + beyond])
    labels = resized_labels(torch.from_numpy(lookup[ink[chosen]]), size)
    present = (labels != BACKGROUND) & (labels != NOT_ANNOTATED)
    there = ObjectBox.around(present)
    if there is None:
        return None
    there = ObjectBox((objects[0], *there.low[1:]), (objects[-1], *there.high[1:]))
    image, last = other.image(), info.shape[axis] - 1
    here, alike = own, there
    if here is None:
        here = ObjectBox.of_volume(stack)
        alike = ObjectBox((0, 0, 0), (last, size[0] - 1, size[1] - 1))
    scales = channel_scales(image, info.channels, check)
    apart = max(1, round(stack.spacing[0] / info.spacing[axis]))  # as far apart as here
    contexts = []
    for z in chosen:
        check()
        around = [
            _slice(image, min(max(z + step * apart, 0), last), axis, scales)
            for step in range(-CONTEXT, CONTEXT + 1)
        ]
        seen = resized(torch.from_numpy(np.concatenate(around))[None], size)
        contexts.append(torch.cat([seen, aligned_positions(z, size, alike, here, stack)[None]], 1))
    images = torch.cat(contexts)
    tiles = _frames_around(there, present, labels, plan)
    cut = [tiles.cut(images, corner) for corner in tiles.corners]
    shown = [tiles.cut_labels(labels, corner, NOT_ANNOTATED) for corner in tiles.corners]
    return torch.cat(cut), torch.cat(shown)


def _frames_around(there: ObjectBox, present: Tensor, labels: Tensor, plan: Plan) -> Tiles:
    """Return frames of the run's size around another object: one, where that holds all of it."""
    tiles = plan.tiles
    if any(there.high[i + 1] - there.low[i + 1] >= tiles.size[i] for i in (0, 1)):
        return Tiles.around(present.float(), labels, 1, max(tiles.size), tiles)
    top, left = (
        max(0, min(round(there.middle(i + 1)) - tiles.size[i] // 2, n - tiles.size[i]))
        for i, n in enumerate(present.shape[1:])
    )
    return Tiles(tiles.size, ((top, left),), tiles.reduction)


def _shows_object(labels: npt.NDArray[np.uint8]) -> bool:
    return bool(((labels != BACKGROUND) & (labels != NOT_ANNOTATED)).any())


def _spread(slices: list[int]) -> list[int]:
    """Return all of some slices, or `MOST_SLICES` evenly spread ones."""
    if len(slices) <= MOST_SLICES:
        return slices
    return [slices[i] for i in np.linspace(0, len(slices) - 1, MOST_SLICES).round().astype(int)]


def _slice(
    image: npt.NDArray[np.generic],
    z: int,
    axis: int,
    scales: Sequence[IntensityScale],
) -> npt.NDArray[np.float32]:
    """Return a slice, normalised as `normalised_slices` does, (C, H, W)."""
    piece = np.asarray(np.take(image, z, axis))
    piece = piece[..., None] if piece.ndim == 2 else piece
    return np.stack([scale.apply(piece[..., c]) for c, scale in enumerate(scales)])
