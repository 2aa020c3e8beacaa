"""One plane of a volume as a picture: the image, and what lies over it, in the viewer's colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from napari.layers import Image, Labels

    Colors = npt.NDArray[np.float32]
    """Red, green, blue and opacity for each of 256 values, 0 to 1."""

#: Values that there are colours for.
_VALUES = 256


@dataclass(frozen=True)
class GreyLook:
    """How one channel of an image is drawn.

    Parameters
    ----------
    colors : ndarray of float32, shape (256, 4)
        From black to white, or whatever the layer's colour map has.
    limits : tuple of float
        Values that get the first and the last colour.
    channel : int or None
        Which of the last axis; None where there is none.
    """

    colors: Colors
    limits: tuple[float, float]
    channel: int | None = None

    @classmethod
    def of(cls, layer: Image, channel: int | None = None) -> GreyLook:
        """Return how a layer is drawn now."""
        values = np.linspace(0, 1, _VALUES) ** float(layer.gamma)
        colors = np.asarray(layer.colormap.map(values), dtype=np.float32)
        colors[:, 3] *= layer.opacity
        low, high = layer.contrast_limits
        return cls(colors, (float(low), float(high)), channel)

    @classmethod
    def nothing(cls, channel: int | None = None) -> GreyLook:
        """Return how an image is drawn that is hidden."""
        return cls(np.zeros((_VALUES, 4), dtype=np.float32), (0.0, 1.0), channel)


@dataclass(frozen=True)
class LabelsLook:
    """An array of labels, and how it is drawn.

    Parameters
    ----------
    data : array of uint8
        Of the volume's shape; only planes of it are looked at.
    colors : ndarray of float32, shape (256, 4)
    outline : bool
        Draw the borders only.
    """

    data: Any
    colors: Colors
    outline: bool = False

    @classmethod
    def of(cls, layer: Labels, data: Any = None) -> LabelsLook:
        """Return how a layer is drawn now, or other data in its way."""
        colors = np.asarray(layer.colormap.map(np.arange(_VALUES, dtype=np.uint8)), np.float32)
        colors[:, 3] *= layer.opacity
        return cls(layer.data if data is None else data, colors, layer.contour > 0)


def plane(array: Any, axis: int, index: int) -> npt.NDArray[Any]:
    """Return one plane of an array; of an array on disk, no more than that is read."""
    return np.asarray(array[(slice(None),) * axis + (index,)])


def draw_image(section: npt.NDArray[Any], looks: Sequence[GreyLook]) -> npt.NDArray[np.uint8]:
    """Draw a plane of an image; channels add up, as light does.

    Parameters
    ----------
    section : ndarray, shape (H, W) or (H, W, C)
    looks : sequence of GreyLook
        Of the channels that are shown. Without any, three or four channels of unsigned 8-bit
        values are taken as red, green and blue.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    if not looks and section.ndim == 3 and section.dtype == np.uint8:
        return np.ascontiguousarray(section[..., :3])
    total = np.zeros((*section.shape[:2], 3), dtype=np.float32)
    for look in looks:
        values = section if look.channel is None else section[..., look.channel]
        low, high = look.limits
        scaled = (values.astype(np.float32) - low) * ((_VALUES - 1) / max(high - low, 1e-12))
        codes = np.clip(np.nan_to_num(scaled), 0, _VALUES - 1).astype(np.uint8)
        total += (look.colors[:, :3] * look.colors[:, 3:])[codes]
    return np.asarray(np.clip(255 * total, 0, 255), dtype=np.uint8)


def draw_labels(
    sections: Sequence[npt.NDArray[np.uint8]],
    looks: Sequence[LabelsLook],
    finer: tuple[int, int] = (1, 1),
) -> npt.NDArray[np.uint8]:
    """Draw planes of labels over each other, the first one at the bottom.

    Parameters
    ----------
    sections : sequence of ndarray, shape (H, W)
    looks : sequence of LabelsLook
    finer : tuple of int
        Rows and columns that each pixel is drawn as where there are outlines: one as high as a
        thick slice would leave nothing of what it surrounds.

    Returns
    -------
    ndarray of uint8, shape (H, W, 4), or as much finer
        Red, green, blue and opacity, not premultiplied.
    """
    if any(look.outline for look in looks):
        sections = [s.repeat(finer[0], axis=0).repeat(finer[1], axis=1) for s in sections]
    shape = sections[0].shape
    light = np.zeros((*shape, 3), dtype=np.float32)
    cover = np.zeros((*shape, 1), dtype=np.float32)
    for section, look in zip(sections, looks, strict=True):
        drawn = look.colors[section]
        if look.outline:
            drawn[~borders(section)] = 0
        alpha = drawn[..., 3:]
        light = drawn[..., :3] * alpha + light * (1 - alpha)
        cover = alpha + cover * (1 - alpha)
    picture = np.concatenate([light / np.maximum(cover, 1e-6), cover], axis=2)
    return np.asarray(np.clip(255 * picture + 0.5, 0, 255), dtype=np.uint8)


def borders(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return the pixels that touch another label above, below, left or right of them."""
    found = np.zeros(labels.shape, dtype=bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= across
    found[:, :-1] |= across
    return found
