"""napari's tools on a proposal read what is seen of it, which on references is not what it holds.

The bucket, the colour picker and *preserve labels* look at labels that are there. Where ink is
drawn in the place of a proposal they look at the ink: who fills or picks a class means the one in
view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.segmentation import flood

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers import Labels

    #: Given whether all slices matter and not just those in view, returns what is seen in place of
    #: the layer's array, None where that is seen itself.
    Seen = Callable[[bool], Any]


class SeenTools:
    """Wraps the methods of a layer that napari's tools call.

    Parameters
    ----------
    layer : Labels
        Of a proposal; its strokes are listened to already, so that they are told what was done.
    seen : callable
    """

    def __init__(self, layer: Labels, seen: Seen) -> None:
        self._layer: Any = layer
        self._seen = seen
        self._wrap("fill", self._fill)
        self._wrap("_get_value", self._value)
        self._wrap("_paint_region_with_mask", self._paint)

    def _wrap(self, name: str, around: Callable[..., Any]) -> None:
        plain = getattr(self._layer, name, None)
        if plain is not None:  # another napari may call it otherwise; then it does as ever
            setattr(self._layer, name, lambda *args, **options: around(plain, *args, **options))

    def _fill(self, plain: Any, coord: Any, new_label: int, refresh: bool = True) -> None:
        """Fill the part that is seen under a point, and so overrule what stands there."""
        layer = self._layer
        seen = self._seen(layer.n_edit_dimensions >= layer.ndim)
        place = np.round(coord).astype(int)
        if seen is None or ((place < 0) | (place >= layer.data.shape)).any():
            plain(coord, new_label, refresh)
            return
        axes = sorted(layer._get_dims_to_paint())
        key: list[Any] = [
            slice(None) if axis in axes else place[axis] for axis in range(len(place))
        ]
        labels = np.asarray(seen[tuple(key)])
        at = tuple(int(place[axis]) for axis in axes)
        if labels[at] == new_label or not self._may_go(labels[at], new_label):
            return
        mask = flood(labels, at, connectivity=1) if layer.contiguous else labels == labels[at]
        found = dict(zip(axes, np.nonzero(mask), strict=True))
        count = int(np.count_nonzero(mask))
        where = (found.get(axis, np.full(count, i)) for axis, i in enumerate(place))
        layer.data_setitem(tuple(where), new_label, refresh)

    def _value(self, plain: Any, position: Any) -> Any:
        """Return the class that is seen at a point of the slice in view."""
        value = plain(position)
        seen = None if value is None else self._seen(False)
        if seen is None:
            return value
        place = np.round(position).astype(int)
        return seen[tuple(slice(i, i + 1) for i in place)].item()

    def _paint(
        self, plain: Any, box: Any, mask: Any, value: int, axes: Any, *args: Any, **options: Any
    ) -> None:
        """Keep the labels that are seen, where they are to be preserved."""
        layer = self._layer
        seen = self._seen(len(axes) >= layer.ndim) if layer.preserve_labels else None
        if seen is None:
            plain(box, mask, value, axes, *args, **options)
            return
        others = tuple(axis for axis in range(layer.ndim) if axis not in axes)
        mask = mask & self._may_go(np.squeeze(seen[box], others), value)
        if mask.any():
            layer._preserve_labels = False  # by what the proposal holds, that is
            try:
                plain(box, mask, value, axes, *args, **options)
            finally:
                layer._preserve_labels = True

    def _may_go(self, labels: Any, new_label: int) -> npt.NDArray[np.bool_]:
        """Return where labels may be painted over."""
        if not self._layer.preserve_labels:
            return np.ones(np.shape(labels), dtype=np.bool_)
        source = self._layer._get_preserve_labels_source_label(new_label)
        return np.asarray(labels == source)
