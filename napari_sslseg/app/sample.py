"""What napari calls for *File > Open Sample*."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..sample import CLASS_NAMES, load
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import ClassTable
from .layer_roles import METADATA, REFERENCES
from .palette import reference_colormap
from .readers import image_layers, labels_layer

if TYPE_CHECKING:
    from .readers import LayerData

#: Number of reference slices that the sample comes with.
_REFERENCES = 3


def brain() -> list[LayerData]:
    """Return the image: the front half of a T1-weighted brain template at 1 mm."""
    image, _ = load()
    return [_named(layer) for layer in image_layers(image)]


def brain_with_references() -> list[LayerData]:
    """Return the image, and its tissues on three axial slices as reference ink.

    The ink holds 0 for background, 1 for grey and 2 for white matter on the reference slices, and
    255 (not annotated) on all others.
    """
    image, truth = load()
    labels, options, kind = labels_layer(truth)
    ink = np.full_like(labels, NOT_ANNOTATED)
    slices = reference_slices(len(labels))
    ink[slices] = labels[slices]

    classes = ClassTable.from_ids(CLASS_NAMES)
    for class_id, name in CLASS_NAMES.items():
        classes.rename(class_id, name)
    entry = options["metadata"][METADATA]
    entry["source"] = image.source
    entry["classes"] = [{"id": item.id, "name": item.name} for item in classes]
    options |= {"name": REFERENCES, "opacity": 0.6, "colormap": reference_colormap(classes)}
    return [*(_named(layer) for layer in image_layers(image)), (ink, options, kind)]


def reference_slices(count: int) -> list[int]:
    """Return indices of slices equally spaced inside a stack of `count`, not at its ends."""
    edges = np.linspace(0, count, _REFERENCES + 1)
    return [int(index) for index in (edges[:-1] + edges[1:]) / 2]


def _named(layer: LayerData) -> tuple[Any, dict[str, Any], str]:
    data, options, kind = layer
    return data, {**options, "name": "Brain T1"}, kind
