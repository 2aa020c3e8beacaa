"""Opening DICOM files: whether one is, may be read, and reading it without trusting its lengths."""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as DICOM files do (very old ones begin in no special way).

    False also where it is missing or may not be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def may_not_read(path: str | os.PathLike[str]) -> bool:
    """Whether a file is there that the user has no permission to read."""
    try:
        with open(path, "rb"):
            return False
    except PermissionError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def mapped(path: str) -> Iterator[mmap.mmap]:
    """Open a file so that no read gives memory to more bytes than there are.

    An ordinary file does: a damaged length of an element would ask for gigabytes.

    Yields
    ------
    mmap.mmap
        Read-only; closed when the block ends.

    Raises
    ------
    OSError, ValueError
        If it cannot be opened, or is empty.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        yield view


def read_dataset(path: str, **options: Any) -> Dataset:
    """Read a file with pydicom, quietly; one without file meta information gets its encoding.

    Parameters
    ----------
    path : str
    **options
        Of `pydicom.dcmread`.

    Raises
    ------
    OSError, ValueError
        If it cannot be opened, or is empty; on damaged files pydicom raises nearly anything.
    """
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    with mapped(path) as file:
        dataset = pydicom.dcmread(cast("Any", file), force=True, **options)
    meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    if not meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta = meta
    return dataset
