"""Libraries that only some formats need, and that are installed only by those who want them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Turn a missing library into a sentence that says how to install it.

    Parameters
    ----------
    extra : str
        Optional dependency group of the package.
    what : str
        What needs it, for the message: ``"DICOM-SEG"``.

    Raises
    ------
    FormatError
        If an import within the block fails.

    Examples
    --------
    >>> with needing("dicom", "DICOM-SEG"):
    ...     import math
    """
    try:
        yield
    except ImportError as error:
        raise FormatError(
            f"{what} needs {error.name or 'a library'}, which is not installed; install it with: "
            f'pip install "napari-sslseg[{extra}]".'
        ) from error
