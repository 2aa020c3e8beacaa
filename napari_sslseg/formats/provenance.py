"""Where the labels of an export came from: a JSON file beside it.

It names no person: nothing of the image's header goes into it but shape, voxel size and units.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import itertools
import json
import os
import platform
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ..volume.classes import ClassTable
    from ..volume.geometry import Geometry

#: Version of the layout of the file.
FORMAT = 1

#: Ending of the record beside an export.
SIDECAR = ".provenance.json"

#: How a voxel may have got its class; the index is its code in `Provenance.origins`.
ORIGINS = ("unlabelled", "inked", "accepted", "corrected", "proposed")

_MEANINGS = {
    "unlabelled": "nobody said anything: taken for background",
    "inked": "painted or marked by the user",
    "accepted": "on a slice that the user accepted as a whole",
    "corrected": "proposed, then changed by the user",
    "proposed": "proposed, and left as it was",
}

#: Libraries whose versions bear on the result, where they are installed.
_LIBRARIES = ("numpy", "torch", "SimpleITK", "nibabel", "highdicom", "pydicom")

#: What a proposal says of itself that is worth keeping; all else stays in the project.
_PROPOSAL = ("preset", "recipe", "second_opinion", "thresholds", "shares", "method", "round")


@dataclass(frozen=True)
class ImageIdentity:
    """By what an image is recognised, without its name.

    Parameters
    ----------
    digest : str
        SHA-256 of the voxels (see `content_digest`), empty where unknown.
    shape : tuple of int
        Spatial shape in the order of the exported file's source.
    spacing : tuple of float
        Voxel size along these axes, in `units`.
    units : str
    channels : int
    """

    digest: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    units: str
    channels: int = 1

    @classmethod
    def of(cls, geometry: Geometry, digest: str = "", channels: int = 1) -> ImageIdentity:
        """Identity of an image of this geometry, in the order of its axes; `digest` is in hex."""
        return cls(digest, geometry.shape, geometry.spacing, geometry.units, channels)


@dataclass(frozen=True)
class Provenance:
    """What is known of the origin of exported labels.

    Parameters
    ----------
    image : ImageIdentity
    image_name : str
        Shown name of the image; left out of an anonymous record.
    origins : dict of int to ndarray, shape (5,)
        Class id (0 included) -> number of voxels of each of `ORIGINS`.
    accepted, references : dict
        ``{"axis": a, "slices": [..]}`` in the order of the exported file.
    proposal : dict
        Name, version and what it says of itself.
    estimate : dict or None
        Estimated Dice of the proposal.
    rounds : int
        Number of times that the user trained.
    """

    image: ImageIdentity
    image_name: str = ""
    origins: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    accepted: dict[str, Any] = field(default_factory=dict)
    references: dict[str, Any] = field(default_factory=dict)
    proposal: dict[str, Any] = field(default_factory=dict)
    estimate: dict[str, Any] | None = None
    rounds: int = 0


def content_digest(array: Any) -> str:
    """Return the SHA-256 of an array's voxels in C order, in hex, read slab by slab.

    Of bytes as they are: arrays of another type or byte order have another one.
    """
    found = hashlib.sha256()
    for slab in array:
        found.update(np.ascontiguousarray(np.asarray(slab)).view(np.uint8).reshape(-1).data)
    return found.hexdigest()


def count_origins(
    labels: NDArray[np.uint8], origins: NDArray[np.uint8]
) -> dict[int, NDArray[np.int64]]:
    """Return how many voxels of each class have each origin.

    Parameters
    ----------
    labels : ndarray of uint8
        Class ids.
    origins : ndarray of uint8, of the same shape
        Codes of `ORIGINS`, 0 to 4; others are not looked for.

    Returns
    -------
    dict of int to ndarray of int64, shape (5,)
        By the ids that occur, 0 and 255 included.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    n = len(ORIGINS)
    total = np.zeros(256 * n, dtype=np.int64)
    for values, codes in zip(labels, origins, strict=True):
        total += np.bincount(values.ravel().astype(np.intp) * n + codes.ravel(), minlength=256 * n)
    table = total.reshape(256, n)
    return {int(i): table[i] for i in np.flatnonzero(table.sum(axis=1))}


