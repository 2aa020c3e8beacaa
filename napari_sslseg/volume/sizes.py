"""Sizes of memory and files in words: a GB is 2**30 bytes, as memory is sold and told of."""

from __future__ import annotations

import re

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

#: Share of a unit from which on it is used.
_ENOUGH = 0.95


def parse_size(text: str) -> int:
    """Read a size such as ``4G``, ``500 MB`` or ``1.5GiB`` as bytes.

    Units, in any case, are powers of 1024, with or without the ``i``; a bare number is bytes.

    Raises
    ------
    ValueError
        With one sentence for the user.
    """
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", text.upper())
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size <= 0:
        raise ValueError(f"“{text}” is no size of memory; write it like 4G or 1500M.")
    return size


def spoken(size: float) -> str:
    """Say a number of bytes, as ``1.5 GB``, in powers of 1024."""
    if size < _ENOUGH * _UNITS["K"]:
        return f"{size:.0f} bytes"
    unit = next(u for u in "TGMK" if u == "K" or size >= _ENOUGH * _UNITS[u])
    number = size / _UNITS[unit]
    return f"{number:.1f} {unit}B" if unit in "TG" else f"{number:.3g} {unit.replace('K', 'k')}B"
