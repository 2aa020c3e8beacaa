"""How the pages of a TIFF file are packed and compressed, and what decodes them.

tifffile itself unpacks whole bytes, single bits, Deflate and PackBits. All else is the business of
imagecodecs, a library of 26 MB that not everybody has; LZW, which many programs write unasked, is
left to Pillow then.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from .errors import FormatError
from .upright import AS_STORED, ORIENTATION

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_LZW, _ZSTD = 5, 50000

#: Photometric interpretations whose values Pillow gives as they stand: grey, RGB, palette.
_AS_STORED = (1, 2, 3)

#: Values a pixel and their type, as Pillow has them.
_PILLOW_TYPES = ((1, "uint8"), (1, "uint16"), (1, "float32"), (3, "uint8"))

#: Bits of a value that need no library to be unpacked.
_WHOLE_BITS = (1, 8, 16, 32, 64)


def stored_bits(page: Any) -> float:
    """Return the bits that a value of a tifffile.TiffPage takes, uncompressed.

    Several small ones share a byte; of bits that differ from value to value, the mean is taken.
    """
    bits = page.bitspersample
    if isinstance(bits, tuple):  # such as 5, 6, 5 for the colours of a pixel
        return float(sum(bits) / len(bits))
    return float(bits)


def decoder(path: Path, series: Any) -> PillowPages | None:
    """Return what decodes the pages of a series where tifffile cannot, None where it can.

    Parameters
    ----------
    path : Path
    series : tifffile.TiffPageSeries
        Of that file.

    Raises
    ------
    FormatError
        If nothing can; the message says what to install.
    """
    lacking = _lacking(series.keyframe)
    if not lacking:
        return None
    if _can_pillow(series.keyframe) and all(_is_plain(path, page) for page in series.pages):
        return PillowPages(path)
    if not _without_imagecodecs():
        raise FormatError(f"{path} {lacking}, which cannot be read; save it uncompressed.")
    raise FormatError(
        f"{path} {lacking}, which needs imagecodecs, which is not installed; save it uncompressed, "
        'or install it with: pip install "napari-sslseg[tiff]".'
    )


class PillowPages:
    """Decodes pages of a TIFF file by Pillow; the file stays open until it is closed.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        from PIL import Image

        with warnings.catch_warnings():
            # Large slices are common here; what they take was compared with the file.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            self._image: Any = Image.open(path, formats=("TIFF",))

    def __call__(self, page: Any) -> NDArray[Any]:
        """Return the values of a page as tifffile would."""
        self._image.seek(page.index)
        self._image.getexif()[ORIENTATION] = AS_STORED  # else Pillow turns it, unlike tifffile
        values = np.asarray(self._image)
        if values.shape != page.shape or values.dtype.itemsize != page.dtype.itemsize:
            raise ValueError("Pillow reads it as something else")
        return values.astype(page.dtype, copy=False)

    def close(self) -> None:
        """Close the file."""
        self._image.close()


def _lacking(page: Any) -> str:
    """Return what of a page tifffile cannot decode here, as a predicate; empty if it can."""
    compression = int(page.compression)
    name = getattr(page.compression, "name", str(compression))
    for table, key in (
        (tifffile.TIFF.DECOMPRESSORS, compression),
        (tifffile.TIFF.UNPREDICTORS, int(page.predictor)),
    ):
        if key != 1 and (key not in table or (key == _ZSTD and not _knows_zstd())):
            return f"is compressed by {name}"
    bits = page.bitspersample
    packed = isinstance(bits, int) and bits not in _WHOLE_BITS
    if packed and compression not in tifffile.TIFF.IMAGE_COMPRESSIONS and _without_imagecodecs():
        return f"holds values of {bits} bits"
    return ""


def _knows_zstd() -> bool:
    """Whether ZSTD can be decoded; tifffile finds out only when it looks at a page."""
    return not _without_imagecodecs() or importlib.util.find_spec("compression") is not None


def _without_imagecodecs() -> bool:
    return importlib.util.find_spec("imagecodecs") is None


def _can_pillow(page: Any) -> bool:
    """Whether Pillow gives the very values of a page."""
    return (
        int(page.compression) == _LZW
        and int(page.photometric) in _AS_STORED
        and int(page.planarconfig) == 1
        and (page.samplesperpixel, str(page.dtype)) in _PILLOW_TYPES
        and not isinstance(page.bitspersample, tuple)
        and page.bitspersample == 8 * page.dtype.itemsize
    )


def _is_plain(path: Path, page: Any) -> bool:
    """Whether a page is one of the chain in the file itself, in which Pillow counts."""
    same_file = os.path.abspath(page.parent.filehandle.path) == os.path.abspath(path)
    return isinstance(page.index, int) and same_file
