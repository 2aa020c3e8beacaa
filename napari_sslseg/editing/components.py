"""Connected parts of a mask: pick one, keep the largest, fill what they enclose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

#: Voxels that are numbered at once.
_AT_ONCE = 2_000_000


def bounding_box(mask: Mask, margin: int = 0) -> tuple[slice, ...] | None:
    """Return the smallest box that holds a mask, grown by a margin; None when it is empty.

    Parameters
    ----------
    mask : ndarray of bool
    margin : int
        Voxels on each side, as far as the array goes.
    """
    box = []
    for axis in range(mask.ndim):
        along = np.flatnonzero(mask.any(axis=tuple(i for i in range(mask.ndim) if i != axis)))
        if not along.size:
            return None
        low, high = int(along[0]) - margin, int(along[-1]) + 1 + margin
        box.append(slice(max(low, 0), min(high, mask.shape[axis])))
    return tuple(box)


def label(mask: Mask, corners: bool = True) -> tuple[npt.NDArray[np.int32], int]:
    """Give the connected parts of a mask numbers.

    A volume is numbered some slices at a time, and what touches across is joined afterwards: the
    library holds Python's lock while it numbers, and for all of a large volume that is long enough
    for a viewer to stand still.

    Parameters
    ----------
    mask : ndarray of bool, two or three dimensions
    corners : bool
        Whether voxels touch by edges and corners too, or by faces only.

    Returns
    -------
    numbers : ndarray of int32
        0 outside, 1 and more inside.
    count : int
    """
    structure = ndimage.generate_binary_structure(mask.ndim, mask.ndim if corners else 1)
    if mask.ndim < 3 or mask.size <= _AT_ONCE:
        found, count = ndimage.label(mask, structure=structure)
        return np.asarray(found, dtype=np.int32), int(count)
    numbers = np.zeros(mask.shape, dtype=np.int32)
    pairs = [np.empty((0, 2), dtype=np.int64)]
    total = 0
    step = max(1, _AT_ONCE // int(np.prod(mask.shape[1:])))
    for low in range(0, len(mask), step):
        slab = numbers[low : low + step]
        found, count = ndimage.label(mask[low : low + step], structure=structure)
        slab[...] = found
        slab[slab > 0] += total
        total += int(count)
        if low:
            pairs.append(_touching_pairs(numbers[low - 1], numbers[low], corners))
    edges = np.concatenate(pairs)
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (total + 1,) * 2)
    count, joined = connected_components(graph, directed=False)
    # What is outside is a part of its own, and keeps the number 0.
    order = np.empty(count, dtype=np.int32)
    _, first = np.unique(joined, return_index=True)
    order[joined[np.sort(first)]] = np.arange(count, dtype=np.int32)
    final = order[joined]
    for slab in numbers:
        np.take(final, slab, out=slab, mode="clip")
    return numbers, int(count) - 1


def _touching_pairs(
    below: npt.NDArray[np.int32], above: npt.NDArray[np.int32], corners: bool
) -> npt.NDArray[np.int64]:
    """Return which numbers of two neighbouring slices touch."""
    reach = (-1, 0, 1) if corners else (0,)
    height, width = below.shape
    found = []
    for dy in reach:
        for dx in reach:
            one = below[max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)]
            two = above[max(dy, 0) : height - max(-dy, 0), max(dx, 0) : width - max(-dx, 0)]
            both = (one > 0) & (two > 0)
            ends = np.stack([one[both], two[both]], axis=1)
            # Nearly all are the same as the one before: dropped here, the others are few.
            found.append(ends[np.append(True, (ends[1:] != ends[:-1]).any(axis=1))[: len(ends)]])
    return np.concatenate(found).astype(np.int64)


def component_at(mask: Mask, seed: tuple[int, ...]) -> Mask:
    """Return the connected part of a mask that holds a point, empty when the point is outside.

    Parameters
    ----------
    mask : ndarray of bool, two or three dimensions
        Voxels touch by faces, edges and corners.
    seed : tuple of int
    """
    if not mask[seed]:
        return np.zeros_like(mask)
    found, _ = label(mask)
    return np.asarray(found == found[seed], dtype=bool)


def keep_largest(labels: Labels, class_ids: Iterable[int]) -> Labels:
    """Keep only the largest connected part of each class.

    The others take the class that most of their surroundings have, which is the background for
    an island and the organ for a speck inside of it.

    Parameters
    ----------
    labels : ndarray of uint8, two or three dimensions
    class_ids : iterable of int

    Returns
    -------
    ndarray of uint8
    """
    result = labels.copy()
    for class_id in class_ids:
        box = bounding_box(labels == class_id, margin=1)
        if box is None:
            continue
        crop = result[box]
        found, count = label(crop == class_id)
        if count < 2:
            continue
        sizes = np.zeros(count + 1, dtype=np.int64)
        for slab in found:  # to count all at once would take eight bytes a voxel
            sizes += np.bincount(slab.ravel(), minlength=count + 1)
        sizes[0] = 0
        largest = int(sizes.argmax())
        for number, where in _boxes_around(found, largest):
            part = found[where] == number
            crop[where][part] = surrounding_class(crop[where], part, class_id)
    return result


def _boxes_around(
    numbers: npt.NDArray[np.int32], without: int
) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Yield each numbered part but one, with the box around it and one voxel more on each side."""
    flat = numbers.ravel()
    places = np.flatnonzero((flat > 0) & (flat != without))
    if not places.size:
        return
    order = np.argsort(flat[places], kind="stable")
    places = places[order]
    own = flat[places]
    starts = np.flatnonzero(np.append(True, own[1:] != own[:-1]))
    ends = []
    for along, size in zip(np.unravel_index(places, numbers.shape), numbers.shape, strict=True):
        low = np.maximum(np.minimum.reduceat(along, starts) - 1, 0)
        high = np.minimum(np.maximum.reduceat(along, starts) + 2, size)
        ends.append(list(zip(low.tolist(), high.tolist(), strict=True)))
    for number, *box in zip(own[starts].tolist(), *ends, strict=True):
        yield number, tuple(slice(low, high) for low, high in box)


