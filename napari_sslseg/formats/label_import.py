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
from .grids import Placement, difference, placement, with_slice_axis
from .label_names import label_names
from .region_masks import Regions
from .registry import read_labels
from .resampling import resampled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..volume.classes import ClassTable
    from ..volume.geometry import Geometry
    from ..volume.image import Volume
    from .dicom_seg_reader import Segmentation

#: Ids that a message lists before it says how many more there are.
_LISTED = 8


class GridDiffersError(FormatError):
    """Labels are on another grid than the image; they can be resampled if the user agrees.

    Parameters
    ----------
    path : str
    reason : str
        What differs, see `grids.difference`.
    """

    def __init__(self, path: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{path} is on another grid than the image: {reason}; agree to resample it, or give "
            "labels on the image's grid."
        )


class UnknownClassesError(FormatError):
    """Labels hold ids that the class table has not.

    Parameters
    ----------
    message : str
    ids : tuple of int
        The ids, rising.
    names : dict of int to str
        Their names, where the file says them.
    """

    def __init__(self, message: str, ids: tuple[int, ...], names: dict[int, str]) -> None:
        self.ids, self.names = ids, names
        super().__init__(message)


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
    new_classes: bool = False,
    regions: Sequence[str] | None = None,
) -> ImportedLabels:
    """Read labels that were made elsewhere.

    Axes in another order or direction, and a file that covers a part of the image only, are no
    other grid: as long as voxel lies on voxel, nothing is interpolated. Formats without directions
    (TIFF, NumPy) are taken to be in display order, as they are exported, else in the image's own.
    In a mask of 0 and 255 alone, 255 becomes class 1, see `binary_masks`. Where the file says what
    its labels are called (see `label_names`), they get the ids of the classes of the same name.

    Parameters
    ----------
    path : path-like
        Any label file that can be read, a DICOM segmentation, or an RT structure set or the folder
        that holds one.
    like : Volume
        The image; only its geometry is looked at, and for contours its frame of reference.
    classes : ClassTable, optional
        Classes there may be; any by default.
    resample : bool
        Bring labels on another grid onto this one, each voxel taking the nearest label.
    new_classes : bool
        Let ids pass that are not in `classes`.
    regions : sequence of str, optional
        Names of the regions of a structure set, or the segments of a segmentation, that are
        wanted; those that are no classes are numbered in this order. All by default.

    Raises
    ------
    GridDiffersError
        If the grids differ and `resample` is false.
    UnknownClassesError
        If there are ids above or beside the class table and `new_classes` is false.
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
        remarks: tuple[str, ...] = ()
        # Before 255 is filled in where the file says nothing.
        if is_binary_mask(source, like.geometry.shape):
            source = replace(source, array=object_as_one(np.asarray(source.array)))
            remarks = (REMARK,)
        labels, moved = _laid_onto(str(file), source, like.geometry, resample)
        names: dict[int, str] = {}
        if not remarks:  # of a picture of two values nothing is named
            labels, names = by_name(str(file), labels, label_names(file), classes)
        found = ImportedLabels(labels, moved, names, remarks)
    counts = voxel_counts(found.labels)
    ids = [int(i) for i in np.flatnonzero(counts)]
    stated = [i for i in ids if i != NOT_ANNOTATED]
    if not stated or (found.resampled and stated == [BACKGROUND]):
        raise FormatError(
            f"{file} holds no label within the image (255 stands for not annotated); choose "
            "another file, or write 1 where the object is."
        )
    unknown = tuple(
        i for i in stated if i != BACKGROUND and classes is not None and i not in classes
    )
    if unknown and not new_classes:
        raise UnknownClassesError(_unknown(file, unknown, classes), unknown, found.names)
    return found


def _laid_onto(
    path: str, source: Volume, onto: Geometry, resample: bool
) -> tuple[NDArray[np.uint8], bool]:
    """Return labels on a grid, and whether they had to be resampled."""
    array = np.asarray(source.array)
    if source.geometry.ndim != onto.ndim and source.geometry.oriented and onto.oriented:
        # Most programs make a volume of a single slice of a patient.
        own, wide = with_slice_axis(source.geometry), with_slice_axis(onto)
        stack = replace(source, array=array.reshape(own.shape), geometry=own)
        found, moved = _laid_onto(path, stack, wide, resample)
        return found.reshape(onto.shape), moved
    labels = np.full(onto.shape, NOT_ANNOTATED, dtype=np.uint8)
    known = _can_be_placed(source.geometry, onto)
    placed = None
    if known or any(source.geometry.origin):  # else the origin is made up, and what fits is chance
        placed = placement(source.geometry, onto)
    if placed is None or not _covers(placed, array, labels):
        fitting = _by_shape(array, source.geometry, onto, guess=placed is None)
        if fitting is not None:
            return fitting, False
    if placed is not None and placed.put(array, labels):
        return labels, False
    reason = difference(source.geometry, onto)
    if not known:
        raise FormatError(
            f"{path} does not fit the image and does not say where it lies: {reason}; give a "
            "file of the same shape."
        )
    if not resample:
        raise GridDiffersError(path, reason)
    return _by_nearest(array, source.geometry, onto), True


def _covers(placed: Placement, array: NDArray[np.uint8], onto: NDArray[np.uint8]) -> bool:
    """Whether an array lies on all of another one, and on nothing else."""
    return placed.turned(array).shape == onto.shape and not any(placed.offset)


def _by_shape(
    array: NDArray[np.uint8], source: Geometry, onto: Geometry, guess: bool
) -> NDArray[np.uint8] | None:
    """Return labels that fit by their shape, where one of the two does not say where it lies.

    Parameters
    ----------
    array, source, onto
        Labels and their geometry; that of the image.
    guess : bool
        Their geometries do not fit in any way: it is enough that one of them has no directions.
    """
    bare = _has_no_place(source) or (source.oriented and _has_no_place(onto))
    if not bare and (not guess or (source.oriented and onto.oriented)):
        return None
    order, shown = onto.canonical(), source.canonical().apply(array)
    if onto.ndim == 3 and (1, *shown.shape) == order.shape:
        shown = shown[None]  # TIFF does not tell a stack of one page from a plane
    if shown.shape == order.shape:
        return np.ascontiguousarray(order.invert(shown))
    return array.copy() if array.shape == onto.shape else None


def _has_no_place(geometry: Geometry) -> bool:
    """Whether a geometry has neither directions nor an origin, as of TIFF and NumPy files."""
    return not geometry.oriented and not any(geometry.origin)


def _can_be_placed(geometry: Geometry, onto: Geometry) -> bool:
    """Whether labels of another shape can be placed at all: not a bare stack in a patient."""
    if geometry.oriented:
        return True
    return geometry.units != "pixel" and (any(geometry.origin) or not onto.oriented)


def _by_nearest(array: NDArray[np.uint8], source: Geometry, onto: Geometry) -> NDArray[np.uint8]:
    """Return the nearest label of each voxel of a grid; 255 outside of the labels."""
    if source.ndim != onto.ndim:
        raise FormatError("Labels of a plane cannot be brought onto a volume, nor the reverse.")
    return np.ascontiguousarray(resampled(array, source, onto, NOT_ANNOTATED, "nearest"))


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
    moved = _by_nearest(table[volume.array], volume.geometry, onto)
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


def _unknown(file: Path, ids: tuple[int, ...], classes: ClassTable | None) -> str:
    listed = ", ".join(str(i) for i in ids[:_LISTED])
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    plural = len(ids) > 1
    known = ", ".join(f"{item.id} ({item.name})" for item in classes or ())
    return (
        f"{file} has the label{'s' if plural else ''} {listed}{more}, which "
        f"{'are no classes' if plural else 'is no class'} yet (there "
        f"{f'are: {known}' if known else 'are none'}); add {'them' if plural else 'it'} as "
        f"{'new classes' if plural else 'a new class'}, or correct the file."
    )
