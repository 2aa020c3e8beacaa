"""Existing labels, brought onto the grid of an image."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, voxel_counts
from .binary_masks import REMARK, is_binary_mask, object_as_one
from .class_ids import by_name, class_ids
from .contour_placement import frame_of_reference, place_regions
from .dicom_rtstruct_reader import structure_set_at
from .dicom_seg_planes import plane_placement
from .dicom_seg_reader import is_segmentation, read_segmentation, whole_volume
from .errors import FormatError
from .grids import difference, with_slice_axis
from .label_names import label_names
from .label_placing import GridDiffersError, by_nearest, laid_onto
from .region_masks import Regions
from .registry import read_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..volume.classes import ClassTable
    from ..volume.image import Volume
    from .dicom_seg_reader import Segmentation

__all__ = ["GridDiffersError", "ImportedLabels", "import_labels", "of_regions"]


@dataclass(frozen=True)
class ImportedLabels:
    """Labels on the grid of an image.

    Parameters
    ----------
    labels : ndarray of uint8
        In the file order of the image; 255 where the file says nothing.
    resampled : bool
        Whether the file was on another grid.
    names : dict of int to str
        Names of the ids, where the file says them.
    remarks : tuple of str
        One sentence for each thing that the user ought to know.
    regions : Regions, optional
        What the labels were made of, in display order, where the file has outlines, which may
        overlap.
    """

    labels: NDArray[np.uint8]
    resampled: bool = False
    names: dict[int, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    regions: Regions | None = None


def import_labels(
    path: str | os.PathLike[str],
    like: Volume,
    *,
    classes: ClassTable | None = None,
    resample: bool = False,
    regions: Sequence[str] | None = None,
) -> ImportedLabels:
    """Read labels that were made elsewhere.

    Axes in another order or direction, and a file that covers a part of the image only, are no
    other grid: as long as voxel lies on voxel, nothing is interpolated. What does not say where it
    lies is placed by its shape, see `laid_onto`.
    In a mask of 0 and 255 alone, 255 becomes class 1, see `binary_masks`. Where the file says what
    its labels are called (see `label_names`), they get the ids of the classes of the same name.

    Parameters
    ----------
    path : path-like
        Any label file that can be read, a DICOM segmentation, or an RT structure set or the folder
        that holds one.
    like : Volume
        The image; its values are not looked at.
    classes : ClassTable, optional
        Classes that there are already: what is called like one of them gets its id.
    resample : bool
        Bring labels on another grid onto this one, each voxel taking the nearest label.
    regions : sequence of str, optional
        Names of the regions of a structure set, or the segments of a segmentation, that are
        wanted; those that are no classes are numbered in this order. All by default.

    Raises
    ------
    GridDiffersError
        If the grids differ and `resample` is false.
    FormatError
        If the file cannot be read or is no mask (fractions, negative ids, ids above 255), lies
        outside the image, or holds no label at all; if it has no region of a name.
    """
    file = Path(os.path.abspath(path))
    if contours := structure_set_at(file):
        found = _from_contours(contours, like, classes, regions)
    elif os.path.isfile(file) and is_segmentation(file):
        found = _from_segmentation(read_segmentation(file), like, classes, resample, regions)
    elif regions is not None:
        raise FormatError(
            f"{file} has no regions to choose from: only DICOM structure sets and segmentations "
            "have them."
        )
    else:
        source = read_labels(file)
        # Before 255 is filled in where the file says nothing.
        binary = is_binary_mask(source, like.geometry.shape)
        if binary:
            source = replace(source, array=object_as_one(np.asarray(source.array)))
        placed = laid_onto(str(file), source, like, resample=resample)
        labels = placed.labels
        names: dict[int, str] = {}
        if not binary:  # of a picture of two values nothing is named
            labels, names = by_name(str(file), labels, label_names(file), classes)
        remarks = (*source.warnings, *([REMARK] if binary else []), *placed.remarks)
        found = ImportedLabels(labels, placed.resampled, names, remarks)
    counts = voxel_counts(found.labels)
    ids = [int(i) for i in np.flatnonzero(counts)]
    stated = [i for i in ids if i != NOT_ANNOTATED]
    if not stated or (found.resampled and stated == [BACKGROUND]):
        raise FormatError(
            f"{file} holds no label within the image (255 stands for not annotated); choose "
            "another file, or write 1 where the object is."
        )
    return found


def _from_segmentation(
    found: Segmentation,
    like: Volume,
    classes: ClassTable | None,
    resample: bool,
    wanted: Sequence[str] | None,
) -> ImportedLabels:
    """Return the labels of a DICOM segmentation; frames that it leaves out are empty."""
    numbers = {number: number for number in found.names}
    if wanted is not None:
        found = found.only(wanted)
        numbers = dict(enumerate(found.names, 1))
    ids = class_ids(found.path, {i: found.names[n] for i, n in numbers.items()}, classes)
    names = {ids[i]: found.names[n] for i, n in numbers.items()}
    table = np.zeros(1 << 16, dtype=np.uint8)  # segment numbers have 16 bits
    for i, number in numbers.items():
        table[number] = ids[i]
    onto = with_slice_axis(like.geometry)
    labels = np.zeros(onto.shape, dtype=np.uint8)
    for frame in found.frames:
        placed = plane_placement(frame.geometry, onto)
        if placed is None:
            break
        values = table[frame.plane] if frame.segment == 0 else frame.plane * table[frame.segment]
        part, target = placed.overlap(values, labels)
        if np.count_nonzero(part) < np.count_nonzero(values):
            break
        if (target[part > 0] > 0).any():
            raise FormatError(
                f"{found.path} has segments that overlap, but a voxel has one class; export them "
                "one by one."
            )
        target[part > 0] = part[part > 0]
    else:
        return ImportedLabels(labels.reshape(like.geometry.shape), False, names)
    volume = whole_volume(Path(found.path))
    if not resample:
        raise GridDiffersError(found.path, difference(volume.geometry, onto))
    moved = by_nearest(table[volume.array], volume.geometry, onto)
    moved[moved == NOT_ANNOTATED] = BACKGROUND
    return ImportedLabels(moved.reshape(like.geometry.shape), True, names)


def _from_contours(
    path: Path, like: Volume, classes: ClassTable | None, wanted: Sequence[str] | None
) -> ImportedLabels:
    """Return the labels of a structure set."""
    order = like.geometry.canonical()
    masks, remarks = place_regions(path, order.geometry, frame_of_reference(like), wanted)
    numbered = dict(enumerate(masks, 1))
    if wanted is not None:  # one that is not in the image keeps its number
        keys = list(dict.fromkeys(name.strip().casefold() for name in wanted))
        numbered = {keys.index(mask.name.casefold()) + 1: mask for mask in masks}
    ids = class_ids(str(path), {n: mask.name for n, mask in numbered.items()}, classes)
    shape = with_slice_axis(order.geometry).shape
    return of_regions(Regions({ids[n]: mask for n, mask in numbered.items()}, shape, remarks), like)


def of_regions(regions: Regions, like: Volume) -> ImportedLabels:
    """Return the labels of all of some regions in display order, as `import_labels` does."""
    order = like.geometry.canonical()
    shown, said = regions.labels({i: i for i in regions.masks})
    names = {i: mask.name for i, mask in regions.masks.items()}
    labels = order.invert(shown.reshape(order.shape))
    return ImportedLabels(labels, False, names, (*regions.remarks, *said), regions)
