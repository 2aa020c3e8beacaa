"""NRRD and MetaImage by SimpleITK."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from ..volume.geometry import Geometry
from ..volume.image import Volume
from .errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "NRRD or MetaImage"

#: Fields of an NRRD header that say where the voxels lie.
_NRRD_FIELDS = ("space", "space dimension", "space units", "space directions", "space origin")

#: Where to stop looking for the end of an NRRD header; Slicer's long ones have some 100 kB.
_NRRD_HEADER_BYTES = 1 << 22


@dataclass(frozen=True)
class ItkHeader:
    """Geometry as ITK read it, in LPS+, and the NRRD lines that it came from.

    ITK splits NRRD's direction vectors into unit vectors and lengths, and multiplies them again
    when it writes. That rounds, so the lines themselves are kept.
    """

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    nrrd: tuple[tuple[str, str], ...] = ()

    def geometry(self, shape: tuple[int, ...]) -> Geometry:
        """Return the geometry for an array of this spatial shape."""
        return Geometry.from_lps(self.direction, self.spacing, self.origin, shape)


def read(path: Path) -> Volume:
    """Read an image as an array in (i, j, k) order; vectors and a fourth axis become channels."""
    with _quiet():
        image = sitk.ReadImage(str(path))
    dimension = image.GetDimension()
    array = sitk.GetArrayFromImage(image)  # (t, k, j, i, vector)
    axes = tuple(range(dimension))[::-1]
    array = array.transpose(axes + tuple(range(dimension, array.ndim)))
    n = min(dimension, 3)
    while array.ndim > n + 1 and 1 in array.shape[n:]:
        array = array.squeeze(axis=n + array.shape[n:].index(1))
    if array.ndim == n + 1 and array.shape[n] == 1:
        array = array[..., 0]
    if array.ndim > n + 1 or dimension < 2:
        raise FormatError(
            f"{path} has {array.ndim} axes; give an image of two or three, or of three and "
            "channels."
        )
    direction = np.reshape(image.GetDirection(), (dimension, dimension))[:n, :n]
    header = ItkHeader(
        image.GetSpacing()[:n],
        image.GetOrigin()[:n],
        tuple(float(cosine) for cosine in direction.ravel()),
        _nrrd_fields(path, n) if path.suffix.lower() in (".nrrd", ".nhdr") else (),
    )
    try:
        geometry = header.geometry(array.shape[:n])
    except ValueError as error:
        raise FormatError(
            f"{path} does not say where its voxels lie: {error}; correct its header."
        ) from error
    return Volume(array, geometry, header=header)


def write_labels(path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
    """Write compressed labels; between NRRD files the space fields are copied as they stand."""
    header = like.header
    shape = tuple(labels.shape)
    image = sitk.GetImageFromArray(np.ascontiguousarray(labels.T))
    known = isinstance(header, ItkHeader) and header.geometry(shape) == like.geometry
    if not (isinstance(header, ItkHeader) and known):
        direction, spacing, origin = like.geometry.in_millimetres().to_lps()
        if abs(np.linalg.det(direction)) < 1e-3:  # a plane that is not one of the x-y plane
            direction = np.eye(len(shape))
        header = ItkHeader(
            tuple(spacing.tolist()), tuple(origin.tolist()), tuple(direction.ravel().tolist())
        )
    image.SetSpacing(header.spacing)
    image.SetOrigin(header.origin)
    image.SetDirection(header.direction)
    with _quiet():
        sitk.WriteImage(image, str(path), useCompression=True)
    if header.nrrd and path.suffix.lower() in (".nrrd", ".nhdr"):
        _set_nrrd_fields(path, header.nrrd)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ITK from writing its own warnings to the terminal; errors still raise."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _nrrd_lines(content: bytes) -> tuple[list[str], int]:
    """Return the lines of an NRRD header and where the blank line that ends it begins."""
    match = re.search(rb"\r?\n\r?\n", content)
    end = match.start() if match else len(content.rstrip())
    return content[:end].decode("latin-1").splitlines(), end


def _nrrd_fields(path: Path, ndim: int) -> tuple[tuple[str, str], ...]:
    """Return the space fields of `ndim` axes as they stand, without those of a channel axis."""
    with path.open("rb") as file:
        lines, _ = _nrrd_lines(file.read(_NRRD_HEADER_BYTES))
    pairs = [line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#")]
    found = {name.strip().lower(): value.strip() for name, value in pairs}
    if "space directions" not in found:
        return ()  # spacings alone: ITK writes them exactly
    vectors = re.findall(r"\([^)]*\)", found["space directions"])  # drops the "none" of channels
    if [vector.count(",") for vector in vectors] != [ndim - 1] * ndim:
        return ()  # time is an axis of the space, or a plane lies in three dimensions
    found["space directions"] = " ".join(vectors)
    units = re.findall(r'"[^"]*"', found.get("space units", ""))
    if units:
        found["space units"] = " ".join(units)
    return tuple((name, found[name]) for name in _NRRD_FIELDS if name in found)


def _set_nrrd_fields(path: Path, fields: tuple[tuple[str, str], ...]) -> None:
    """Replace the space fields of a file by those of its source."""
    content = path.read_bytes()
    lines, end = _nrrd_lines(content)
    kept = [line for line in lines if line.split(":", 1)[0].lower() not in _NRRD_FIELDS]
    # The space has to come before the fields given in it, and after the number of axes.
    place = next(n for n, line in enumerate(kept) if line.startswith("sizes:")) + 1
    kept[place:place] = [f"{name}: {value}" for name, value in fields]
    path.write_bytes("\n".join(kept).encode("latin-1") + (content[end:] or b"\n"))
