"""Regions of a file that are asked for by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import FormatError
from .region_masks import listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Regions that a message names.
MOST_LISTED = 40


def chosen(path: str | Path, there: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the places of regions in a row, in the order in which they are wanted.

    Parameters
    ----------
    path : path-like
        Of the file, for messages.
    there : sequence of str
        What its regions are called; those of the same name are taken all together.
    wanted : sequence of str
        Names, in whatever case.

    Raises
    ------
    FormatError
        If there is none of a name; it says which there are.
    """
    found: list[int] = []
    for name in wanted:
        key = name.strip().casefold()
        places = [n for n, other in enumerate(there) if other.strip().casefold() == key]
        if not places:
            raise FormatError(
                f"{path} has no region “{name}”; it has: {listed(list(there), MOST_LISTED)}."
            )
        found += [place for place in places if place not in found]
    return found