def surrounding_class(labels: Labels, part: Mask, not_class: int) -> int:
    """Return the most frequent class around a part, `not_class` aside; 0 when there is none.

    Parameters
    ----------
    labels : ndarray of uint8
    part : ndarray of bool, of the same shape
        Around it is what touches it by a face, an edge or a corner.
    not_class : int
        Of several that are as frequent, the smallest other one is returned.
    """
    ring = ndimage.binary_dilation(part, structure=_touching(part.ndim)) & ~part
    counts = np.bincount(labels[ring], minlength=256)
    counts[not_class] = 0
    return int(counts.argmax())


def fill_holes(labels: Labels, class_ids: Iterable[int]) -> Labels:
    """Fill the background that a class encloses; other classes inside of it stay.

    Parameters
    ----------
    labels : ndarray of uint8, two or three dimensions
        In a volume a hole must be closed on all sides; a tunnel is none.
    class_ids : iterable of int
    """
    result = labels.copy()
    for class_id in class_ids:
        box = bounding_box(labels == class_id)
        if box is None:
            continue
        crop = result[box]
        outside, count = label(crop != class_id, corners=False)
        open_parts = np.zeros(count + 1, dtype=bool)
        for axis in range(crop.ndim):
            for end in (0, -1):
                open_parts[np.take(outside, end, axis=axis)] = True
        # Number 0 is the class itself, and no hole wherever it lies.
        crop[~open_parts[outside] & (outside > 0) & (crop == 0)] = class_id
    return result


def _touching(ndim: int) -> Mask:
    return np.ones((3,) * ndim, dtype=bool)
