"""A volume as training sees it: normalised slices along one axis, and their ink."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..methods.intensity import NotFiniteError, standardise
from ..methods.label_sources import carrying_slices, stroke_areas
from ..methods.propagation_inputs import InkedVolume
from ..methods.storage import Slices
from ..volume.annotation import NOT_ANNOTATED, Ink, SliceState, shown_classes, slice_state
from ..volume.classes import BACKGROUND
from ..volume.extent import Extent
from ..volume.user_error import UserError


class TrainingError(UserError):
    """Something that the user must change before training can work; the message says what."""


#: Slices on each side that the network sees beside the one it labels.
CONTEXT = 1

#: Channels that tell where a pixel is: slice, row, column, each from -1 to 1. In one volume place
#: says much that texture does not: left from right, the front of a structure from its back.
POSITIONS = 3


@dataclass(frozen=True)
class View:
    """Part of each slice that a stack covers.

    Parameters
    ----------
    rows, columns : slice
    height, width : int
        Of the whole slices.
    """

    rows: slice
    columns: slice
    height: int
    width: int


@dataclass
class SliceStack:
    """Slices of one volume.

    Parameters
    ----------
    image : Tensor, or slices, (Z, C, H, W) float32
        Each channel on one scale, see `intensity`.
    ink : Tensor, (Z, H, W) uint8
        Position in `class_ids`, 255 where not annotated.
    class_ids : tuple of int
        Label value of each class index; the first is the background.
    spacing : tuple of float
        Voxel size (dz, dy, dx), mm, slicing axis first.
    axis : int
        Which axis of the volume the slices were cut along.
    view : View, optional
        The part of the slices that is here, of a volume too large to be so as a whole.
    outside : list of int
        Slices, rising, that are background because the user says that the object lies elsewhere
        (`volume.extent`). They are no references, and nothing is proposed in them.
    """

    image: Tensor | Slices
    ink: Tensor
    class_ids: tuple[int, ...]
    spacing: tuple[float, float, float]
    axis: int
    view: View | None = None
    outside: list[int] = field(default_factory=list)

    @classmethod
    def from_volume(
        cls,
        image: npt.NDArray[Any],
        ink: Ink,
        axis: int,
        spacing: tuple[float, ...],
        extent: Extent | None = None,
        taught: Iterable[int] = (),
    ) -> SliceStack:
        """Cut a volume into slices.

        Parameters
        ----------
        image : ndarray, shape (*spatial) or (*spatial, C)
        ink : ndarray of uint8, shape (*spatial)
            Class ids, 255 where not annotated.
        axis : int
            Slicing axis.
        spacing : tuple of float
            Voxel size along each spatial axis.
        extent : Extent, optional
            Where the object lies along the slicing axis, as the user says.
        taught : iterable of int
            Further classes, which the ink need not hold.

        Raises
        ------
        TrainingError
            When nothing is annotated that tells an object from the background, or the image holds
            no finite value.
        """
        shown = shown_classes(ink, axis)
        outside = outside_of(extent, objects_in(shown)) if extent else []
        class_ids = class_ids_of(shown, taught, len(outside) > 0)
        lookup = np.full(256, NOT_ANNOTATED, dtype=np.uint8)
        lookup[list(class_ids)] = np.arange(len(class_ids), dtype=np.uint8)
        sliced = np.ascontiguousarray(np.moveaxis(lookup[ink], axis, 0))
        order = [spacing[axis], *(s for i, s in enumerate(spacing) if i != axis)]
        return cls(
            normalised_slices(np.moveaxis(image, axis, 0)),
            torch.from_numpy(sliced),
            class_ids,
            (float(order[0]), float(order[1]), float(order[2])),
            axis,
            outside=outside,
        )

    @property
    def depth(self) -> int:
        """Number of slices."""
        return int(self.image.shape[0])

    @property
    def classes(self) -> int:
        """Number of classes, background included."""
        return len(self.class_ids)

    @property
    def in_channels(self) -> int:
        """Input channels of a network: image channels times slices in context."""
        return int(self.image.shape[1]) * (2 * CONTEXT + 1) + POSITIONS

    def references(self) -> list[int]:
        """Wholly annotated slices."""
        return [int(i) for i in np.flatnonzero(self._states() == SliceState.WHOLE)]

    def inked(self) -> list[int]:
        """Slices with any ink."""
        return [int(i) for i in np.flatnonzero(self._states() != SliceState.EMPTY)]

    def anchors(self) -> list[int]:
        """Slices that labels are carried from, see `label_sources`."""
        states = self._states()
        if not (states == SliceState.PARTIAL).any():
            return self.references()
        shown = shown_classes(self.ink.numpy(), 0)
        whole, areas = states == SliceState.WHOLE, stroke_areas(self.ink)
        carrying = carrying_slices(shown[:, : self.classes], whole, areas)
        return [int(i) for i in np.flatnonzero(carrying)] or self.inked()

    def _states(self) -> npt.NDArray[np.uint8]:
        return np.array([slice_state(slice_ink) for slice_ink in self.ink.numpy()], np.uint8)

    def without(self, slices: list[int]) -> Tensor:
        """Ink (Z, H, W), a copy, with some slices blanked, to test on them."""
        ink = self.ink.clone()
        ink[slices] = NOT_ANNOTATED
        return ink

    def inked_volume(self, ink: Tensor | None = None) -> InkedVolume:
        """Return what labels are propagated through.

        Parameters
        ----------
        ink : Tensor, (Z, H, W) uint8, optional
            Other ink than its own, of the same classes.

        Returns
        -------
        InkedVolume
        """
        ink = self.ink if ink is None else ink
        return InkedVolume(self.image, ink, self.classes, self.spacing, self.outside)

    def empty_outside(self, probabilities: Tensor) -> Tensor:
        """Make probabilities (Z, K, H, W) those of sure background outside, in place."""
        for z in self.outside:
            probabilities[z] = 0
            probabilities[z, 0] = 1
        return probabilities

    def context(self, slices: Tensor) -> Tensor:
        """Slices with their neighbours as further channels.

        Parameters
        ----------
        slices : Tensor of int64, (B,)

        Returns
        -------
        Tensor, (B, in_channels, H, W)
            At the ends of the volume the last slice is repeated. The last channels are positions.
        """
        around = torch.arange(-CONTEXT, CONTEXT + 1)
        index = (slices[:, None] + around[None]).clamp(0, self.depth - 1)
        images = self.image[index].flatten(1, 2)
        b, _, h, w = images.shape
        z = (2 * slices.float() / max(self.depth - 1, 1) - 1).to(images.device)
        view = self.view or View(slice(0, h), slice(0, w), h, w)
        rows = torch.linspace(-1, 1, view.height, device=images.device)[view.rows]
        columns = torch.linspace(-1, 1, view.width, device=images.device)[view.columns]
        positions = torch.stack(
            [
                z[:, None, None].expand(b, h, w),
                rows[None, :, None].expand(b, h, w),
                columns[None, None, :].expand(b, h, w),
            ],
            1,
        )
        return torch.cat([images, positions], 1)

    def to_volume(self, sliced: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turn (Z, H, W) back to the volume's axis order; a new array where they differ."""
        return np.ascontiguousarray(np.moveaxis(sliced, 0, self.axis))

    def to_ids(self, indices: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Turn class indices, of any shape, to label values. IndexError for what is no class."""
        return np.asarray(self.class_ids, dtype=np.uint8)[indices]


def outside_of(extent: Extent, objects: npt.NDArray[np.bool_]) -> list[int]:
    """Slices, rising, outside of an extent, of a volume with objects inked in some (Z,) bool."""
    return [int(z) for z in np.flatnonzero(extent.outside(objects))]


def objects_in(shown: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Slices (Z,) in which an object is inked, of those that values (Z, 256) occur in."""
    objects = shown.copy()
    objects[:, [BACKGROUND, NOT_ANNOTATED]] = False
    return np.asarray(objects.any(axis=1))


def whole_slices(shown: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Wholly annotated slices (Z,), of those that values (Z, 256) occur in."""
    return ~shown[:, NOT_ANNOTATED]


def class_ids_of(
    shown: npt.NDArray[np.bool_], taught: Iterable[int] = (), empty: bool = False
) -> tuple[int, ...]:
    """Return the classes to learn, background first.

    Parameters
    ----------
    shown : ndarray of bool, (Z, 256)
        Which values of ink occur in every slice, 255 where there is none.
    taught : iterable of int
        Further classes, that other volumes teach.
    empty : bool
        Whether slices are known to be empty without ink.

    Raises
    ------
    TrainingError
        When nothing is annotated that tells an object from the background.
    """
    present, whole = np.asarray(shown.any(axis=0)), whole_slices(shown)
    ids = [int(i) for i in np.flatnonzero(present) if i not in (BACKGROUND, NOT_ANNOTATED)]
    if not ids:
        raise TrainingError(
            "Nothing but background is annotated; paint at least one class on one slice."
        )
    # Strokes spread over all of their slice if nothing there is background. Whole slices may well
    # hold none: several classes are told apart, and a single one ends at the empty slices.
    if not present[BACKGROUND] and not (whole.any() and (empty or len(ids) > 1)):
        what = "Only one class is" if len(ids) == 1 else "Only classes are"
        raise TrainingError(
            f"{what} annotated and no background; mark a slice as reference, or "
            "paint some background (label 0)."
        )
    if not carrying_slices(shown[:, [BACKGROUND, *ids]], whole).any():
        raise TrainingError(
            "No slice shows both an object and background; paint some background (label 0) on a "
            "slice with an object, or mark it as reference."
        )
    return (BACKGROUND, *sorted({*ids, *taught}))


def normalised_slices(image: npt.NDArray[Any]) -> Tensor:
    """Bring each channel of (Z, H, W[, C]), of any real type, to one scale, see `intensity`.

    Returns
    -------
    Tensor, (Z, C, H, W) float32

    Raises
    ------
    TrainingError
        When a channel holds no finite value.
    """
    if image.ndim == 3:
        image = image[..., None]
    try:
        return standardise(np.moveaxis(image, -1, 1))
    except NotFiniteError as error:
        raise TrainingError(str(error)) from error
