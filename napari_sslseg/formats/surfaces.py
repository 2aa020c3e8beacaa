"""Surfaces of classes as triangle meshes: STL and OBJ.

Coordinates are millimetres in LPS+ (x to the patient's Left, y to Posterior, z to Superior), as
DICOM has them and 3D Slicer reads and writes meshes [1]_; the files say so in a comment.

.. [1] https://discourse.slicer.org/t/10446
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

    from numpy.typing import NDArray

    from ..volume.classes import ClassTable, SegmentClass
    from ..volume.geometry import Geometry
    from ..volume.image import Volume

NAME = "a surface"

_COMMENT = "napari-sslseg; SPACE=LPS; UNITS=mm"

#: A triangle of a binary STL file.
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def surface(
    mask: NDArray[np.bool_], geometry: Geometry
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the closed surface of a mask, half way between its voxels and those outside.

    Parameters
    ----------
    mask : ndarray of bool, shape (*geometry.shape)
        With at least one voxel. What touches the edge of the image is closed there.
    geometry : Geometry
        Of three dimensions.

    Returns
    -------
    vertices : ndarray of float, shape (n, 3)
        LPS+, mm. Not smoothed.
    faces : ndarray of int, shape (m, 3)
        Vertex indices, anticlockwise as seen from outside.
    """
    from skimage.measure import marching_cubes

    inside = np.nonzero(mask)
    start = np.array([int(index.min()) for index in inside])
    stop = np.array([int(index.max()) + 1 for index in inside])
    box = mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    padded = np.pad(box, 1).astype(np.float32)
    indices, faces, _, _ = marching_cubes(padded, 0.5)
    vertices = geometry.in_millimetres().position(indices.astype(float) - 1 + start)
    vertices = vertices * (-1.0, -1.0, 1.0)
    corners = vertices[faces] - vertices.mean(axis=0)
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()
    if volume < 0:  # an affine that mirrors turns the triangles over
        faces = faces[:, ::-1]
    return vertices, np.ascontiguousarray(faces, dtype=np.int64)


def write_stl(
    path: Path, labels: NDArray[np.uint8], like: Volume, classes: ClassTable, anonymous: bool
) -> None:
    """Write the surface of all classes together as binary STL, which knows no parts.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    labels : ndarray of uint8, spatial shape of `like`
        Class ids, of three dimensions.
    like : Volume
        Whose geometry the labels are on.
    classes : ClassTable
        Voxels of other values are outside.
    anonymous : bool
        Makes no difference: nothing of a patient is written.

    Raises
    ------
    FormatError
        With one sentence, if the labels are a plane, or no voxel belongs to any class.
    """
    vertices, faces = surface(_mask(labels, classes), like.geometry)
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    triangles = np.zeros(len(faces), dtype=_TRIANGLE)
    triangles["normal"] = normals / np.where(length > 0, length, 1)
    triangles["corners"] = corners
    with path.open("wb") as file:
        file.write(_COMMENT.encode("ascii").ljust(80, b" "))
        file.write(np.uint32(len(faces)).astype("<u4").tobytes())
        file.write(triangles.tobytes())


def write_obj(
    path: Path, labels: NDArray[np.uint8], like: Volume, classes: ClassTable, anonymous: bool
) -> None:
    """Write the surface of each class as an object of one OBJ file, with colours beside it.

    Parameters
    ----------
    path : Path
        The colours go into a file of the same name with the suffix ``.mtl``.
    labels, like, anonymous
        As of `write_stl`.
    classes : ClassTable
        Those without voxels are left out.

    Raises
    ------
    FormatError
        As `write_stl`.
    """
    _mask(labels, classes)
    material = path.with_suffix(".mtl")
    first = 1
    with (
        path.open("w", encoding="utf-8", newline="\n") as file,
        material.open("w", encoding="utf-8", newline="\n") as colours,
    ):
        file.write(f"# {_COMMENT}\nmtllib {material.name}\n")
        for item in classes:
            mask = labels == item.id
            if mask.any():
                first += _write_object(file, item, mask, like.geometry, first)
                colours.write(f"newmtl class_{item.id}\nKd {_rgb(item.color)}\n")


def _write_object(
    file: TextIO, item: SegmentClass, mask: NDArray[np.bool_], geometry: Geometry, first: int
) -> int:
    """Write one class, its first vertex numbered `first`; return the number of its vertices."""
    vertices, faces = surface(mask, geometry)
    file.write(f"o {'_'.join(item.name.split())}\nusemtl class_{item.id}\n")
    np.savetxt(file, vertices, fmt="v %.6f %.6f %.6f")
    np.savetxt(file, faces + first, fmt="f %d %d %d")
    return len(vertices)


def _mask(labels: NDArray[np.uint8], classes: ClassTable) -> NDArray[np.bool_]:
    if labels.ndim != 3:
        raise FormatError("A plane has no surface; choose a format for images.")
    mask = np.isin(labels, classes.ids)
    if not mask.any():
        raise FormatError("There is nothing to export: no voxel belongs to any class.")
    return mask


def _rgb(color: str) -> str:
    return " ".join(f"{int(color[i : i + 2], 16) / 255:.4f}" for i in (1, 3, 5))
