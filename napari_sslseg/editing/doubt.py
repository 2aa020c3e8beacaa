"""Where the predictions disagree, as places to go to, the largest first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

#: Regions in which the predictions disagree: DC and DS.
DISPUTED = (3, 4)

#: Parts of fewer pixels are specks that nobody needs to be sent to.
LEAST_PIXELS = 4

#: Slices on either side in which the same part need not be looked at again.
NEAR_SLICES = 2


@dataclass(frozen=True)
class DoubtfulPlace:
    """A connected part of a slice in which the predictions disagree.

    Parameters
    ----------
    index : int
        Slice.
    box : tuple of int
        First row, row after the last, first column, column after the last.
    pixels : int
    unsure : int
        Of these, pixels of DS.
    seed : tuple of int
        Row and column of a pixel of it.
    """

    index: int
    box: tuple[int, int, int, int]
    pixels: int
    unsure: int
    seed: tuple[int, int]


@dataclass(frozen=True)
class DoubtfulPlaces:
    """Where the predictions disagree.

    Parameters
    ----------
    listed : list of DoubtfulPlace
        The largest first.
    more : bool
        Whether there are smaller ones that the list has no room for.
    specks : bool
        Whether there are parts of fewer than `LEAST_PIXELS` pixels, which are not listed.
    """

    listed: list[DoubtfulPlace]
    more: bool
    specks: bool


def doubtful_places(
    slices: Callable[[int], npt.NDArray[np.uint8]], count: int, most: int = 200
) -> DoubtfulPlaces:
    """List the parts in which the predictions disagree, one for each, the largest first.

    A part runs through several slices; it is listed where it is largest, and what overlaps with
    it in the slices beside that is left out.

    Parameters
    ----------
    slices : callable
        From the index of a slice to its (H, W) regions, 0 where there is nothing to judge.
    count : int
        Number of slices.
    most : int
        Length of the list.
    """
    found: list[DoubtfulPlace] = []
    specks = False
    for z in range(count):
        parts, small = _parts_of(slices(z), z)
        found.extend(parts)
        specks = specks or small
    found.sort(key=lambda place: (-place.pixels, -place.unsure, place.index, place.box))
    chosen: list[DoubtfulPlace] = []
    for place in found:
        if not any(_beside(place, other) for other in chosen):
            if len(chosen) == most:
                return DoubtfulPlaces(chosen, True, specks)
            chosen.append(place)
    return DoubtfulPlaces(chosen, False, specks)


def _parts_of(regions: npt.NDArray[np.uint8], index: int) -> tuple[list[DoubtfulPlace], bool]:
    """Return the places of a slice, and whether there are specks besides."""
    disputed = (regions == DISPUTED[0]) | (regions == DISPUTED[1])
    if not disputed.any():
        return [], False
    parts, _ = ndimage.label(disputed, structure=np.ones((3, 3), dtype=bool))
    sizes = np.bincount(parts.ravel())
    unsure = np.bincount(parts[regions == DISPUTED[1]], minlength=sizes.size)
    places = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
        if sizes[number] < LEAST_PIXELS:
            continue
        box = (rows.start, rows.stop, columns.start, columns.stop)
        inside = np.argwhere(parts[rows, columns] == number)
        row, column = inside[len(inside) // 2]
        seed = (int(rows.start + row), int(columns.start + column))
        places.append(DoubtfulPlace(index, box, int(sizes[number]), int(unsure[number]), seed))
    return places, len(places) < len(sizes) - 1


def _beside(place: DoubtfulPlace, other: DoubtfulPlace) -> bool:
    if not 0 < abs(place.index - other.index) <= NEAR_SLICES:
        return False
    top, bottom, left, right = place.box
    above, below, west, east = other.box
    return top < below and above < bottom and left < east and west < right
