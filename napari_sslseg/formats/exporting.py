"""Exporting labels: one file or one a class, in every format, with a record of their origin."""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..volume.classes import ClassTable, SegmentClass, voxel_counts
from . import provenance as origin
from .atomic import writing
from .dicom_origin import discreet
from .dicom_origin import why_not as why_no_dicom
from .dicom_rtstruct import why_not as why_no_contours
from .errors import FormatError
from .fidelity import losses
from .sparing import spare_inputs, written_files
from .writing import checked_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..volume.image import Volume
    from .provenance import Provenance


@dataclass(frozen=True)
class ExportFormat:
    """A format to export to.

    Parameters
    ----------
    key : str
        Short name, as on the command line.
    title : str
        Name for the user.
    suffixes : tuple of str
        The first is added to names that have none of them.
    module, function : str
        What writes it.
    split : {"choice", "always", "never"}
        Whether each class gets a file of its own.
    """

    key: str
    title: str
    suffixes: tuple[str, ...]
    module: str
    function: str = ""
    split: Literal["choice", "always", "never"] = "choice"


FORMATS = (
    ExportFormat("nifti", "NIfTI", (".nii.gz", ".nii"), "nifti"),
    ExportFormat("nrrd", "NRRD", (".nrrd", ".nhdr"), "simpleitk"),
    ExportFormat("metaimage", "MetaImage", (".mha", ".mhd"), "simpleitk"),
    ExportFormat("dicom-seg", "DICOM-SEG", (".dcm",), "dicom_seg", "write"),
    ExportFormat("rtstruct", "RTSTRUCT contours", (".dcm",), "dicom_rtstruct", "write", "never"),
    ExportFormat("ome-tiff", "OME-TIFF", (".ome.tif", ".ome.tiff"), "tiff"),
    ExportFormat("tiff", "TIFF", (".tif", ".tiff"), "tiff"),
    ExportFormat("ome-zarr", "OME-Zarr", (".ome.zarr", ".zarr"), "ome_zarr_labels"),
    ExportFormat("npy", "NumPy array", (".npy",), "npy"),
    ExportFormat("stl", "STL surfaces", (".stl",), "surfaces", "write_stl", "always"),
    ExportFormat("obj", "OBJ surfaces", (".obj",), "surfaces", "write_obj"),
    ExportFormat("csv", "Table of volumes (CSV)", (".csv",), "volume_table", "write_csv", "never"),
    ExportFormat(
        "json", "Table of volumes (JSON)", (".json",), "volume_table", "write_json", "never"
    ),
)

_BY_KEY = {item.key: item for item in FORMATS}


def format_for(path: str | os.PathLike[str], key: str | None = None) -> ExportFormat:
    """Return a format by its key, or by the suffix of a path (``.dcm``: DICOM-SEG).

    Parameters
    ----------
    path : path-like
        Only its name is looked at, and only where there is no key.
    key : str, optional

    Raises
    ------
    FormatError
        If there is no such format.
    """
    if key is not None:
        if key not in _BY_KEY:
            raise FormatError(f"There is no format {key!r}; choose one of {', '.join(_BY_KEY)}.")
        return _BY_KEY[key]
    name = Path(path).name.lower()
    found = [item for item in FORMATS if name.endswith(item.suffixes)]
    if not found:
        known = ", ".join(dict.fromkeys(s for item in FORMATS for s in item.suffixes))
        raise FormatError(f"{path} cannot be written: its suffix is none of {known}.")
    return found[0]


def why_not(kind: ExportFormat, volume: Volume) -> str:
    """Return why a volume cannot be exported to a format, as a sentence; empty if it can."""
    reason = ""
    if kind.key == "dicom-seg":
        reason = why_no_dicom(volume)
    elif kind.key == "rtstruct":
        reason = why_no_contours(volume)
    elif kind.key in ("stl", "obj") and volume.geometry.ndim == 2:
        reason = "a plane has no surface"
    return f"No {kind.title} here: {reason}. Choose another format." if reason else ""


def named(path: str | os.PathLike[str], kind: ExportFormat) -> Path:
    """Return a path with a suffix of the format, in place of that of another format.

    It is made absolute. A suffix of no format stays, as a part of the name.
    """
    file = Path(os.path.abspath(path))
    name = file.name.lower()
    if name.endswith(kind.suffixes):
        return file
    others = [s for item in FORMATS for s in item.suffixes if name.endswith(s)]
    cut = max(map(len, others), default=0)
    return file.with_name(file.name[: len(name) - cut] + kind.suffixes[0])


def possible_files(
    path: str | os.PathLike[str], kind: ExportFormat, classes: ClassTable, per_class: bool
) -> list[Path]:
    """Return the files of labels that an export may write, if every class has voxels.

    Those that go beside others, such as the data file of a detached header, are among them.

    Parameters
    ----------
    path : path-like
        Target, or the stem of several, as of `export`.
    kind : ExportFormat
    classes : ClassTable
    per_class : bool
        One file for each class, where the format leaves the choice.
    """
    file = named(path, kind)
    if not _is_split(kind, per_class):
        return [*written_files(file)]
    suffix = _suffix(file, kind)
    parts = _per_class(np.asarray(classes.ids, dtype=np.uint8), classes)
    files = [file.with_name(f"{file.name[: -len(suffix)]}{part}{suffix}") for part, _ in parts]
    return [item for file in files for item in written_files(file)]


