"""Label files of a data set that name regions: DICOM segmentations and RT structure sets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .formats.dicom_rtstruct_reader import read_structure_set, structure_set_at
from .formats.dicom_seg_reader import is_segmentation, read_segmentation
from .formats.label_import import GridDiffersError, ImportedLabels, import_labels
from .formats.region_choice import MOST_LISTED
from .formats.region_masks import Regions, listed
from .volume.annotation import NOT_ANNOTATED
from .volume.classes import BACKGROUND, ClassTable

if TYPE_CHECKING:
    import numpy.typing as npt

    from .volume.image import Volume


def holds_regions(path: Path) -> bool:
    """Whether a file, or the only structure set in a folder, names regions.

    Raises
    ------
    FormatError
        If a folder holds several structure sets.
    """
    return structure_set_at(path) is not None or (path.is_file() and is_segmentation(path))


@dataclass(frozen=True)
class RegionValues:
    """Which values the regions of label files get.

    Parameters
    ----------
    classes
        Value to name; regions of these names are taken, in whatever case, others are background.
    overlapping
        Whether values are powers of two, whose sums stand for classes that overlap.
    complete
        Whether slices without a contour are background; else nothing is said of them.
    """

    classes: Mapping[int, str]
    overlapping: bool = False
    complete: bool = False

    def read(self, path: Path, like: Volume | None) -> npt.NDArray[np.uint8]:
        """Read a file onto the grid of an image; what is remarkable about it goes to stderr.

        Parameters
        ----------
        path
            For which `holds_regions`.
        like
            The image, or None where there is none that says where it lies.

        Raises
        ------
        UserError
            With one sentence, also when no region has the name of a class.
        """
        from .training.dataset.errors import DatasetError

        if like is None:
            raise DatasetError(f"{path} needs an image that says where it lies.")
        there = _names(path)
        known = {name.strip().casefold() for name in there}
        names = [name for name in self.classes.values() if name.strip().casefold() in known]
        if not names:
            raise DatasetError(
                f"{path} has no region that is called as a class "
                f"({listed([*self.classes.values()], MOST_LISTED)}); it has: "
                f"{listed(there, MOST_LISTED)}."
            )
        try:
            labels, remarks = self._read(path, like, names)
        except GridDiffersError as error:
            raise DatasetError(
                f"{path} is on another grid than the image {like.source or like.name}: "
                f"{error.reason}; resample it onto the image first."
            ) from error
        for remark in remarks:
            print(f"Note: {path}: {remark}", file=sys.stderr)
        return labels

    def _read(
        self, path: Path, like: Volume, names: list[str]
    ) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
        table = ClassTable.from_ids(self.classes)
        for value, name in self.classes.items():
            table.rename(value, name)

        def imported(wanted: list[str]) -> ImportedLabels:
            return import_labels(path, like, classes=table, regions=wanted)

        if structure_set_at(path) is None and self.overlapping:
            total = np.zeros(like.geometry.shape, np.uint8)
            for name in names:  # segments share voxels, which labels of one class a voxel cannot
                total |= imported([name]).labels
            return total, ()
        found = imported(names)
        if found.regions is None:
            return found.labels, found.remarks
        shown = like.geometry.canonical().apply(found.labels)
        onto = shown.reshape(found.regions.shape)  # those of a plane are those of a stack of one
        remarks = found.remarks
        if self.overlapping:
            onto, remarks = _sums(found.regions), found.regions.remarks
        silent = onto == NOT_ANNOTATED
        if self.complete:
            onto = np.where(silent & ~_left_to_do(found.regions), np.uint8(BACKGROUND), onto)
        elif silent.all(axis=_others(found.regions.axis)).any():
            remarks = (
                *remarks,
                "slices without a contour count as not annotated; complete_contours: true makes "
                "them background.",
            )
        labels = like.geometry.canonical().invert(onto.reshape(shown.shape))
        return np.ascontiguousarray(labels), remarks


def _names(path: Path) -> list[str]:
    if contours := structure_set_at(path):
        return [region.name for region in read_structure_set(contours)]
    return [*read_segmentation(path).names.values()]


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)


def _left_to_do(regions: Regions) -> npt.NDArray[np.bool_]:
    """Return the voxels of slices of which a region was probably left out."""
    found = np.zeros(regions.shape, bool)
    for mask in regions.masks.values():
        for axis, index in mask.left_to_do():
            np.moveaxis(found, axis, 0)[index] = True
    return found


def _sums(regions: Regions) -> npt.NDArray[np.uint8]:
    """Return labels in which each voxel has the sum of the ids of its regions."""
    labels = np.zeros(regions.shape, np.uint8)
    shown = np.zeros(regions.shape, bool)
    for value, mask in regions.masks.items():
        for part in mask.slices:
            np.moveaxis(shown, part.axis, 0)[part.index] = True
            part.within(labels)[part.mask] |= np.uint8(value)
    # A sum cannot say that one of several is unknown.
    labels[~shown | _left_to_do(regions)] = NOT_ANNOTATED
    return labels
