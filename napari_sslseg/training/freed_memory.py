"""What was freed goes back to the system, where the C library would keep it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def _trim() -> Callable[[int], int] | None:
    """Return the C library's call for it, where it has one."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc
        return None
    return trim


_TRIM = _trim()


def give_back() -> None:
    """Give freed memory back: tensors that come and go in several threads leave holes."""
    if _TRIM is not None:
        _TRIM(0)
