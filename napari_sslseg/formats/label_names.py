"""What the labels of a file are called, where the file or a record beside it says so.

.. [1] https://slicer.readthedocs.io/en/latest/developer_guide/modules/segmentations.html
.. [2] https://ngff.openmicroscopy.org/0.4/#label-md
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
from typing import TYPE_CHECKING, Any

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND
from .itk_headers import HEADER_BYTES, decoded, nrrd_lines
from .provenance import SIDECAR
from .registry import stem, suffix_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

#: Files that hold what a Zarr group says of itself.
_ZARR = (".zattrs", "zarr.json")

#: A field of a segment in the header of a Slicer segmentation; all others are of no use here.
_SEGMENT = re.compile(r"(Segment\d+)_(Name|LabelValue|Layer)\s*:=\s*(.*)")


def label_names(path: Path) -> dict[int, str]:
    """Return the names of label values, as far as anything says them.

    Slicer's segmentations (NRRD) and OME-Zarr name their labels themselves. For other files there
    may be the record that this program writes beside an export. What cannot be read says nothing.

    Returns
    -------
    dict of int to str
        By values from 1 to 254, without names such as ``Class 3`` that say no more than the value.
    """
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        if path.is_dir():
            named = _of_zarr(path)
        elif path.suffix.lower() in (".nrrd", ".nhdr"):
            named = _of_nrrd(path)
        else:
            named = {}
        return _usable((named or _of_record(path)).items())
    return {}


def _of_nrrd(path: Path) -> dict[int, str]:
    with path.open("rb") as file:
        lines, _ = nrrd_lines(file.read(HEADER_BYTES))
    segments: dict[str, dict[str, str]] = {}
    for line in lines:
        if found := _SEGMENT.match(line):
            segments.setdefault(found[1], {})[found[2]] = decoded(found[3]).strip()
    rows = [row for row in segments.values() if "Name" in row and "LabelValue" in row]
    if len({row.get("Layer", "0") for row in rows}) > 1:
        return {}  # of overlapping segments in several layers the values are not unique
    return {int(row["LabelValue"]): row["Name"] for row in rows}


def _of_zarr(path: Path) -> dict[int, str]:
    for name in _ZARR:
        file = path / name
        if file.is_file():
            attributes = json.loads(file.read_text(encoding="utf-8"))
            attributes = attributes.get("attributes", attributes)
            attributes = attributes.get("ome", attributes)
            rows = (attributes.get("image-label") or {}).get("properties") or ()
            return {int(row["label-value"]): str(row["name"]) for row in rows if "name" in row}
    return {}


def _of_record(path: Path) -> dict[int, str]:
    begins = f"{glob.escape(stem(path))}*{SIDECAR}"
    for file in sorted(path.parent.glob(begins), key=lambda file: len(file.name)):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found = json.loads(file.read_text(encoding="utf-8"))
            if _is_about(found["labels"], file, path):
                return {int(row["id"]): str(row["name"]) for row in found["classes"]}
    return {}


def _is_about(labels: Mapping[str, Any], record: Path, path: Path) -> bool:
    """Whether a record is about a file in which each class has its own value."""
    if labels["per_class"]:
        return False
    if "files" in labels:
        return path.name in labels["files"]
    # An anonymous record names no files.
    mine = f"{stem(path)}{SIDECAR}", f"{stem(path)}{suffix_of(path)}{SIDECAR}"
    return record.name in mine and labels.get("suffix", "") == suffix_of(path)


def _usable(rows: Iterable[tuple[int, str]]) -> dict[int, str]:
    """Leave out what is no class, and names that were made up for want of one."""
    return {
        value: name.strip()
        for value, name in rows
        if BACKGROUND < value < NOT_ANNOTATED
        and name.strip() not in ("", f"Class {value}", f"Segment_{value}")
    }
