"""Small pictures of slices: the image with its ink."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtGui import QIcon, QImage, QPixmap

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import ClassTable


def slice_picture(
    image: npt.NDArray[Any],
    ink: npt.NDArray[np.uint8],
    classes: ClassTable,
    limits: tuple[float, float],
    side: int = 56,
) -> npt.NDArray[np.uint8]:
    """Draw a slice with its ink.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, C)
        Three or four channels of unsigned 8-bit values are taken as red, green and blue.
    ink : ndarray of uint8, shape (H, W)
    classes : ClassTable
    limits : tuple of float
        Grey values shown as black and white.
    side : int
        Longest side of the picture, pixels.

    Returns
    -------
    ndarray of uint8, shape (h, w, 3)
    """
    step = max(1, int(np.ceil(max(ink.shape) / side)))
    few = np.asarray(image[::step, ::step])
    if few.ndim == 3 and few.shape[2] in (3, 4) and few.dtype == np.uint8:
        picture = few[..., :3].astype(np.float32)
    else:
        grey = few.astype(np.float32)
        if grey.ndim == 3:
            grey = grey.mean(axis=2)
        low, high = limits
        grey = np.where(np.isfinite(grey), grey, low)
        grey = np.clip((grey - low) / max(high - low, 1e-9), 0, 1) * 255
        picture = np.repeat(grey[..., None], 3, axis=2)
    small = ink[::step, ::step]
    for item in classes:
        color = np.array([int(item.color[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float32)
        inside = small == item.id
        picture[inside] = 0.4 * picture[inside] + 0.6 * color
    picture[small == NOT_ANNOTATED] *= 0.75
    return picture.astype(np.uint8)


def icon(picture: npt.NDArray[np.uint8]) -> QIcon:
    """Turn a picture into an icon."""
    picture = np.ascontiguousarray(picture)
    height, width, _ = picture.shape
    qimage = QImage(picture.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    return QIcon(QPixmap.fromImage(qimage.copy()))
