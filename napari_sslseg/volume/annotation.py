"""Annotation: what a person inked, voxel by voxel, and the reference slices that follow from it.

Ink is an unsigned 8-bit array of the image's shape. A value below 255 is a statement by
the user (0 = "this is background"); 255 says that nothing was stated.
Whether a slice is a reference is never stored: it is a reference when no voxel of it is
left unstated. So undo, redo and recovery need no second book to keep in step.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

NOT_ANNOTATED = 255

#: Label of what belongs to no class.
BACKGROUND = 0

Ink = npt.NDArray[np.uint8]


class SliceState(IntEnum):
    """How much of a slice is inked."""

    EMPTY = 0
    PARTIAL = 1
    WHOLE = 2


def blank_ink(shape: tuple[int, ...]) -> Ink:
    """Return ink on which nothing is stated yet: uint8 of this shape, 255 everywhere."""
    return np.full(shape, NOT_ANNOTATED, dtype=np.uint8)


def slice_state(slice_ink: Ink) -> SliceState:
    """State of one slice, from its ink of shape (H, W); one without pixels is empty."""
    stated = int(np.count_nonzero(slice_ink != NOT_ANNOTATED))
    if stated == 0:
        return SliceState.EMPTY
    return SliceState.WHOLE if stated == slice_ink.size else SliceState.PARTIAL


def slice_states(ink: Ink, axis: int) -> npt.NDArray[np.uint8]:
    """State of every slice along `axis`.

    Parameters
    ----------
    ink : ndarray of uint8, shape (Z, Y, X)
        255 where nothing is stated; two axes do as well.
    axis : int
        Slicing axis, counted from 0; negative ones are not understood.

    Returns
    -------
    ndarray of uint8, shape (ink.shape[axis],)
        Values of `SliceState`.
    """
    other = tuple(i for i in range(ink.ndim) if i != axis)
    stated = np.count_nonzero(ink != NOT_ANNOTATED, axis=other)
    whole = ink.size // max(ink.shape[axis], 1)
    states = np.where(stated == whole, SliceState.WHOLE, SliceState.PARTIAL)
    return np.where(stated == 0, SliceState.EMPTY, states).astype(np.uint8)


def shown_classes(ink: Ink, axis: int) -> npt.NDArray[np.bool_]:
    """Which values occur in every slice along `axis`, 255 for none included.

    Parameters
    ----------
    ink : ndarray of uint8, shape (Z, Y, X)
    axis : int
        Slicing axis.

    Returns
    -------
    ndarray of bool, shape (ink.shape[axis], 256)
        One row a slice, one column a value.
    """
    slices = np.moveaxis(ink, axis, 0)
    return np.stack([np.bincount(s.ravel(), minlength=256) for s in slices]) > 0


def reference_slices(ink: Ink, axis: int) -> list[int]:
    """Return the indices of the wholly annotated slices along `axis`, counted from 0, rising."""
    return [int(i) for i in np.flatnonzero(slice_states(ink, axis) == SliceState.WHOLE)]


def infer_axis(ink: Ink) -> int:
    """Find the axis along which slices were inked.

    It is the one whose touched slices are filled best: whole slices along the right axis
    are full, while along any other axis the same ink only crosses every slice.

    Parameters
    ----------
    ink : ndarray of uint8, shape (Z, Y, X)
        255 where nothing is stated.

    Returns
    -------
    int
        The first of those that are filled alike.

    Raises
    ------
    ValueError
        When nothing is inked.
    """
    counts = [np.zeros(length, dtype=np.int64) for length in ink.shape]
    # Slab by slab: a mask of all voxels would take as much memory as the ink.
    for index, slab in enumerate(ink):
        stated = slab != NOT_ANNOTATED
        counts[0][index] = np.count_nonzero(stated)
        for axis in range(1, ink.ndim):
            other = tuple(i for i in range(ink.ndim - 1) if i != axis - 1)
            counts[axis] += np.count_nonzero(stated, axis=other)
    total = int(counts[0].sum())
    if total == 0:
        raise ValueError("Nothing is annotated: every voxel of the references is 255.")
    filled = []
    for axis, found in enumerate(counts):
        touched = int(np.count_nonzero(found))
        filled.append(total / (touched * (ink.size // ink.shape[axis])))
    return int(np.argmax(filled))


def stated(labels: Ink, axis: int) -> Ink:
    """Return labels that were made elsewhere as ink.

    Where they mark what is not annotated (255), their word is taken. In an ordinary mask, the
    slices that show any class are taken for whole, the others for untouched: 0 may mean either.

    Parameters
    ----------
    labels : ndarray of uint8
    axis : int
        Slicing axis.

    Returns
    -------
    ndarray of uint8
        `labels` itself where they have their own word for it, else a copy.
    """
    if (labels == NOT_ANNOTATED).any():
        return labels
    ink = labels.copy()
    others = tuple(i for i in range(labels.ndim) if i != axis)
    empty = ~(labels > BACKGROUND).any(axis=others)
    np.moveaxis(ink, axis, 0)[empty] = NOT_ANNOTATED
    return ink


def merge_ink(ink: Ink, others: Iterable[Ink]) -> Ink:
    """Join ink from several layers into one; the earlier array wins where both speak.

    Parameters
    ----------
    ink : ndarray of uint8
        What counts first; it is not changed.
    others : iterable of ndarrays of uint8
        Of the same shape, each looked at once.

    Returns
    -------
    ndarray of uint8
        A new array, 255 where none of them speaks.
    """
    merged = ink.copy()
    for other in others:
        silent = merged == NOT_ANNOTATED
        merged[silent] = other[silent]
    return merged


def corrections(
    edited: Ink,
    proposed: npt.NDArray[np.uint8],
    said: npt.NDArray[np.bool_] | None = None,
) -> Ink:
    """Voxels of an edited proposal that are a person's word.

    Where it differs from what was proposed a person has changed it, whatever came between. Where it
    does not, only whoever followed the strokes knows that one went there.

    Parameters
    ----------
    edited : ndarray of uint8
        The proposal layer as it stands.
    proposed : ndarray of uint8
        What the machine proposed.
    said : ndarray of bool, optional
        Where strokes went, also those on an earlier version: what stands there is the person's
        word, even if the same is proposed.

    Returns
    -------
    ndarray of uint8
        The class where corrected, 255 elsewhere.
    """
    spoken = corrected(edited, proposed, said)
    return np.where(spoken, edited, np.uint8(NOT_ANNOTATED)).astype(np.uint8, copy=False)


def corrected(
    edited: Ink,
    proposed: npt.NDArray[np.uint8],
    said: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.bool_]:
    """Where `corrections`, with the same arguments, has a class; bool, of the shape of `edited`."""
    found: npt.NDArray[np.bool_] = np.asarray(edited != proposed)
    return found if said is None else found | said


def latest(
    ink: Ink, edited: npt.NDArray[np.uint8], corrected: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return the user's latest word on each voxel, and where there is none what was proposed.

    Parameters
    ----------
    ink : ndarray of uint8
    edited : ndarray of uint8
        The proposal layer as it stands.
    corrected : ndarray of bool
        Where the user changed it. Ink that is set over a correction is written into the layer as
        well, so what differs from ink is the later of the two.
    """
    return np.where((ink == NOT_ANNOTATED) | corrected, edited, ink).astype(np.uint8, copy=False)


class Corrections:
    """`corrections`, each slice along the first axis found when it is asked for.

    Parameters
    ----------
    edited, proposed, said
        As for `corrections`.
    """

    def __init__(
        self,
        edited: Ink,
        proposed: npt.NDArray[np.uint8],
        said: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self._edited, self._proposed, self._said = edited, proposed, said
        self.shape = edited.shape

    def __getitem__(self, key: Any) -> Ink:
        """Return the corrections at an index, or a tuple of indices."""
        said = None if self._said is None else self._said[key]
        return corrections(self._edited[key], self._proposed[key], said)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[...].astype(dtype or np.uint8, copy=False)
