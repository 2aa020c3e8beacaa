"""Colours of new classes, which stand out from the colours that the image is shown in."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..volume.classes import DEFAULT_COLORS, ClassTable
from .channels import channels_of

#: Part of the ink's colour in what is drawn over an image, as of a labels layer.
_OPAQUE = 0.6

#: Part of a colormap that is looked at: the darkest of an image is background for the most part.
_SHADES = np.linspace(0.15, 1.0, 18)

#: How far ink must be from an image, in units of CIELAB with lightness counted half: noise and
#: structures of an image differ in lightness themselves. Teal over grey is 37, over green 20.
_ENOUGH = 30.0

#: Chroma below which a colormap is grey; the usual colours were chosen for those.
_GREY = 5.0

Colors = npt.NDArray[np.float64]


def color_new(classes: ClassTable, ids: Iterable[int], shown: Collection[Colors]) -> None:
    """Give classes that are new in a table, and have their usual colours, those that suit."""
    new = list(ids)
    while new:
        taken = {item.color for item in classes if item.id not in new}
        class_id = new.pop(0)
        classes.recolor(class_id, new_color(class_id, taken, shown))


def shown_colors(layers: Iterable[Any], image: Any) -> list[Colors]:
    """Return the colours, as rows of RGB, that the channels of an image are shown in.

    Those of grey images are left out, and of pictures in true colour.
    """
    own = [layer for layer in channels_of(layers, image) if not layer.rgb]
    seen = [layer for layer in own if layer.visible] or own
    maps = [np.asarray(layer.colormap.map(_SHADES), float)[:, :3] for layer in seen]
    return [colors for colors in maps if np.hypot(*_lab(colors)[:, 1:].T).max() > _GREY]


def new_color(class_id: int, taken: Collection[str], shown: Collection[Colors]) -> str:
    """Return a colour for a new class: the usual one of its number unless another is better.

    Parameters
    ----------
    class_id : int
    taken : collection of str
        Colours of other classes, as ``#rrggbb``.
    shown : collection of ndarray
        From `shown_colors`.
    """
    usual = ClassTable.from_ids([class_id])[class_id].color
    order = [color for color in (usual, *DEFAULT_COLORS) if color not in taken] or [usual]
    far = [min((_distance(color, colors) for colors in shown), default=_ENOUGH) for color in order]
    good = [color for color, distance in zip(order, far, strict=True) if distance >= _ENOUGH]
    return good[0] if good else order[int(np.argmax(far))]


def _distance(color: str, shown: Colors) -> float:
    """Return how far an image is from itself under ink, in the shades where it is least."""
    ink = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    apart = (_lab(_OPAQUE * ink + (1 - _OPAQUE) * shown) - _lab(shown)) * (0.5, 1.0, 1.0)
    return float(np.sort(np.linalg.norm(apart, axis=1))[: len(shown) // 3].mean())


def _lab(rgb: Colors) -> Colors:
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(rgb[None])[0], dtype=np.float64)
