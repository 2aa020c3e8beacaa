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

from ..methods.propagation import PropagationConfig
from ..volume.annotation import NOT_ANNOTATED
from ..volume.array_files import pieces
from ..volume.stored_ink import JoinedInk
from .stack import LEAST_SPREAD, SliceStack, TrainingError, View, class_ids_of
from .workspace import Workspace

#: Pixels between the region that labels are carried in and the edge of the window: room for the
#: frames of a network, and for what the references do not show.
ROOM = 48

#: Values of a channel from which its percentiles are taken.
_SAMPLE = 1_000_000


@dataclass(frozen=True)
class Survey:
    """What is inked, found slice by slice.

    Parameters
    ----------
    present : ndarray of bool, (256,)
        Which values occur.
    bounds : tuple of two (int, int), or None
        First and last row and column, in slices along the axis, that show an inked object.
    inked, whole : int
        Slices along the axis with any ink; those of them that are wholly annotated.
    objects : ndarray of bool, (Z,)
        Slices along the axis in which an object is inked.
    """

    present: npt.NDArray[np.bool_]
    bounds: tuple[tuple[int, int], tuple[int, int]] | None
    inked: int
    whole: int
    objects: npt.NDArray[np.bool_]

    @property
    def anchors(self) -> int:
        """Slices that labels are carried from; see `SliceStack.anchors`."""
        return self.whole or self.inked


def survey(ink: JoinedInk, axis: int) -> Survey:
    """Look through the ink of a volume."""
    shape = ink.shape
    present = np.zeros(256, dtype=bool)
    seen = [np.zeros(n, dtype=bool) for n in shape]
    pixels = np.zeros(shape[axis], dtype=np.int64)
    for index in range(shape[0]):
        slab = ink[index]
        if slab is None:
            present[NOT_ANNOTATED] = True
            continue
        present |= np.bincount(slab.ravel(), minlength=256) > 0
        stated = slab != NOT_ANNOTATED
        if axis == 0:
            pixels[index] = np.count_nonzero(stated)
        else:
            pixels += np.count_nonzero(stated, axis=2 - axis)
        objects = stated & (slab != 0)
        if objects.any():
            seen[0][index] = True
            seen[1] |= objects.any(axis=1)
            seen[2] |= objects.any(axis=0)
    others = [np.flatnonzero(seen[i]) for i in range(3) if i != axis]
    bounds = None
    if len(others[0]):
        bounds = tuple((int(where[0]), int(where[-1])) for where in others)
    whole = pixels == math.prod(shape) // max(shape[axis], 1)
    counts = int(np.count_nonzero(pixels)), int(np.count_nonzero(whole))
    return Survey(present, bounds, *counts, seen[axis])  # type: ignore[arg-type]


def window_around(found: Survey, height: int, width: int) -> View:
    """Return the part of the slices to work on: the inked objects with a wide border."""
    if found.bounds is None:
        return View(slice(0, height), slice(0, width), height, width)
    config = PropagationConfig()
    spans = []
    for (low, high), length in zip(found.bounds, (height, width), strict=True):
        border = max(config.minimum_margin, math.ceil(config.margin * (high - low))) + ROOM
        spans.append(slice(max(0, low - border), min(length, high + border + 1)))
    return View(spans[0], spans[1], height, width)


def grown_view(view: View, probabilities: Tensor) -> View:
    """Move those edges of a window outwards that the proposed objects reach; else the same one."""
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
    scales : list of (low, high, mean, spread)
        Of each channel, see `channel_scales`.
    release : callable
        Called after slices were read, to give back the memory of the file.
    """

    def __init__(
        self,
        raw: npt.NDArray[Any],
        scales: list[tuple[float, float, float, float]],
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
            for c, (low, high, mean, spread) in enumerate(self._scales):
                channel = self._raw[int(z), :, :, c].astype(np.float32)
                out[c] = (np.clip(channel, low, high, out=channel) - np.float32(mean)) / spread
        self._release()
        return torch.from_numpy(result.reshape(*places.shape, *self.shape[1:]))


def channel_scales(
    image: npt.NDArray[Any], channels: int, check: Callable[[], object]
) -> list[tuple[float, float, float, float]]:
    """Return percentiles, mean and spread of each channel, as `normalised_slices` uses them.

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
        When values are not finite.
    """

    def blocks() -> Iterator[npt.NDArray[np.float32]]:
        for piece in pieces(image):
            yield piece.reshape(-1, channels).astype(np.float32)
            check()

    voxels = math.prod(image.shape[:3])
    step, start = max(1, voxels // _SAMPLE), 0
    samples = []
    for block in blocks():
        if not np.isfinite(block).all():
            raise TrainingError("The image holds values that are not finite (NaN or infinite).")
        samples.append(block[-start % step :: step].copy())
        start += len(block)
    limits = []
    for sample in np.concatenate(samples).T:
        low, high = np.percentile(sample, [0.5, 99.5])
        if high <= low:
            low, high = float(sample.min()), float(sample.max())
        limits.append((float(low), float(high) if high > low else float(low) + 1))
    total, squares = np.zeros(channels), np.zeros(channels)
    for block in blocks():
        for c, (low, high) in enumerate(limits):
            # From the middle of the range, so that the difference of large sums stays exact.
            value = np.clip(block[:, c], low, high) - np.float32((low + high) / 2)
            total[c] += value.sum(dtype=np.float64)
            squares[c] += np.square(value, out=value).sum(dtype=np.float64)
    scales = []
    for (low, high), first, second in zip(limits, total / voxels, squares / voxels, strict=True):
        spread = max(math.sqrt(max(second - first**2, 0.0)), LEAST_SPREAD * (high - low))
        scales.append((low, high, first + float(np.float32((low + high) / 2)), spread))
    return scales


def windowed_stack(
    image: npt.NDArray[Any],
    ink: JoinedInk,
    found: Survey,
    axis: int,
    spacing: tuple[float, ...],
    view: View,
    scales: list[tuple[float, float, float, float]],
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
    """
    class_ids = class_ids_of(found.present, taught, found.whole > 0, len(outside) > 0)
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
