"""Which inked slices labels are carried from, and which only correct what arrives."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from .ink_completion import NOT_ANNOTATED

#: Area of the object's strokes in a slice, as a part of the largest in any slice, below which they
#: are a correction, though background is inked beside them: a quarter of the height and width.
_LEAST_AREA = 1 / 16


def carrying_slices(
    shown: npt.NDArray[np.bool_],
    whole: npt.NDArray[np.bool_],
    areas: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.bool_]:
    """Return which slices labels are carried from.

    Wholly annotated slices are. Strokes say too little about their slice to take the place of what
    is carried there from whole ones, and only correct it: unless they tell an object, which no
    whole slice shows, from the background. Strokes of one class alone do not tell where it ends,
    and a dab, much smaller than the object's strokes in other slices, does not either.

    Parameters
    ----------
    shown : ndarray of bool, (Z, K)
        Which classes are inked in each slice, background first.
    whole : ndarray of bool, (Z,)
        Wholly annotated slices.
    areas : ndarray of int, (Z,), optional
        Pixels of the box around the inked objects of each slice, see `stroke_areas`. Without them
        dabs count, so that the result is an upper bound.

    Returns
    -------
    ndarray of bool, (Z,)
        False everywhere if no ink tells an object from the background.
    """
    known = np.asarray(shown[whole].any(axis=0))
    known[0] = False
    objects = shown.copy()
    objects[:, 0] = False
    new = (objects & ~known).any(axis=1)
    # Carried on from here are all classes: none that whole slices show may end at strokes that
    # pass over it.
    complete = (objects | ~known).all(axis=1)
    telling = shown[:, 0] & new & complete & ~whole
    if areas is not None and telling.any():
        telling &= areas >= _LEAST_AREA * areas[telling].max()
    carrying = whole | telling
    if not objects[carrying].any():
        return np.zeros_like(whole)
    return np.asarray(carrying)


def stroke_areas(ink: torch.Tensor) -> npt.NDArray[np.int64]:
    """Return how many pixels the box around the inked objects of each slice has.

    Parameters
    ----------
    ink : (Z, H, W) uint8 tensor
        255 where not annotated, 0 background.

    Returns
    -------
    ndarray of int64, (Z,)
        0 where no object is inked.
    """
    found = np.zeros(len(ink), np.int64)
    for z, slice_ in enumerate(ink):
        objects = (slice_ != 0) & (slice_ != NOT_ANNOTATED)
        spans = [torch.nonzero(objects.any(axis)).flatten() for axis in (1, 0)]
        if len(spans[0]):
            found[z] = math.prod(int(span[-1] - span[0]) + 1 for span in spans)
    return found