def record(
    provenance: Provenance,
    classes: ClassTable,
    *,
    export: str,
    suffix: str = "",
    per_class: bool = False,
    files: tuple[str, ...] = (),
    losses: tuple[str, ...] = (),
    anonymous: bool = False,
) -> dict[str, Any]:
    """Return what the file says, as JSON values.

    Parameters
    ----------
    provenance : Provenance
    classes : ClassTable
        All classes, exported or not.
    export : str
        Name of the format.
    suffix : str
        Suffix of the exported files.
    per_class : bool
        Whether each class has a file of its own.
    files : tuple of str
        Names of the exported files, without folders.
    losses : tuple of str
        What the format could not hold.
    anonymous : bool
        Leave out the names of image and files: they may say who the patient is.
    """
    image = provenance.image
    counts = provenance.origins
    rows = []
    for item in classes:
        terms = item.terms
        row: dict[str, Any] = {
            "id": item.id,
            "name": item.name,
            "color": item.color,
            "code": terms.kind.to_json(),
        }
        if counts:
            row["voxels"] = _by_origin(counts.get(item.id))
        rows.append(row)
    found: dict[str, Any] = {
        "format": FORMAT,
        "exported": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "software": {"napari-sslseg": __version__, "python": platform.python_version()}
        | _versions(),
        "image": {
            "sha256": image.digest,
            "sha256_of": "voxels in display order, C order, native bytes",
            "shape": list(image.shape),
            "spacing": list(image.spacing),
            "units": image.units,
            "channels": image.channels,
        },
        "labels": {
            "format": export,
            "suffix": suffix,
            "per_class": per_class,
            "losses": list(losses),
        },
        "classes": rows,
        "origins": _MEANINGS if counts else {},
        "background": _by_origin(counts.get(0)) if counts else {},
        "accepted": provenance.accepted,
        "references": provenance.references,
        "proposal": _proposal(provenance.proposal),
        "estimated_dice": provenance.estimate,
        "training_rounds": provenance.rounds,
    }
    if not anonymous:
        found["image"]["name"] = provenance.image_name
        found["labels"]["files"] = list(files)
    return found


def record_path(
    targets: Sequence[Path], stem: str, suffix: str, export: str, per_class: bool
) -> Path:
    """Return where the record of an export goes: ``<stem>.provenance.json``.

    Where the record of another export lies there, whose files still do, too, the suffix of the
    files goes before the ending, and then a number.

    Parameters
    ----------
    targets : sequence of Path
        The exported files, in one folder.
    stem : str
        What their names begin with.
    suffix, export, per_class
        As for `record`.
    """
    folder, names = targets[0].parent, {target.name for target in targets}
    further = (f"{suffix}.{n}" for n in itertools.count(2))
    paths = (folder / f"{stem}{part}{SIDECAR}" for part in itertools.chain(("", suffix), further))
    return next(
        p
        for p in paths
        if not os.path.exists(p) or _is_replaced(p, names, export, suffix, per_class)
    )


def _is_replaced(path: Path, names: set[str], export: str, suffix: str, per_class: bool) -> bool:
    """Whether a record is about files that are about to be replaced, or are there no more."""
    try:
        labels = dict(json.loads(path.read_text(encoding="utf-8"))["labels"])
    except (OSError, ValueError, KeyError, TypeError):  # whatever it is, it is not ours
        return False
    if files := set(map(str, labels.get("files", ()))):
        return bool(files & names) or not any(os.path.exists(path.parent / f) for f in files)
    # An anonymous record names no files.
    said = (labels.get("format"), labels.get("suffix", suffix), labels.get("per_class", per_class))
    return said == (export, suffix, per_class)


def write(path: Path, data: dict[str, Any]) -> None:
    """Write what `record` returned as JSON, UTF-8; OSError where that is not possible."""
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")


def _proposal(values: dict[str, Any]) -> dict[str, Any]:
    if not values:
        return {}
    info = dict(values.get("info", {}))
    kept = {key: info[key] for key in _PROPOSAL if key in info}
    return {"name": values.get("name", ""), "version": values.get("version", 0)} | kept


def _by_origin(counts: NDArray[np.int64] | None) -> dict[str, int]:
    values = [0] * len(ORIGINS) if counts is None else counts.tolist()
    return dict(zip(ORIGINS, (int(v) for v in values), strict=True))


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
