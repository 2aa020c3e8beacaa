"""Label files of a data set that hold 0 and 255 alone, as binary masks do; see `binary_masks`."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .dataset_regions import holds_regions
from .formats import FormatError, read_labels
from .formats.binary_masks import is_binary_mask, object_as_one
from .volume.annotation import NOT_ANNOTATED
from .volume.classes import BACKGROUND, voxel_counts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .training.dataset.description import Dataset
    from .volume.image import Volume


class BinaryMasks:
    """Says whether 255 stands for the object in the label files of a data set.

    It does if there is one class, the description does not say that 255 is not annotated, and no
    file holds another value than 0 and 255: strokes on a few pixels, where 255 is what nobody
    annotated, hold 1 in some file. The files are looked at when the first one holds 0 and 255.

    Parameters
    ----------
    dataset
        The data set.
    files
        All label files of one kind.
    kind
        What these are, in the plural.
    """

    def __init__(self, dataset: Dataset, files: Iterable[Path], kind: str) -> None:
        self._kind = kind
        self._files = [*dict.fromkeys(files)]
        self._classes = dataset.classes
        possible = len(dataset.classes) == 1 and NOT_ANNOTATED not in dataset.not_annotated
        self._holds: bool | None = None if possible else False

    def with_class(self, labels: Volume) -> Volume:
        """Return labels with the value of the class where a binary mask holds 255.

        Parameters
        ----------
        labels
            As `read_labels` returns them, of one of the files.
        """
        if self._holds is None and is_binary_mask(labels, labels.geometry.shape):
            self._holds = all(map(_is_binary, self._files))
            if self._holds:
                print(
                    f"Note: all {self._kind} hold only 0 and 255, as binary masks do: 255 is taken "
                    f"for {self._name}, not for voxels that are not annotated.",
                    file=sys.stderr,
                )
        if not self._holds:
            return labels
        (value,) = self._classes
        return replace(labels, array=object_as_one(np.asarray(labels.array)) * np.uint8(value))

    @property
    def _name(self) -> str:
        (name,) = self._classes.values()
        return name


def _is_binary(path: Path) -> bool:
    """Whether a file is a binary mask, maybe an empty one; so are those that cannot be read."""
    try:
        if holds_regions(path):
            return False
        labels = read_labels(path)
    except FormatError:
        return True  # which is said when it is used
    counts = voxel_counts(np.asarray(labels.array))
    empty = int(counts[BACKGROUND]) == int(counts.sum())
    return empty or is_binary_mask(labels, labels.geometry.shape)
