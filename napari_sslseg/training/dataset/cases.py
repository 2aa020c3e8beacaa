"""Cases in memory: normalised images and class indices at the size that training sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ...volume.annotation import NOT_ANNOTATED
from ...volume.array_files import value_counts
from ..stack import TrainingError, normalised_slices
from .description import Dataset, DatasetError, Entry


class ImageData(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    array
        ``(*spatial)`` or ``(*spatial, C)``.
    spacing
        mm along each spatial axis.
    channels_last
        Whether the last axis are channels.
    read_labels
        Reads an annotation onto the grid of this image; None where files say nothing of grids, so
        that shapes have to do.
    """

    array: npt.NDArray[Any]
    spacing: tuple[float, ...]
    channels_last: bool
    read_labels: Callable[[Path], npt.NDArray[Any]] | None = None


class Reader(Protocol):
    """How files are read; the caller brings it, as training knows no formats."""

    def image(self, paths: tuple[Path, ...]) -> ImageData:
        """Read an image.

        Parameters
        ----------
        paths
            One file; or several, which are channels in this order.

        Raises
        ------
        UserError
            With one sentence, when they cannot be read.
        """

    def labels(self, path: Path) -> npt.NDArray[Any]:
        """Read an annotation's label values ``(*spatial)`` as its file has them, no channels."""


@dataclass
class Case:
    """One case as training sees it.

    Attributes
    ----------
    name
        Of the entry.
    image
        ``(Z, C, H, W)`` float32. Slices of the data set's size; for patches as in the file.
    target
        ``(Z, H, W)`` uint8 class indices, or ``(Z, K, H, W)`` of 0 and 1 where classes overlap, 255
        where not annotated; None without labels.
    plane
        Height and width in the file.
    spacing
        Of the file, along its own axes.
    flat
        Whether the file holds a single picture.
    window
        Rows and columns of the file's slices that `image` and `target` show; see
        `Dataset.middle`.
    values
        All values in the label file, rising; none without labels.
    """

    name: str
    image: Tensor
    target: Tensor | None
    plane: tuple[int, int]
    spacing: tuple[float, ...]
    flat: bool
    window: tuple[slice, slice] = (slice(None), slice(None))
    values: tuple[int, ...] = ()


class Loader(Protocol):
    """How cases get into memory: `load_case`, or a caller's store of cases it has loaded before."""

    def __call__(
        self, entry: Entry, dataset: Dataset, reader: Reader, with_labels: bool = True
    ) -> Case:
        """Return a case; it must not be changed."""


def load_case(entry: Entry, dataset: Dataset, reader: Reader, with_labels: bool = True) -> Case:
    """Read one case.

    Parameters
    ----------
    entry
        Its name and files.
    dataset
        Says how they are cut into slices, resized, and which value is which class.
    reader
        Reads files.
    with_labels
        Whether to read the annotation, if there is one.

    Raises
    ------
    DatasetError
        When its files do not fit the description, or each other.
    """
    data = reader.image(entry.images)
    shape = data.array.shape[:-1] if data.channels_last else data.array.shape
    flat = len(shape) == 2
    if len(shape) not in (2, 3):
        raise DatasetError(f"{entry.name} has {len(shape)} dimensions; a case has 2 or 3.")
    if flat and dataset.dimensions == 3:
        raise DatasetError(f"{entry.name} is a single picture; patches need volumes.")
    array = data.array[None] if flat else np.moveaxis(data.array, dataset.axis, 0)
    if not data.channels_last:
        array = array[..., None]
    try:
        image = normalised_slices(np.asarray(array))
    except TrainingError as error:
        raise DatasetError(f"{entry.name}: {error}") from error
    target: Tensor | None = None
    values: tuple[int, ...] = ()
    if with_labels and entry.labels is not None:
        labels = (data.read_labels or reader.labels)(entry.labels)
        if labels.shape != shape:
            raise DatasetError(
                f"The labels of {entry.name} have the shape {labels.shape} but its image {shape}."
            )
        labels = labels[None] if flat else np.moveaxis(labels, dataset.axis, 0)
        values = _values_in(labels)
        target = torch.from_numpy(np.ascontiguousarray(to_indices(labels, dataset)))
    plane = (int(image.shape[-2]), int(image.shape[-1]))
    window = (_middle(plane[0], dataset.middle), _middle(plane[1], dataset.middle))
    if dataset.dimensions == 2:
        image = image[..., window[0], window[1]]
        seen, size = tuple(image.shape[-2:]), (dataset.size[0], dataset.size[1])
        shrinks = size[0] < seen[0] or size[1] < seen[1]
        if size != seen:
            image = F.interpolate(image, size, mode="bilinear", antialias=shrinks)
        if target is not None:
            target = target[..., window[0], window[1]]
            target = _resized(target, size) if size != seen else target.contiguous()
    return Case(entry.name, image.contiguous(), target, plane, data.spacing, flat, window, values)


