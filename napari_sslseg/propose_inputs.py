"""What ``napari-sslseg propose`` reads: the image, and what is labelled in it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .command_errors import UsageError
from .formats import read, read_labels
from .formats.binary_masks import is_binary_mask
from .formats.choice import SeveralVolumesError
from .formats.dicom_rtstruct_reader import is_structure_set
from .formats.dicom_seg_reader import is_segmentation
from .formats.grids import same_grid
from .formats.label_import import GridDiffersError
from .formats.multichannel import GridsDifferError, read_channels
from .label_inputs import import_unasked
from .volume.annotation import NOT_ANNOTATED, infer_axis, stated
from .volume.array_files import value_counts
from .volume.classes import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from .volume.image import Volume


@dataclass(frozen=True)
class LabelledSlices:
    """What is labelled of a volume.

    Parameters
    ----------
    ink : ndarray of uint8, spatial shape of the volume
        Class ids in the order of the image's file, 255 where nothing is labelled.
    axis : int
        Slicing axis, counted as the array is indexed.
    names : dict of int to str
        Of the class ids that the file names.
    """

    ink: npt.NDArray[np.uint8]
    axis: int
    names: dict[int, str] = field(default_factory=dict)


def read_image(path: Path, series: str | None, channels: list[Path], resample: bool) -> Volume:
    """Read the volume; what is remarkable about it goes to stderr.

    Parameters
    ----------
    path, series
        The image, and which volume of several.
    channels
        Further images of it.
    resample
        Whether to bring those on another grid onto the image's.

    Raises
    ------
    UserError
        With one sentence for the user.
    """
    try:
        if channels:
            volume = read_channels([path, *channels], parts=[series], resample=resample)
        else:
            volume = read(path, series)
    except SeveralVolumesError as error:
        raise UsageError(f"{str(error).removesuffix('.')}; use --series.") from error
    except GridsDifferError as error:
        raise UsageError(f"{str(error).removesuffix('.')}; use --resample.") from error
    if len(volume.geometry.shape) != 3:
        raise UsageError(
            f"{volume.source} has {len(volume.geometry.shape)} dimensions; a volume has 3."
        )
    if 1 in volume.geometry.shape:
        raise UsageError(
            f"{volume.source} is a single slice, along axis {volume.geometry.shape.index(1)}, so "
            "that there is nothing to propose from it; give a volume of several slices."
        )
    if resample and not channels:
        print("Note: --resample changes nothing without --channel.", file=sys.stderr)
    for remark in volume.warnings:
        print(f"Note: {remark}", file=sys.stderr)
    return volume


def read_references(
    path: Path, volume: Volume, axis: int | None, regions: Sequence[str] = ()
) -> LabelledSlices:
    """Read what is labelled; how it is taken goes to stderr where that is not plain.

    Parameters
    ----------
    path
        Label file.
    volume
        The image, of three dimensions.
    axis
        Slicing axis, counted as `volume.array` is indexed; None finds it in the labels.
    regions
        `names` of `import_unasked`.

    Returns
    -------
    LabelledSlices

    Raises
    ------
    UserError
        With one sentence for the user, if nothing can be learned from them.
    """
    if axis is not None and not 0 <= axis < 3:
        raise UsageError(f"The axis must be 0 to 2 for this image, not {axis}.")
    try:
        labels, names = _on_the_grid(path, volume, regions)
    except GridDiffersError as error:
        raise UsageError(
            f"{path} is not on the image's grid: {error.reason}; give references on that grid."
        ) from error
    counts = value_counts(labels)
    if counts[NOT_ANNOTATED] == labels.size:
        raise UsageError(
            f"{path} holds no annotation: every voxel is 255; label at least one slice."
        )
    present = np.flatnonzero(counts)
    if len(set(present.tolist()) - {NOT_ANNOTATED}) < 2:
        raise UsageError(
            f"{path} holds a single class ({present[0]}); label at least one structure and "
            "background."
        )
    if counts[NOT_ANNOTATED]:
        return LabelledSlices(labels, infer_axis(labels) if axis is None else axis, names)
    if axis is None:
        axis = infer_axis(np.where(labels > BACKGROUND, labels, np.uint8(NOT_ANNOTATED)))
    ink = stated(labels, axis)
    if not (ink == NOT_ANNOTATED).any():
        raise UsageError(
            f"{path} labels every slice along axis {axis}, so that nothing is left to propose; "
            f"set what is not annotated to {NOT_ANNOTATED}."
        )
    print(
        f"Note: no voxel of {path} is {NOT_ANNOTATED} (not annotated): the slices along axis "
        f"{axis} that show a class are taken for wholly labelled, the others for not labelled.",
        file=sys.stderr,
    )
    return LabelledSlices(ink, axis, names)


def _on_the_grid(
    path: Path, volume: Volume, regions: Sequence[str]
) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """Read labels in the order of the image's file, and names; what they are taken for is said."""
    if path.is_file() and not regions and not (is_segmentation(path) or is_structure_set(path)):
        labels = read_labels(path)
        mask = is_binary_mask(labels, volume.geometry.shape)
        if not mask and same_grid(labels.geometry, volume.geometry):  # spares a large one a copy
            for remark in labels.warnings:
                print(f"Note: {path}: {remark}", file=sys.stderr)
            return np.asarray(labels.array), {}
    found = import_unasked(path, volume, regions)
    for remark in found.remarks:
        print(f"Note: {path}: {remark}", file=sys.stderr)
    return found.labels, found.names
