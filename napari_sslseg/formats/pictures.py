"""PNG, JPEG and BMP by Pillow: one picture, or a folder of numbered ones as a stack.

Such files say nothing about the size of a voxel: their resolution is meant for print.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..volume.geometry import Geometry
from ..volume.image import Volume
from .errors import FormatError
from .fourth_axis import refuse_choice
from .lazy import EAGER_BYTES, lazy_array
from .limits import check_declared, check_memory
from .upright import AS_STORED, ORIENTATION, orientation_of, remark_on, upright

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "a picture"

#: Suffixes of pictures, the planes of a stack; single-page TIFF files may be planes, too.
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

_FORMATS = ("PNG", "JPEG", "BMP")

#: Pillow's modes -> mode that the values are taken in.
_MODES = {
    "1": "L",
    "L": "L",
    "LA": "L",
    "P": "RGB",
    "PA": "RGB",
    "RGB": "RGB",
    "RGBA": "RGB",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "I;16": "I;16",
    "I;16B": "I;16",
    "I": "I",
    "F": "F",
}


@dataclass(frozen=True)
class PictureStack:
    """The files of a volume, in the order of its slices."""

    paths: tuple[str, ...]


class _Picture(NamedTuple):
    """A picture the right way up, and what is remarkable about how it is stored."""

    values: NDArray[Any]
    remarks: tuple[str, ...] = ()


def read(path: Path, part: str | None = None) -> Volume:
    """Read a picture as (row, column), or a folder of them as (picture, row, column).

    Colours are the last axis; transparency is left out. A picture that says that it is stored
    turned, as those of cameras do, is turned upright.

    Parameters
    ----------
    path : Path
        Pictures of a folder are those of `stack_files`.
    part : str, optional
        There is no choice: anything but None or an empty string is refused.

    Raises
    ------
    FormatError
        If it cannot be read, the pictures of a folder are not alike, or `part` is given.
    """
    return _read(path, part, _plane)


def read_labels(path: Path, part: str | None = None) -> Volume:
    """Read class ids: of a picture with a palette, the places in it; of one bit, 0 and 1.

    Parameters and errors are those of `read`.
    """
    return _read(path, part, _indices)


def stack_files(folder: Path) -> list[Path]:
    """Return the pictures in a folder, not below it, in the order of their numbers.

    Those of the commonest kind; a stray preview beside a stack is of another. None, if there are no
    pictures.

    Raises
    ------
    OSError
        If the folder cannot be listed.
    """
    files = [f for f in folder.iterdir() if f.suffix.lower() in _SUFFIXES and f.is_file()]
    kinds = [file.suffix.lower() for file in files]
    if not kinds:
        return []
    most = max(sorted(set(kinds)), key=kinds.count)
    return sorted((f for f in files if f.suffix.lower() == most), key=natural_key)


def natural_key(path: Path) -> tuple[Any, ...]:
    """Sort key of a file's name, in any case, by which ``slice10`` comes after ``slice9``."""
    words = re.split(r"(\d+)", path.name.lower())
    return tuple((int(w), "") if w.isdecimal() else (-1, w) for w in words)


def _read(path: Path, part: str | None, plane: Callable[[Path], _Picture]) -> Volume:
    refuse_choice(path, part)
    if path.is_dir():
        return _read_stack(path, plane)
    found = plane(path)
    geometry = Geometry.from_spacing((1.0, 1.0), found.values.shape[:2], units="pixel")
    header = PictureStack((str(path),))
    return Volume(found.values, geometry, header=header, warnings=found.remarks)


def _read_stack(folder: Path, plane: Callable[[Path], _Picture]) -> Volume:
    files = stack_files(folder)
    first, remarks = plane(files[0])
    shape = (len(files), *first.shape)
    geometry = Geometry.from_spacing((1.0,) * 3, shape[:3], units="pixel")
    remarks = (*_missing_numbers(files), *remarks)

    def block(region: tuple[slice, ...]) -> NDArray[Any]:
        planes = [_alike(plane(file).values, first, file, files[0]) for file in files[region[0]]]
        return np.stack(planes)[(slice(None), *region[1:])]

    array: Any
    if len(files) * first.nbytes > EAGER_BYTES:
        array = lazy_array(str(folder), block, shape, first.dtype, (1, *first.shape))
    else:
        check_memory(folder, len(files) * first.nbytes)
        array = np.empty(shape, first.dtype)
        for n, file in enumerate(files):
            array[n] = _alike(plane(file).values, first, file, files[0])
    header = PictureStack(tuple(map(str, files)))
    return Volume(array, geometry, header=header, name=folder.name, warnings=remarks)


