"""A large volume as training sees it: only the objects' surroundings, read slice by slice.

The stack of such a volume covers a window of its slices. Image and ink are read from the project
as they are needed; what is known of every voxel lies in the files of a `Workspace`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..methods.intensity import IntensityScale, NotFiniteError, fit_scales
from ..methods.label_sources import carrying_slices
from ..methods.propagation import PropagationConfig
from ..volume.annotation import NOT_ANNOTATED
from ..volume.array_files import pieces
from ..volume.stored_ink import JoinedInk
from .stack import SliceStack, TrainingError, View, class_ids_of, objects_in, whole_slices
from .workspace import Workspace

#: Pixels between the region that labels are carried in and the edge of the window: room for the
#: frames of a network, and for what the references do not show.
ROOM = 48


@dataclass(frozen=True)
class Survey:
    """What is inked, found slice by slice.

    Parameters
    ----------
    shown : ndarray of bool, (Z, 256)
        Which values occur in every slice along the axis, 255 where there is no ink.
    bounds : tuple of two (int, int), or None
        First and last row and column, in slices along the axis, that show an inked object.
    """

    shown: npt.NDArray[np.bool_]
    bounds: tuple[tuple[int, int], tuple[int, int]] | None

    @property
    def classes(self) -> list[int]:
        """Label values of what is inked anywhere, rising."""
        return [int(i) for i in np.flatnonzero(self._inked.any(axis=0))]

    @property
    def objects(self) -> npt.NDArray[np.bool_]:
        """Slices (Z,) in which an object is inked."""
        return objects_in(self.shown)

    @property
    def anchors(self) -> int:
        """Most slices that labels can be carried from; see `SliceStack.anchors`."""
        carrying = carrying_slices(self._inked, whole_slices(self.shown))
        return int(np.count_nonzero(carrying)) or int(np.count_nonzero(self._inked.any(axis=1)))

    @property
    def _inked(self) -> npt.NDArray[np.bool_]:
        return self.shown[:, :NOT_ANNOTATED]


def survey(ink: JoinedInk, axis: int) -> Survey:
    """Look through the ink of a volume of three axes.

    Parameters
    ----------
    ink : JoinedInk
        Class ids, read slab by slab.
    axis : int
        Slicing axis, counted from 0.
    """
    shape = ink.shape
    shown = np.zeros((shape[axis], 256), dtype=bool)
    seen = [np.zeros(n, dtype=bool) for n in shape]
    for index in range(shape[0]):
        slab = ink[index]
        if slab is None:
            shown[index if axis == 0 else slice(None), NOT_ANNOTATED] = True
            continue
        values = np.flatnonzero(np.bincount(slab.ravel(), minlength=256))
        if axis == 0:
            shown[index, values] = True
        else:
            for value in values:
                shown[:, value] |= (slab == value).any(axis=2 - axis)
        objects = (slab != NOT_ANNOTATED) & (slab != 0)
        if objects.any():
            seen[0][index] = True
            seen[1] |= objects.any(axis=1)
            seen[2] |= objects.any(axis=0)
    others = [np.flatnonzero(seen[i]) for i in range(3) if i != axis]
    bounds = None
    if len(others[0]):
        bounds = tuple((int(where[0]), int(where[-1])) for where in others)
    return Survey(shown, bounds)  # type: ignore[arg-type]


def window_around(found: Survey, height: int, width: int) -> View:
    """Return the part of the slices to work on: the inked objects with a wide border.

    Parameters
    ----------
    found : Survey
        Without an inked object, all of the slices.
    height, width : int
        Of the slices, pixels.
    """
    if found.bounds is None:
        return View(slice(0, height), slice(0, width), height, width)
    config = PropagationConfig()
    spans = []
    for (low, high), length in zip(found.bounds, (height, width), strict=True):
        border = max(config.minimum_margin, math.ceil(config.margin * (high - low))) + ROOM
        spans.append(slice(max(0, low - border), min(length, high + border + 1)))
    return View(spans[0], spans[1], height, width)


def grown_view(view: View, probabilities: Tensor) -> View:
    """Move those edges of a window outwards that the proposed objects reach; else the same one.

    Parameters
    ----------
    view : View
    probabilities : Tensor, (Z, K, H, W)
        In the window. An edge that is reached moves by half the window's side, as far as the
        slices go.
    """
    rows, columns = view.rows, view.columns
    touched = torch.zeros(probabilities.shape[-2:], dtype=torch.bool)
    for slice_ in probabilities:
        touched |= slice_[0] < 0.5
    step = math.ceil((rows.stop - rows.start) / 2)
    top = max(0, rows.start - step) if bool(touched[0].any()) else rows.start
    bottom = min(view.height, rows.stop + step) if bool(touched[-1].any()) else rows.stop
    step = math.ceil((columns.stop - columns.start) / 2)
    left = max(0, columns.start - step) if bool(touched[:, 0].any()) else columns.start
    right = min(view.width, columns.stop + step) if bool(touched[:, -1].any()) else columns.stop
    return View(slice(top, bottom), slice(left, right), view.height, view.width)


class NormalisedSlices:
    """Slices that are normalised when they are read; (Z, C, H, W) float32.

    Parameters
    ----------
    raw : ndarray, (Z, H, W, C)
        Perhaps memory-mapped.
    scales : list of IntensityScale
        Of each channel, see `channel_scales`.
    release : callable
        Called after slices were read, to give back the memory of the file.
    """

    def __init__(
        self,
        raw: npt.NDArray[Any],
        scales: list[IntensityScale],
        release: Callable[[], object],
    ) -> None:
        self._raw, self._scales, self._release = raw, scales, release
        depth, height, width, channels = raw.shape
        self.shape = (depth, channels, height, width)

    def __getitem__(self, index: Any) -> Tensor:
        """Return slices by an integer, a list or a tensor of integers."""
        places = np.asarray(index)
        result = np.empty((places.size, *self.shape[1:]), dtype=np.float32)
        for out, z in zip(result, places.ravel(), strict=True):
            for c, scale in enumerate(self._scales):
                out[c] = scale.apply(np.asarray(self._raw[int(z), :, :, c]))
        self._release()
        return torch.from_numpy(result.reshape(*places.shape, *self.shape[1:]))


def channel_scales(
    image: npt.NDArray[Any], channels: int, check: Callable[[], object]
) -> list[IntensityScale]:
    """Return the scale of each channel, as `normalised_slices` uses it.

    Parameters
    ----------
    image : ndarray, (*spatial) or (*spatial, C)
        Read twice, piece by piece.
    channels : int
    check : callable
        Called after every piece.

    Raises
    ------
    TrainingError
        When a channel holds no finite value.
    """

    def blocks() -> Iterator[npt.NDArray[Any]]:
        for piece in pieces(image):
            yield piece.reshape(-1, channels)
            check()

    try:
        return fit_scales(blocks, image.shape[:3])
    except NotFiniteError as error:
        raise TrainingError(str(error)) from error


def windowed_stack(
    image: npt.NDArray[Any],
    ink: JoinedInk,
    found: Survey,
    axis: int,
    spacing: tuple[float, ...],
    view: View,
    scales: list[IntensityScale],
    workspace: Workspace,
    taught: Iterable[int] = (),
    outside: Sequence[int] = (),
) -> SliceStack:
    """Cut a window of a volume into slices, all in files.

    Parameters
    ----------
    image : ndarray, (*spatial) or (*spatial, C)
        Memory-mapped.
    ink : JoinedInk
    found : Survey
        Of this ink.
    axis, spacing
        See `SliceStack.from_volume`.
    view : View
        The window.
    scales : list
        From `channel_scales`.
    workspace : Workspace
    taught : iterable of int
        See `SliceStack.from_volume`.
    outside : sequence of int
        See `SliceStack`.

    Raises
    ------
    TrainingError
        When nothing is annotated that tells an object from the background.
    OSError
        When the disk is full.
    """
    class_ids = class_ids_of(found.shown, taught, len(outside) > 0)
    lookup = np.full(256, NOT_ANNOTATED, dtype=np.uint8)
    lookup[list(class_ids)] = np.arange(len(class_ids), dtype=np.uint8)
    rows, columns = view.rows, view.columns
    height, width = rows.stop - rows.start, columns.stop - columns.start
    depth = image.shape[axis]
    if image.ndim == 3:
        image = image[..., None]
    workspace.watch(image)
    raw = image[:, rows, columns]
    cut = workspace.array((depth, height, width), np.uint8)
    if axis == 0:
        for z in range(depth):
            slab = ink[z]
            cut[z] = NOT_ANNOTATED if slab is None else lookup[slab[rows, columns]]
            workspace.release()
    else:
        # The file's first axis are the rows: it is read in its order, and written across.
        raw = workspace.array((depth, height, width, image.shape[-1]), image.dtype)
        for row in range(height):
            plane = image[rows.start + row]
            raw[:, row] = np.moveaxis(plane, axis - 1, 0)[:, columns]
            slab = ink[rows.start + row]
            if slab is None:
                cut[:, row] = NOT_ANNOTATED
            else:
                cut[:, row] = lookup[np.moveaxis(slab, axis - 1, 0)[:, columns]]
            workspace.release()
    order = [spacing[axis], *(s for i, s in enumerate(spacing) if i != axis)]
    return SliceStack(
        NormalisedSlices(raw, scales, workspace.release),
        torch.from_numpy(cut),
        class_ids,
        (float(order[0]), float(order[1]), float(order[2])),
        axis,
        view,
        list(outside),
    )
