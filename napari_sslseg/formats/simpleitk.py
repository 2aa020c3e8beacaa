"""NRRD and MetaImage by SimpleITK."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from ..volume.geometry import Geometry
from ..volume.image import Volume
from .errors import FormatError
from .fourth_axis import channels_or_one, refuse_choice, remark_on_channels
from .grids import with_slice_axis
from .itk_headers import HEADER_BYTES, ItkData, decoded, metaimage_data, nrrd_data, nrrd_lines
from .lazy import EAGER_BYTES
from .length_units import length_unit, remark_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "NRRD or MetaImage"

_NO_PATIENT = (
    "The file does not say how it lies in the patient, as it names no space that is known: left "
    "and right, front and back may be wrong."
)

#: Fields of an NRRD header that say where the voxels lie.
_NRRD_FIELDS = ("space", "space dimension", "space units", "space directions", "space origin")


@dataclass(frozen=True)
class ItkHeader:
    """Geometry as ITK read it, in LPS+, and the NRRD lines that it came from.

    Spacing and origin are in the unit of the file, `factor` times `units`; ITK does not look at it.
    ITK splits NRRD's direction vectors into unit vectors and lengths, and multiplies them again
    when it writes. That rounds, so the lines themselves are kept.
    """

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]
    nrrd: tuple[tuple[str, str], ...] = ()
    units: str = "mm"
    factor: float = 1.0

    def geometry(self, shape: tuple[int, ...]) -> Geometry:
        """Return the geometry for an array of this spatial shape, ``(i, j[, k])``.

        Raises
        ------
        ValueError
            If the numbers are no geometry, or are not as many as the axes.
        """
        spacing, origin = (self.factor * np.array(v) for v in (self.spacing, self.origin))
        return Geometry.from_lps(self.direction, spacing, origin, shape, units=self.units)


def data_files(path: Path) -> tuple[Path, ...]:
    """Return the files that hold the voxels, as the header says: the file itself, or others.

    Raises
    ------
    FormatError
        If the header is damaged, or they are missing.
    OSError
        If it cannot be opened.
    """
    return _declared(path).files


def read(path: Path, part: str | None = None) -> Volume:
    """Read an image as an array in (i, j, k) order; vectors become channels.

    Of a fourth axis, see `channels_or_one`. Large uncompressed files are memory-mapped.

    Parameters
    ----------
    path : Path
    part : str, optional
        As of `channels_or_one`.

    Raises
    ------
    SeveralVolumesError
        If the user has to choose one.
    FormatError
        If the header is damaged or promises more than there is, the axes are too many, `part` is
        none of the volumes, or the file does not fit into memory.
    RuntimeError
        If ITK cannot read it.
    """
    nrrd = _is_nrrd(path)
    declared = _declared(path)
    declared.check(path)
    image: Any
    array: Any
    with _quiet():
        image = _information(path)
        mapped = declared.mapped() if declared.nbytes > EAGER_BYTES else None
        scalar = image.GetNumberOfComponents() == 1 and image.GetSize() == declared.shape
        if mapped is None or not scalar:
            declared.check_memory(path)
            image = sitk.ReadImage(str(path))
    dimension = image.GetDimension()
    if isinstance(image, sitk.Image):
        array = sitk.GetArrayFromImage(image)  # (t, k, j, i, vector)
        axes = tuple(range(dimension))[::-1]
        array = array.transpose(axes + tuple(range(dimension, array.ndim)))
    else:
        array = mapped
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
    chosen = ""
    if array.ndim == 4:
        array, chosen = channels_or_one(path, array, 3, part)
    else:
        refuse_choice(path, part)
    units, factor, remarks = _units(path, declared.units)
    if dimension > 3:  # else they are the components of vectors, which are channels for sure
        remarks = (*remarks, *remark_on_channels(array, chosen))
    if not declared.in_patient:
        remarks = (*remarks, _NO_PATIENT)
    direction = np.reshape(image.GetDirection(), (dimension, dimension))[:n, :n]
    header = ItkHeader(
        image.GetSpacing()[:n],
        image.GetOrigin()[:n],
        tuple(float(cosine) for cosine in direction.ravel()),
        _nrrd_fields(path, n) if nrrd else (),
        units,
        factor,
    )
    try:
        geometry = header.geometry(array.shape[:n])
    except ValueError as error:
        raise FormatError(
            f"{path} does not say where its voxels lie: {error}; correct its header."
        ) from error
    return Volume(array, geometry, header=header, part=chosen, warnings=remarks)


def _is_nrrd(path: Path) -> bool:
    return path.suffix.lower() in (".nrrd", ".nhdr")


def _declared(path: Path) -> ItkData:
    return nrrd_data(path) if _is_nrrd(path) else metaimage_data(path)


def _units(path: Path, given: tuple[str, ...]) -> tuple[str, float, tuple[str, ...]]:
    """Return the unit of a geometry, the factor to it, and remarks; millimetres by default."""
    names = {decoded(name) for name in given} - {"", "?", "???"}
    found = {length_unit(name) for name in names}
    if len(found) > 1:
        raise FormatError(
            f"{path} gives its axes in several units ({', '.join(sorted(names))}); write them in "
            "one of them."
        )
    remarks = tuple(remark for name in sorted(names) for remark in remark_on(name, "millimetres"))
    units, factor = (found.pop() if found else None) or ("mm", 1.0)
    return units, factor, remarks


def write_labels(path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
    """Write compressed labels; between NRRD files the space fields are copied as they stand.

    See `LabelFormat.write_labels`. OSError where the file then does not hold what was written.
    """
    header = like.header
    shape = tuple(labels.shape)
    geometry = like.geometry
    known = isinstance(header, ItkHeader) and header.geometry(shape) == geometry
    if not known and geometry.oriented and geometry.units != "pixel":
        geometry = with_slice_axis(geometry)  # a plane would lose its place in space
        labels = labels.reshape(geometry.shape)
    image = sitk.GetImageFromArray(np.ascontiguousarray(labels.T))
    if isinstance(header, ItkHeader) and (header.units, header.factor) != ("mm", 1.0):
        # Of all files only NRRD's, with its own lines, say another unit than millimetres.
        known = known and bool(header.nrrd) and _is_nrrd(path)
    if not (isinstance(header, ItkHeader) and known):
        direction, spacing, origin = geometry.in_millimetres().to_lps()
        if abs(np.linalg.det(direction)) < 1e-3:  # a plane that is not one of the x-y plane
            direction = np.eye(geometry.ndim)
        header = ItkHeader(
            tuple(spacing.tolist()), tuple(origin.tolist()), tuple(direction.ravel().tolist())
        )
    image.SetSpacing(header.spacing)
    image.SetOrigin(header.origin)
    image.SetDirection(header.direction)
    with _quiet():
        sitk.WriteImage(image, str(path), useCompression=True)
    if header.nrrd and _is_nrrd(path):
        _set_nrrd_fields(path, header.nrrd)
    _verify(path, labels)


def _verify(path: Path, labels: NDArray[np.uint8]) -> None:
    """Raise if a file is not what was written: ITK does not notice that a disk fills up.

    What its streams have still to write when it closes them is lost without a word.
    """
    try:
        with _quiet():
            image = sitk.ReadImage(str(path))
        same = np.array_equal(sitk.GetArrayViewFromImage(image).T, labels)
    except RuntimeError:
        same = False
    if not same:
        raise OSError("the disk did not take all of the file")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep ITK from writing its own warnings to the terminal; errors still raise."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _information(path: Path) -> sitk.ImageFileReader:
    """Read the header alone; the reader answers the same questions as an image."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        if "number of domain axes" not in str(error):
            raise
        raise FormatError(
            f"{path} has more axes than directions in space, and does not say that the others are "
            "no space; write “list” for each of those in the line “kinds” of its header."
        ) from error
    return reader


def _nrrd_fields(path: Path, ndim: int) -> tuple[tuple[str, str], ...]:
    """Return the space fields of `ndim` axes as they stand, without those of a channel axis."""
    with path.open("rb") as file:
        lines, _ = nrrd_lines(file.read(HEADER_BYTES))
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
    lines, end = nrrd_lines(content)
    kept = [line for line in lines if line.split(":", 1)[0].lower() not in _NRRD_FIELDS]
    # The space has to come before the fields given in it, and after the number of axes.
    place = next(n for n, line in enumerate(kept) if line.startswith("sizes:")) + 1
    kept[place:place] = [f"{name}: {value}" for name, value in fields]
    path.write_bytes("\n".join(kept).encode("latin-1") + (content[end:] or b"\n"))
