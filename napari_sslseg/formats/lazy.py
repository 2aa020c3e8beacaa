"""Arrays that read a block of their file when it is looked at."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Region = tuple[slice, ...]

#: Decoded volumes up to this many bytes are read at once; larger ones block by block.
EAGER_BYTES = 1 << 29


class _Blocks:
    """The least that dask asks of a source: shape, dtype and reading a region.

    A block that cannot be read raises FormatError, however the library that reads it complains.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[Region], NDArray[Any]],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.ndim = len(shape)
        self._name = name
        self._read = read

    def __getitem__(self, region: Region) -> NDArray[Any]:
        try:
            return np.asarray(self._read(region), dtype=self.dtype)
        except FormatError:
            raise
        except Exception as error:  # the libraries raise nearly anything on damaged files
            raise FormatError(
                f"{self._name} cannot be read everywhere: a part of it is damaged or missing; "
                "copy or export it again."
            ) from error


def lazy_array(
    name: str,
    read: Callable[[Region], NDArray[Any]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    chunks: tuple[int, ...],
) -> Any:
    """Return a dask array over a function that reads a region.

    Parameters
    ----------
    name : str
        Path of the source, for messages.
    read : callable
        Gets one slice for each axis, returns these voxels. May be called from several threads.
    shape, dtype
        Of the whole array.
    chunks : tuple of int
        Lengths of a block, the piece in which the source is best read.

    Returns
    -------
    dask.array.Array
    """
    import dask.array as da

    source = _Blocks(name, read, shape, dtype)
    # Without a name, dask would hash the source; without a meta, it would read from it.
    return da.from_array(
        source,
        chunks=chunks,
        name=f"blocks-{uuid.uuid4().hex}",
        asarray=False,
        fancy=False,
        meta=np.empty((0,) * len(shape), dtype=dtype),
    )


def in_native_order(name: str, array: NDArray[Any]) -> Any:
    """Return an array with its bytes in the order of this machine.

    A large mapped file stays on disk, and is turned block by block as it is looked at.

    Parameters
    ----------
    name : str
        Path of the source, for messages.
    array : ndarray

    Returns
    -------
    ndarray or dask array
        A dask array of one above `EAGER_BYTES` that is mapped, else a copy.
    """
    dtype = array.dtype.newbyteorder("=")
    if not isinstance(array, np.memmap) or array.nbytes <= EAGER_BYTES:
        return array.astype(dtype)
    # Blocks of one index of the axis that lies slowest in the file.
    slowest = int(np.argmax(np.abs(array.strides)))
    chunks = tuple(1 if i == slowest else n for i, n in enumerate(array.shape))
    return lazy_array(name, lambda region: array[region].astype(dtype), array.shape, dtype, chunks)
