"""Voxel values of DICOM frames: decoded, rescaled, in the order of the slices.

Stored values become those of the modality by slope and intercept, or by the lookup table that the
file has (PS3.3 C.11.1). Colours become RGB.
"""

from __future__ import annotations

import warnings
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from .dicom_codecs import PIXEL_TAGS, NoCodecError, decoded_frames
from .dicom_opening import mapped, read_dataset
from .errors import FormatError
from .lazy import EAGER_BYTES, lazy_array
from .limits import check_declared, check_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .dicom_headers import FileHeader, FrameHeader

#: Transfer syntaxes whose bytes are the pixels, deflated ones, and RLE.
_RAW = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_DEFLATED = "1.2.840.10008.1.2.1.99"
_RLE = "1.2.840.10008.1.2.5"

#: Frames of one file that are decoded together when a large volume is read piece by piece.
_TOGETHER = 8


def read_stack(frames: Sequence[FrameHeader]) -> Any:
    """Return the voxel values of frames.

    Up to `EAGER_BYTES` they are decoded now, else when they are looked at.

    Parameters
    ----------
    frames : sequence of FrameHeader
        One or more of one size, in the order of their slices.

    Returns
    -------
    ndarray or dask array, shape (slice, row, column) or (slice, row, column, 3)
        Modality values in the smallest integer type that holds all of them, float32 where they need
        not be whole numbers; colours as uint8 RGB.

    Raises
    ------
    FormatError
        If a file is damaged, its compression cannot be read, or they need more memory than is free;
        of what is decoded later, when it is looked at.
    """
    first = frames[0].file
    for file in {frame.file.path: frame.file for frame in frames}.values():
        _check_size(file)
    colours = (3,) if first.samples > 1 or first.photometric == "PALETTE COLOR" else ()
    shape = (len(frames), first.rows, first.columns, *colours)
    dtype = _dtype(frames) if not colours else np.dtype(np.uint8)
    needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    lazy = needed > EAGER_BYTES
    if not lazy:
        check_memory(first.path, needed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on padding and the like
        # The first frame before the memory for all: it shows whether the header tells the truth.
        for values in _decoded(frames[:1]):
            _fit(values, shape[1:], frames[0])
        if not lazy:
            array = np.empty(shape, dtype)
            for n, values in enumerate(_decoded(frames)):
                array[n] = _fit(values, shape[1:], frames[n])
            return _narrowed(array)

    def read(region: tuple[slice, ...]) -> NDArray[Any]:
        wanted = frames[region[0]]
        block = np.empty((len(wanted), *shape[1:]), dtype)
        for n, values in enumerate(_decoded(wanted)):
            block[n] = _fit(values, shape[1:], wanted[n])
        return block[(slice(None), *region[1:])]

    together = _TOGETHER if first.frames > 1 else 1
    return lazy_array(first.path, read, shape, dtype, (together, *shape[1:]))


def _check_size(file: FileHeader) -> None:
    syntax = file.transfer_syntax
    kind = {_DEFLATED: "gzip", _RLE: "rle"}.get(syntax, "raw" if syntax in _RAW else "picture")
    # A 4:2:2 colour image stores two values for every three.
    check_declared(file.path, file.decoded * (2 / 3 if file.samples == 3 else 1), file.stored, kind)


def _dtype(frames: Sequence[FrameHeader]) -> np.dtype[Any]:
    """Return the smallest type that holds all values of the modality."""
    low, high = 0.0, 0.0
    for file, group in groupby(frames, key=lambda frame: frame.file):
        if file.has_lut:
            return np.dtype(np.float32)
        bits = max(1, min(file.bits_stored, file.bits_allocated))
        stored = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if file.signed else (0, 2**bits - 1)
        for slope, intercept in {(frame.slope, frame.intercept) for frame in group}:
            if slope % 1 or intercept % 1:
                return np.dtype(np.float32)
            ends = [slope * value + intercept for value in stored]
            low, high = min(low, *ends), max(high, *ends)
    for dtype in (np.uint8, np.int16, np.uint16, np.int32, np.uint32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.float32)


def _narrowed(array: NDArray[Any]) -> NDArray[Any]:
    """Return 32-bit integers as 16-bit ones where they fit: CT is stored in 16 bits and shifted."""
    limits = np.iinfo(np.int16)
    if array.dtype == np.int32 and limits.min <= array.min() and array.max() <= limits.max:
        return array.astype(np.int16)
    return array


def _decoded(frames: Sequence[FrameHeader]) -> Iterator[NDArray[Any]]:
    """Decode frames one after another; runs of frames in one file are read together."""
    for path, group in groupby(frames, key=lambda frame: frame.file.path):
        members = list(group)
        try:
            yield from _decode_file(members)
        except FormatError:
            raise
        except MemoryError as error:
            raise FormatError(f"{path} does not fit into memory; close other programs.") from error
        except Exception as error:  # pydicom and the codecs raise nearly anything
            raise FormatError(_reason(members[0].file, error)) from error


def _decode_file(frames: list[FrameHeader]) -> Iterator[NDArray[Any]]:
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    file = frames[0].file
    palette = file.photometric == "PALETTE COLOR"
    dataset = None
    if file.frames == 1 or palette or file.has_lut or file.transfer_syntax == _DEFLATED:
        dataset = read_dataset(file.path)
        indices = [frame.number - 1 if file.frames > 1 else 0 for frame in frames]
        arrays = decoded_frames(dataset, dataset, indices)
    else:
        arrays = _of_many(file.path, [frame.number - 1 for frame in frames])
    for frame, array in zip(frames, arrays, strict=True):
        if dataset is not None and palette:
            colours = apply_color_lut(array, dataset)[..., :3]
            wide = colours.dtype.itemsize > 1
            yield (colours >> 8).astype(np.uint8) if wide else colours
        elif file.samples > 1:
            yield array if array.dtype == np.uint8 else (array >> 8).astype(np.uint8)
        elif dataset is not None and file.has_lut:
            yield apply_modality_lut(array, dataset)
        elif (frame.slope, frame.intercept) == (1.0, 0.0):
            yield array
        else:
            yield array * frame.slope + frame.intercept


def _of_many(path: str, indices: list[int]) -> Iterator[NDArray[Any]]:
    """Decode some frames of a file of many, without reading the rest of it."""
    dataset = read_dataset(path, stop_before_pixels=True, specific_tags=list(PIXEL_TAGS))
    with mapped(path) as view:
        yield from decoded_frames(view, dataset, indices)


def _fit(values: NDArray[Any], shape: tuple[int, ...], frame: FrameHeader) -> NDArray[Any]:
    if values.shape != shape:
        raise FormatError(
            f"{frame.file.path} is damaged: its image has the shape {values.shape}, but its header "
            f"says {shape}."
        )
    return values


def _reason(file: FileHeader, error: Exception) -> str:
    import pydicom

    name = pydicom.uid.UID(file.transfer_syntax).name
    if isinstance(error, NoCodecError):
        return (
            f"{file.path} is compressed as {name}, which cannot be read here: install more codecs "
            'with pip install "napari-sslseg[dicom]", or convert the files.'
        )
    return (
        f"{file.path} cannot be read: its pixel data ({name}) are damaged or incomplete; copy or "
        "export it again."
    )
