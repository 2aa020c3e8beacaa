"""Arrays written to ``.npy`` files piece by piece, so that none need be in memory as a whole."""

from __future__ import annotations

import contextlib
import hashlib
import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .replacing import replacing_all

#: Voxels above which labels are memory-mapped when they are read.
MAPPED = 1 << 28

#: Bytes that are read, hashed and written at a time.
_PIECE = 1 << 25

#: The same for arrays whose slabs lie scattered over all of their file.
_SCATTERED = 1 << 28


def write_slabs(
    paths: Sequence[Path],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    slabs: Iterable[Sequence[npt.NDArray[Any]]],
) -> None:
    """Write arrays of one shape and type index by index of their first axis, then replace files.

    They are on the disk when this returns. After any error, those of `slabs` included, nothing
    half written is left.

    Parameters
    ----------
    paths : sequence of Path
        One for each array.
    shape, dtype
        Of each array.
    slabs : iterable
        One piece of each array at a time.

    Raises
    ------
    OSError
        When they cannot be written.
    ValueError
        When there are not as many slabs as the shape says.
    """
    header = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": tuple(int(n) for n in shape),
    }
    count = 0
    with replacing_all(paths) as parts:
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(part, "wb")) for part in parts]
            for file in files:
                np.lib.format.write_array_header_1_0(file, header)
            for slab in slabs:
                count += 1
                for file, array in zip(files, slab, strict=True):
                    file.write(np.ascontiguousarray(array, dtype=dtype).data)
        if count != shape[0]:
            raise ValueError(f"{count} slabs do not make an array of the shape {shape}.")


def write_hashed(path: Path, array: npt.NDArray[Any]) -> str:
    """Write an array, which may be memory-mapped or lazy, and return the SHA-256 of its voxels.

    Parameters
    ----------
    path : Path
        Replaced when all is written.
    array : ndarray, or anything that gives slabs of its first axis

    Returns
    -------
    str
        64 hexadecimal digits, of the voxels in C order.

    Raises
    ------
    OSError
        When it cannot be written; and whatever reading the array raises.
    """
    digest = hashlib.sha256()

    def slabs() -> Iterator[tuple[npt.NDArray[Any]]]:
        for piece in pieces(array):
            digest.update(piece.reshape(-1).view(np.uint8).data)
            for slab in piece:
                yield (slab,)

    write_slabs([path], array.shape, np.dtype(array.dtype), slabs())
    return digest.hexdigest()


def map_array(path: Path, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array of a file, memory-mapped read-only.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Of its first axes; channels may follow.

    Raises
    ------
    OSError, ValueError, EOFError
        When it is missing, damaged, or of another shape.
    """
    mapped: npt.NDArray[Any] = np.load(path, mmap_mode="r")
    if mapped.shape[: len(shape)] != shape:
        raise ValueError(f"its shape is {mapped.shape}, not {shape}")
    return mapped


def pieces(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield an array in C-contiguous pieces along its first axis, in the blocks it is stored in.

    Parameters
    ----------
    array : ndarray, or anything lazy with shape, dtype and slices of its first axis
        A piece has about 32 MiB, or 256 MiB where its voxels lie scattered in memory or file, and
        ends where chunks of the array end. A mapped array keeps no page of what was yielded.

    Yields
    ------
    ndarray, shape (n, *array.shape[1:])
        One after another; together they are the array.
    """
    depth = array.shape[0]
    each = max(1, int(np.prod(array.shape[1:])) * np.dtype(array.dtype).itemsize)
    strides = getattr(array, "strides", (1,))
    scattered = abs(strides[0]) < max(abs(stride) for stride in strides)
    step = max(1, min(depth, (_SCATTERED if scattered else _PIECE) // each))
    chunks = getattr(array, "chunks", None)
    if chunks is not None and max(chunks[0]) > 1:  # else each block would be decoded repeatedly
        step = max(chunks[0]) * max(1, step // max(chunks[0]))
    mapping = mapping_of(array)
    for start in range(0, depth, step):
        yield np.ascontiguousarray(array[start : start + step])
        forget_pages(mapping)


def mapping_of(array: Any) -> mmap.mmap | None:
    """Return the mapping that a read-only mapped array, or a view of it, looks at, or None."""
    while isinstance(array, np.ndarray):
        base: Any = array.base
        if isinstance(base, mmap.mmap):
            return base if getattr(array, "mode", "") == "r" else None
        array = base
    return None


def writable_copy(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy to write to; of a mapped file only what is written to takes memory.

    The file itself is never written to. What is no `numpy.memmap` mapped read-only is copied into
    memory.
    """
    if isinstance(array, np.memmap) and array.filename is not None and mapping_of(array):
        where = {"offset": array.offset, "shape": array.shape}
        return np.asarray(np.memmap(array.filename, array.dtype, "c", **where))
    return array.copy()


def forget_pages(mapping: mmap.mmap | None) -> None:
    """Give back the memory that the looked-at part of a mapped file takes; it is read again.

    Does nothing with None, on a closed mapping, and where the system cannot do it.
    """
    if mapping is not None and hasattr(mapping, "madvise"):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            mapping.madvise(mmap.MADV_DONTNEED)


def value_counts(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return how often each value occurs, (256,), without a wider copy of the whole array.

    Parameters
    ----------
    array : ndarray of uint8, of two axes or more, or anything that `pieces` takes
    """
    counts = np.zeros(256, dtype=np.int64)
    for piece in pieces(array):
        for slab in piece:
            counts += np.bincount(slab.ravel(), minlength=256)
    return counts