def _values_in(labels: npt.NDArray[Any]) -> tuple[int, ...]:
    if labels.dtype == np.uint8:  # as all formats have them: sorting would take much longer
        return tuple(np.flatnonzero(value_counts(labels)).tolist())
    return tuple(np.unique(labels).tolist())


def _middle(length: int, share: float) -> slice:
    """Return the middle part of a side: at least one pixel."""
    kept = max(1, round(length * share))
    start = (length - kept) // 2
    return slice(start, start + kept)


def load_cases(
    entries: Iterable[Entry],
    dataset: Dataset,
    reader: Reader,
    with_labels: bool = True,
    progress: Callable[[str], None] = lambda name: None,
    load: Loader = load_case,
) -> list[Case]:
    """Read cases and check that they have as many channels as the first one.

    Parameters
    ----------
    entries
        Cases in the order of the result.
    dataset, reader, with_labels
        As of `load_case`.
    progress
        Receives the name of each case before it is read.
    load
        Loads a case.

    Raises
    ------
    DatasetError
        As `load_case`, or when the channels differ.
    """
    cases: list[Case] = []
    for entry in entries:
        progress(entry.name)
        case = load(entry, dataset, reader, with_labels)
        if cases and case.image.shape[1] != cases[0].image.shape[1]:
            raise DatasetError(
                f"{case.name} has {channels_in_words(case.image.shape[1])} but {cases[0].name} has "
                f"{cases[0].image.shape[1]}; all cases need the same."
            )
        cases.append(case)
    return cases


def channels_in_words(number: int) -> str:
    """Return a number of channels for messages."""
    return f"{number} channel{'' if number == 1 else 's'}"


def to_indices(labels: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.uint8]:
    """Turn label values into targets; see `Case.target`.

    Parameters
    ----------
    labels
        ``(Z, H, W)`` of any whole numbers. Those of no class are background.
    dataset
        For the classes, and for what is not annotated.
    """
    blank = np.isin(labels, (*dataset.not_annotated, NOT_ANNOTATED))
    if dataset.overlapping:
        bits = labels.astype(np.int64)
        sets = np.stack([(bits & value) > 0 for value in dataset.classes], 1).astype(np.uint8)
        return np.where(blank[:, None], np.uint8(NOT_ANNOTATED), sets)
    indices = np.zeros(labels.shape, np.uint8)
    for index, value in enumerate(dataset.classes, start=1):
        indices[labels == value] = index
    indices[blank] = NOT_ANNOTATED
    return indices


def to_values(target: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.uint8]:
    """Turn class indices or sets into the values of label files ``(Z, H, W)``.

    Parameters
    ----------
    target
        ``(Z, H, W)`` or, where classes overlap, ``(Z, K, H, W)``, uint8, as in `Case.target`. What
        is not annotated becomes background.
    dataset
        For the classes.
    """
    if dataset.overlapping:
        values = np.zeros((target.shape[0], *target.shape[2:]), np.uint8)
        for k, value in enumerate(dataset.classes):
            values |= np.where(target[:, k] == 1, np.uint8(value), np.uint8(0))
        return values
    lookup = np.zeros(256, np.uint8)
    lookup[1 : len(dataset.classes) + 1] = list(dataset.classes)
    return lookup[target]


def _resized(target: Tensor, size: tuple[int, int]) -> Tensor:
    maps = target if target.ndim == 4 else target[:, None]
    moved = F.interpolate(maps.float(), size, mode="nearest-exact").to(target.dtype)
    return moved if target.ndim == 4 else moved[:, 0]
