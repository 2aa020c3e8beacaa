"""The layers that the plugin makes: same place and units as the image, fixed names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.experimental import unlink_layers

if TYPE_CHECKING:
    from napari.components import LayerList
    from napari.layers import Image, Labels, Layer

REFERENCES = "References"
CONFIDENCE = "Confidence"

#: Key of our entries in ``layer.metadata``.
METADATA = "napari_sslseg"


def placement(image: Image) -> dict[str, Any]:
    """Keyword arguments that put a new labels layer exactly where the image is."""
    return {
        "scale": tuple(image.scale),
        "translate": tuple(image.translate),
        "rotate": image.rotate,
        "shear": tuple(image.shear),
        "affine": image.affine,
        "units": image.units,
        "axis_labels": image.axis_labels,
    }


def role_metadata(image: Image, role: str) -> dict[str, Any]:
    """Metadata of a layer of ours: its role, and the image's geometry for exact saving."""
    entry = dict(image.metadata.get(METADATA, {}))
    entry["role"] = role
    return {METADATA: entry}


def role_of(layer: Any) -> str:
    """Role of a layer (``"References"``, a proposal's slug, ...), empty for other layers."""
    return str(layer.metadata.get(METADATA, {}).get("role", ""))


def put_below(layers: LayerList, layer: Layer, top: Layer) -> None:
    """Put a layer just below another one that may have been deleted."""
    if top in layers:
        here, there = layers.index(layer), layers.index(top)
        if here != there - 1:
            layers.move(here, there)


def forget_history(layer: Labels) -> None:
    """Drop the undo stack of a labels layer whose array was replaced.

    Undo entries hold voxels of the old array; replayed on the new one they would mix the two.
    A layer forgets its history when it stops being editable, which is the public way to ask; those
    that it is linked with would follow, in the middle of a stroke.
    """
    unlink_layers([layer])
    mode = layer.mode
    layer.editable = False
    layer.editable = True
    layer.mode = mode
