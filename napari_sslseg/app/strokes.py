"""Where the strokes on a labels layer went, also where they changed nothing.

napari tells of a stroke only the voxels that it changed, and of one that changed none nothing at
all. But whoever paints over a voxel that holds the class already means it: it is the user's word,
and later than what was said of that voxel in another layer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers import Labels

    Positions = npt.NDArray[np.integer]

#: Voxels of the box around a stroke up to which its dabs are joined in a mask, which is quick.
_BOX = 30_000_000


@dataclass(frozen=True)
class _Dab:
    """What one call painted: in a box, or at places.

    Parameters
    ----------
    box : tuple of slice
    mask : ndarray of bool, or None
        Where in the box.
    places : tuple of ndarray of int, or None
        One array an axis, in place of the mask.
    value : int or ndarray
    """

    box: tuple[slice, ...]
    mask: npt.NDArray[np.bool_] | None
    places: tuple[npt.NDArray[np.integer], ...] | None
    value: Any


class Strokes:
    """Listens to what is painted on a layer.

    The layer's methods are wrapped for this, as nothing else knows. Each call leaves a note, and
    only at the end of a stroke the places are worked out.

    Parameters
    ----------
    layer : Labels
    silent : callable
        Called after a stroke that changed no voxel, of which the layer itself says nothing.
    """

    def __init__(self, layer: Labels, silent: Callable[[], object]) -> None:
        self._layer: Any = layer
        self._silent = silent
        self._dabs: list[_Dab] = []
        #: Drags of the mouse on the layer that are under way.
        self.drags = 0
        self._last = float("-inf")
        layer.mouse_drag_callbacks.append(self._watch_drag)
        self._wrap("data_setitem", self._on_places)
        self._wrap("_paint_region_with_mask", self._on_mask)
        self._wrap("_commit_staged_history", self._on_commit)
        self._wrap("_abort_stroke", self._on_abort)

    @property
    def under_way(self) -> bool:
        """Whether a stroke is being drawn: a drag, or what napari draws around with no button."""
        return self.drags > 0 or bool(getattr(self._layer, "_block_history", False))

    @property
    def since_last(self) -> float:
        """Seconds since something was painted; infinite before."""
        return time.monotonic() - self._last

    def take(self, atoms: Sequence[Any] | None = None) -> Positions | None:
        """Return the places of the stroke that has just ended, and forget them.

        Parameters
        ----------
        atoms : list, optional
            What the layer said of it.

        Returns
        -------
        ndarray of int or None
            In the array laid flat, each once, rising: where what was painted last still stands.
            None when they are not known.
        """
        data, dabs = self._layer.data, self._dabs
        self._dabs = []
        if not dabs:
            return None if atoms is None else stroke_positions(atoms, data.shape)
        low = [min(dab.box[axis].start for dab in dabs) for axis in range(data.ndim)]
        high = [max(dab.box[axis].stop for dab in dabs) for axis in range(data.ndim)]
        size = [stop - start for start, stop in zip(low, high, strict=True)]
        if np.prod(size, dtype=float) > _BOX:
            each = [np.ravel_multi_index(_standing(data, dab), data.shape) for dab in dabs]
            return np.unique(np.concatenate(each))
        joined = np.zeros(size, dtype=np.bool_)
        for dab in dabs:
            if dab.mask is not None:
                inside = zip(dab.box, low, strict=True)
                part = joined[tuple(slice(s.start - n, s.stop - n) for s, n in inside)]
                part |= dab.mask & (data[dab.box] == dab.value)
            else:
                found = zip(_standing(data, dab), low, strict=True)
                joined[tuple(places - n for places, n in found)] = True
        where = tuple(i + n for i, n in zip(np.nonzero(joined), low, strict=True))
        flat: Positions = np.ravel_multi_index(where, data.shape)
        return flat

    # -- what the layer is asked to do ----------------------------------------------------

    def _wrap(self, name: str, around: Callable[..., Any]) -> None:
        plain = getattr(self._layer, name, None)
        if plain is not None:  # another napari may call it otherwise; then its own word must do
            setattr(self._layer, name, lambda *args, **options: around(plain, *args, **options))

    def _on_mask(
        self, plain: Any, box: Any, mask: Any, value: Any, axes: Any, *args: Any, **options: Any
    ) -> None:
        others = tuple(axis for axis in range(self._layer.ndim) if axis not in axes)
        inside = zip(box, self._layer.data.shape, strict=True)
        whole = tuple(slice(*key.indices(length)[:2]) for key, length in inside)
        dab = _Dab(whole, np.expand_dims(mask, others), None, value)
        self._follow(dab, lambda: plain(box, mask, value, axes, *args, **options))

    def _on_places(self, plain: Any, indices: Any, value: Any, *args: Any, **options: Any) -> None:
        shape = self._layer.data.shape
        found = (np.asarray(i) for i in indices)
        places = tuple(np.where(i < 0, i + n, i) for i, n in zip(found, shape, strict=True))
        dab = None
        if all(i.size for i in places):
            box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in places)
            dab = _Dab(box, None, places, np.asarray(value))
        self._follow(dab, lambda: plain(indices, value, *args, **options))

    def _on_commit(self, plain: Any, *args: Any, **options: Any) -> None:
        plain(*args, **options)
        self._end()

    def _on_abort(self, plain: Any, *args: Any, **options: Any) -> None:
        self._dabs = []
        plain(*args, **options)

    def _follow(self, dab: _Dab | None, paint: Callable[[], None]) -> None:
        if dab is not None:
            self._dabs.append(dab)
            self._last = time.monotonic()
        # A single call, of the polygon say, is a stroke by itself, of which napari would tell
        # before the voxels are changed.
        single = not getattr(self._layer, "_block_history", True)
        try:
            with self._layer.block_history() if single else nullcontext():
                paint()
        except BaseException:
            self._dabs = [other for other in self._dabs if other is not dab]
            raise

    def _watch_drag(self, layer: Labels, event: Any) -> Iterator[None]:
        self.drags += 1
        try:
            yield
            while event.type == "mouse_move":
                yield
        finally:
            self.drags -= 1

    def _end(self) -> None:
        if self._dabs:  # else the layer has told of it
            self._silent()


def _standing(data: npt.NDArray[Any], dab: _Dab) -> tuple[npt.NDArray[np.integer], ...]:
    """Return the places of a dab that hold what it painted."""
    if dab.mask is not None:
        found = np.nonzero(dab.mask & (data[dab.box] == dab.value))
        return tuple(i + key.start for i, key in zip(found, dab.box, strict=True))
    assert dab.places is not None
    places = np.broadcast_arrays(*dab.places)
    stands = data[tuple(places)] == dab.value
    return tuple(i[stands] for i in places)


def mask_positions(where: npt.NDArray[np.bool_]) -> Iterator[Positions]:
    """Yield the places of a mask laid flat, those of one slab at a time."""
    size = where[0].size
    for z, slab in enumerate(where):
        if slab.any():
            yield z * size + np.flatnonzero(slab)


def stroke_positions(atoms: Any, shape: tuple[int, ...]) -> Positions | None:
    """Return the places that a stroke changed, as napari tells, in the array laid flat.

    Parameters
    ----------
    atoms : list
        Value of a labels layer's ``paint`` event: either indices with values, or masks in boxes.
    shape : tuple of int
        Of the layer's array.

    Returns
    -------
    ndarray of int or None
        Each place once, rising; None when napari says it in another way.
    """
    found = []
    for atom in atoms:
        try:
            if hasattr(atom, "slice_key"):
                box = zip(atom.slice_key, shape, strict=True)
                ranges = [np.arange(*key.indices(n)) for key, n in box]
                grid = np.ix_(*ranges)
                flat = np.ravel_multi_index(np.broadcast_arrays(*grid), shape)
                found.append(flat.ravel() if atom.mask is None else flat[atom.mask])
            else:
                indices = np.broadcast_arrays(*(np.atleast_1d(i) for i in atom[0]))
                found.append(np.ravel_multi_index(tuple(indices), shape).ravel())
        except (AttributeError, IndexError, TypeError, ValueError):
            return None
    return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)
