"""Which inked slices labels are carried from, and which only correct what arrives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def carrying_slices(
    shown: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return which slices labels are carried from.

    Wholly annotated slices are. Strokes say too little about their slice to take the place of what
    is carried there from whole ones, and only correct it: unless they tell an object, which no
    whole slice shows, from the background. Strokes of one class alone do not tell where it ends.

    Parameters
    ----------
    shown : ndarray of bool, (Z, K)
        Which classes are inked in each slice, background first.
    whole : ndarray of bool, (Z,)
        Wholly annotated slices.

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
    carrying = whole | (shown[:, 0] & new & complete)
    if not objects[carrying].any():
        return np.zeros_like(whole)
    return np.asarray(carrying)