def export(
    path: str | os.PathLike[str],
    labels: NDArray[Any],
    like: Volume,
    classes: ClassTable,
    *,
    kind: ExportFormat | None = None,
    per_class: bool = False,
    anonymous: bool = False,
    provenance: Provenance | None = None,
) -> list[Path]:
    """Write labels, and beside them a record of where they came from.

    Either all files are there in the end or, if anything fails, the old ones as they were.

    Parameters
    ----------
    path : path-like
        Target. Of several files, one a class, it is the stem: ``a.nii.gz`` becomes
        ``a_liver.nii.gz`` and so on, each with 1 where the class is and 0 elsewhere.
    labels : ndarray, spatial shape of `like`
        Class ids 0..255 in the file order of `like`.
    like : Volume
        Whose geometry, and for DICOM whose images, the labels are on.
    classes : ClassTable
        Names, colours and codes.
    kind : ExportFormat, optional
        Else the suffix decides.
    per_class : bool
        One file for each class that has voxels, where the format leaves the choice.
    anonymous : bool
        No names of files or image in the record, no patient in DICOM objects.
    provenance : Provenance, optional
        Written to ``<stem>.provenance.json`` (see `provenance.record_path`); none is written
        without it.

    Returns
    -------
    list of Path
        What was written, each data file after its header, the record last.

    Raises
    ------
    FormatError
        With one sentence for the user, if the labels do not fit, the format cannot hold them, they
        would replace the image, or writing fails.
    """
    kind = kind or format_for(path)
    file = named(path, kind)
    reason = why_not(kind, like)
    if reason:
        raise FormatError(f"{file} cannot be written: {reason}")
    values = checked_labels(file, labels, like)
    # A value without a class is labelled all the same: it must not vanish from single files.
    classes = classes.covering(np.flatnonzero(voxel_counts(values)))
    suffix = _suffix(file, kind)
    stem = file.name[: -len(suffix)]
    parts: list[tuple[str, SegmentClass | None]] = [("", None)]
    split = _is_split(kind, per_class)
    if split:
        parts = [*_per_class(values, classes)]
    if not parts:
        raise FormatError(f"{file} cannot be written: no voxel belongs to any class.")
    targets = [file.with_name(f"{stem}{part}{suffix}") for part, _ in parts]
    record = origin.record_path(targets, stem, suffix, kind.title, split)
    # What is named as the target is moved last: the record is never there without the labels.
    last = record if provenance is not None else targets[-1]
    for target in targets:
        if os.path.isdir(target) and suffix[-5:] != ".zarr":
            raise FormatError(f"{target} cannot be written: it is a folder; give another name.")
    spare_inputs(targets, [like])
    written = [item for target in targets for item in written_files(target)]
    with writing(last, kind.title) as staged, discreet():
        for target, (_, item) in zip(targets, parts, strict=True):
            _write(kind, staged.with_name(target.name), values, like, classes, item, anonymous)
        if provenance is not None:
            data = origin.record(
                provenance,
                classes,
                export=kind.title,
                suffix=suffix,
                per_class=split,
                files=tuple(item.name for item in written),
                losses=tuple(losses(kind.key, like)),
                anonymous=anonymous,
            )
            origin.write(staged, data)
    return [*written, record] if provenance is not None else written


def _is_split(kind: ExportFormat, per_class: bool) -> bool:
    return kind.split == "always" or (kind.split == "choice" and per_class)


def _suffix(file: Path, kind: ExportFormat) -> str:
    return next(s for s in kind.suffixes if file.name.lower().endswith(s))


def _write(
    kind: ExportFormat,
    path: Path,
    labels: NDArray[np.uint8],
    like: Volume,
    classes: ClassTable,
    item: SegmentClass | None,
    anonymous: bool,
) -> None:
    """Write one file: all classes, or one of them as 1."""
    if item is not None:
        labels = (labels == item.id).astype(np.uint8)
        classes = ClassTable([SegmentClass(1, item.name, item.color, item.code)])
    module: Any = importlib.import_module(f".{kind.module}", __package__)
    if kind.function:
        getattr(module, kind.function)(path, labels, like, classes, anonymous)
    elif hasattr(module, "write_named_labels"):
        module.write_named_labels(path, labels, like, classes)
    else:
        module.write_labels(path, labels, like)


def _per_class(labels: NDArray[np.uint8], classes: ClassTable) -> list[tuple[str, SegmentClass]]:
    """Return what to add to the name of the file of each class that has voxels."""
    counts = voxel_counts(labels)
    found: dict[str, SegmentClass] = {}
    for item in classes:
        if counts[item.id]:
            slug = re.sub(r"[^\w.-]+", "_", item.name.strip()).strip("._")
            part = f"_{slug}" if slug else f"_{item.id}"
            # Names may differ in what a file's name cannot hold, or in case alone.
            while part.lower() in map(str.lower, found):
                part += f"_{item.id}"
            found[part] = item
    return list(found.items())
