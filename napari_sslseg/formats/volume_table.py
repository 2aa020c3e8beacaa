"""How large each class is: a table as CSV or JSON."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..volume.classes import voxel_counts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ..volume.classes import ClassTable
    from ..volume.geometry import Geometry
    from ..volume.image import Volume

NAME = "a table"


@dataclass(frozen=True)
class ClassVolume:
    """Size of one class.

    Parameters
    ----------
    id : int
    name : str
    voxels : int
    ml : float or None
        Millilitres; of a plane nothing, nor where the voxel has no known size.
    mm2 : float or None
        Square millimetres, of a plane only.
    """

    id: int
    name: str
    voxels: int
    ml: float | None
    mm2: float | None = None


def class_volumes(
    labels: NDArray[np.uint8], geometry: Geometry, classes: ClassTable
) -> list[ClassVolume]:
    """Return the size of every class of the table, also of empty ones.

    The size of a voxel is the determinant of the affine, which is right for axes at any angle.

    Parameters
    ----------
    labels : ndarray of uint8
        Class ids; values that are not in the table are left out.
    geometry : Geometry
        In any unit; in pixels, no size is known.
    classes : ClassTable

    Returns
    -------
    list of ClassVolume
        In the order of the ids.
    """
    counts = voxel_counts(labels)
    ndim = geometry.ndim
    voxel: float | None = None
    if geometry.units != "pixel":
        axes = geometry.in_millimetres().affine[:3, :ndim]
        voxel = float(np.sqrt(np.linalg.det(axes.T @ axes)))
    rows = []
    for item in classes:
        count = int(counts[item.id])
        size = None if voxel is None else count * voxel
        ml = None if size is None or ndim == 2 else size / 1000
        rows.append(ClassVolume(item.id, item.name, count, ml, size if ndim == 2 else None))
    return rows


def write_csv(
    path: Path, labels: NDArray[np.uint8], like: Volume, classes: ClassTable, anonymous: bool
) -> None:
    """Write one line a class: millilitres or, of a plane, square millimetres.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    labels : ndarray of uint8, spatial shape of `like`
        Class ids.
    like : Volume
        Whose geometry the labels are on. Where the size of a voxel is not known, that of a class
        is left empty.
    classes : ClassTable
        Each gets a line, whether it has voxels or not.
    anonymous : bool
        Makes no difference: nothing of a patient is written.
    """
    size = "ml" if like.geometry.ndim == 3 else "mm2"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "class", "voxels", size])
        for row in class_volumes(labels, like.geometry, classes):
            value = row.ml if size == "ml" else row.mm2
            writer.writerow([row.id, row.name, row.voxels, "" if value is None else f"{value:.9g}"])


def write_json(
    path: Path, labels: NDArray[np.uint8], like: Volume, classes: ClassTable, anonymous: bool
) -> None:
    """Write one object a class; ``null`` where the size of a voxel is not known.

    Parameters
    ----------
    path, labels, like, classes, anonymous
        As of `write_csv`.
    """
    rows = [asdict(row) for row in class_volumes(labels, like.geometry, classes)]
    path.write_text(json.dumps({"classes": rows}, indent=1), encoding="utf-8")
