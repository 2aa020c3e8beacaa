"""Colours: classes and MetaSSL regions as napari colour maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from napari.utils import DirectLabelColormap
from napari.utils.colormaps.standardize_color import transform_color

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, ClassTable

#: From sky blue over yellow and orange to vermillion: from trusted to doubtful. As Okabe and Ito's
#: palette, but its last three differ in brightness as much as in hue, so that they are told apart
#: with any common colour-vision deficiency also where they lie over dark and bright images.
REGION_COLORS = {1: "#56b4e9", 2: "#fff08a", 3: "#ee8a00", 4: "#a8291a"}

#: Background ink is stated, not empty: a veil shows it without hiding the image.
BACKGROUND_INK = (0.55, 0.62, 0.75, 0.16)

#: The same where it stands for background in a list.
BACKGROUND_COLOR = "#8c9ebf"

_CLEAR = np.zeros(4, dtype=np.float32)


def reference_colormap(
    classes: ClassTable, opacity: Mapping[int, float] | None = None
) -> DirectLabelColormap:
    """Colours of the References layer: classes, a veil for background ink, nothing for 255.

    Parameters
    ----------
    classes : ClassTable
    opacity : mapping of int to float, optional
        By class id, 0 to 1; 1 where missing.
    """
    colors = _class_colors(classes, opacity)
    colors[BACKGROUND] = np.asarray(BACKGROUND_INK, dtype=np.float32)
    colors[NOT_ANNOTATED] = _CLEAR
    return DirectLabelColormap(color_dict=colors)


def proposal_colormap(
    classes: ClassTable, opacity: Mapping[int, float] | None = None
) -> DirectLabelColormap:
    """Colours of a proposal layer: classes, as opaque as asked for; background is clear."""
    colors = _class_colors(classes, opacity)
    colors[BACKGROUND] = _CLEAR
    return DirectLabelColormap(color_dict=colors)


def region_colormap(shown: Iterable[int]) -> DirectLabelColormap:
    """Colours of the regions that are switched on; the others are clear."""
    shown = set(shown)
    colors: dict[int | None, np.ndarray] = {None: _CLEAR, 0: _CLEAR}
    for region, color in REGION_COLORS.items():
        colors[region] = _rgba(color) if region in shown else _CLEAR
    return DirectLabelColormap(color_dict=colors)


def _class_colors(
    classes: ClassTable, opacity: Mapping[int, float] | None
) -> dict[int | None, np.ndarray]:
    colors: dict[int | None, np.ndarray] = {None: _rgba("#ff00ff")}
    for item in classes:
        colors[item.id] = _rgba(item.color)
        colors[item.id][3] *= (opacity or {}).get(item.id, 1.0)
    return colors


def _rgba(color: str) -> np.ndarray:
    return np.array(transform_color(color)[0], dtype=np.float32)