def _alike(values: NDArray[Any], first: NDArray[Any], path: Path, first_path: Path) -> NDArray[Any]:
    if values.shape != first.shape or values.dtype != first.dtype:
        raise FormatError(
            f"{path} ({_said(values)}) and {first_path.name} ({_said(first)}) are not slices of "
            "one stack; keep only pictures of one size and kind in the folder."
        )
    return values


def _said(values: NDArray[Any]) -> str:
    colours = ", colours" if values.ndim == 3 else ""
    return f"{values.shape[1]} × {values.shape[0]}, {8 * values.dtype.itemsize} bits{colours}"


def _missing_numbers(files: list[Path]) -> tuple[str, ...]:
    """Say where the last number of the names leaves some out."""
    found = [re.findall(r"\d+", file.stem) for file in files]
    if len(files) < 3 or not all(found):
        return ()
    numbers = [int(words[-1]) for words in found]
    steps = np.diff(numbers)
    usual = int(np.median(steps))
    gaps = np.flatnonzero(steps != usual)
    if usual < 1 or len(gaps) == 0 or len(gaps) > len(files) // 10 + 1:
        return ()
    before = files[int(gaps[0])].name
    return (f"Pictures seem to be missing: the numbers of the files leave a gap after {before}.",)


def _plane(path: Path) -> _Picture:
    return _decoded(path, keep_palette=False)


def _indices(path: Path) -> _Picture:
    return _decoded(path, keep_palette=True)


def _decoded(path: Path, keep_palette: bool) -> _Picture:
    if path.suffix.lower() in (".tif", ".tiff"):
        from .tiff import read as read_tiff
        from .tiff_spacing import TiffHeader

        volume = read_tiff(path)
        if volume.geometry.ndim != 2:
            raise FormatError(f"{path} holds a stack itself; open the file, not the folder.")
        turn = volume.header.orientation if isinstance(volume.header, TiffHeader) else AS_STORED
        return _Picture(np.asarray(volume.array), remark_on(turn))
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Large slices are common here, and checked below against what the file can hold.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                _check_size(path, image)
                mode = _MODES[image.mode]
                if image.mode == "P" and (keep_palette or _is_grey(image)):
                    mode = "P" if keep_palette else "L"
                if image.mode == "1" and keep_palette:  # as grey it would be 0 and 255
                    values = np.asarray(image).astype(np.uint8)
                else:
                    values = np.asarray(image if image.mode == mode else image.convert(mode))
                turn = _orientation(image)
    except FormatError:
        raise
    except (PermissionError, MemoryError):
        raise
    except Exception as error:  # Pillow raises nearly anything on damaged files
        raise FormatError(
            f"{path} cannot be read as {NAME}: it is damaged, incomplete or of another kind; copy "
            "or export it again."
        ) from error
    if values.dtype == np.int32 and values.size and 0 <= values.min() <= values.max() < 65536:
        values = values.astype(np.uint16)
    return _Picture(np.ascontiguousarray(upright(values, turn)), remark_on(turn))


def _orientation(image: Any) -> int:
    """Return how a picture, decoded already, says that it is stored."""
    try:
        return orientation_of(image.getexif().get(ORIENTATION))
    except Exception:  # damaged EXIF data beside a good picture
        return AS_STORED


def _is_grey(image: Any) -> bool:
    """Whether a palette holds nothing but greys."""
    palette = np.array(image.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _check_size(path: Path, image: Any) -> None:
    width, height = image.size
    bits = {"1": 1 / 8, "I;16": 2, "I": 4, "F": 4, "RGB": 3, "RGBA": 4, "LA": 2, "CMYK": 4}
    declared = width * height * bits.get(image.mode, 1)
    kind = "picture" if image.format == "JPEG" else "gzip"
    check_declared(path, declared, path.stat().st_size, kind)
    check_memory(path, 2 * declared)
