"""Several sequences of one patient, or stains of one specimen: layers that belong together.

Each channel is an image layer of its own, as napari's users know it. What belongs together is
written in the layers' metadata, so that it survives whatever is done to the list of layers.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from ..formats.errors import FormatError
from ..formats.grids import placement
from ..formats.limits import check_memory
from ..formats.multichannel import onto
from ..volume.geometry import CanonicalOrder, Geometry
from ..volume.image import Volume
from .export_target import world_geometry
from .layer_roles import METADATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

#: Keys of our metadata: what the channels of one volume have in common, their order, and the name
#: of the volume where one file holds them all.
GROUP, CHANNEL, VOLUME = "group", "channel", "volume"


def new_group() -> str:
    """Return a name for channels that belong together."""
    return uuid.uuid4().hex


def channels_of(layers: Iterable[Any], image: Image | None) -> list[Image]:
    """Return the layers that show the channels of a volume, in their order.

    Parameters
    ----------
    layers : iterable of Layer
        Those of the viewer.
    image : Image or None
        One of the channels.
    """
    if image is None:
        return []
    group = _entry(image).get(GROUP)
    if group is None:
        return [image]
    found: dict[int, Image] = {}
    for layer in layers:
        if isinstance(layer, Image) and _entry(layer).get(GROUP) == group:
            number = int(_entry(layer).get(CHANNEL, 0))
            if number not in found or layer is image:  # a duplicate is no channel of its own
                found[number] = layer
    return [found[number] for number in sorted(found)] or [image]


def leaders(layers: Iterable[Any]) -> list[Image]:
    """Return the image layers, and of channels that belong together the first one."""
    images = [layer for layer in layers if type(layer).__name__ == "Image"]
    seen: set[str] = set()
    found = []
    for layer in images:
        group = _entry(layer).get(GROUP)
        if group is None:
            found.append(layer)
        elif group not in seen:
            seen.add(group)
            found.append(channels_of(images, layer)[0])
    return found


def join(layers: Iterable[Any], image: Image, channel: Image) -> None:
    """Make a layer the last channel of the volume that another one belongs to."""
    members = channels_of(layers, image)
    entry = image.metadata.setdefault(METADATA, {})
    if GROUP not in entry:
        entry |= {GROUP: new_group(), CHANNEL: 0}
    last = max(int(_entry(layer).get(CHANNEL, 0)) for layer in members)
    channel.metadata.setdefault(METADATA, {}).update({GROUP: entry[GROUP], CHANNEL: last + 1})


def leave(channel: Image) -> None:
    """Make a channel an image of its own again."""
    for key in (GROUP, CHANNEL):
        _entry(channel).pop(key, None)


def why_not_joinable(image: Image) -> str:
    """Return why a layer cannot be one of several channels, empty when it can."""
    if image.rgb:
        return f"“{image.name}” is a colour image."
    return "" if image.ndim == 3 else f"“{image.name}” is no volume."


def geometry_of(image: Image) -> Geometry:
    """Return where a layer's array, as shown, lies.

    Raises
    ------
    FormatError
        If the layer has a place that no volume can have.
    """
    shape = tuple(int(n) for n in (image.data[0] if image.multiscale else image.data).shape)
    order = _entry(image).get("order")
    if order is not None:
        geometry = CanonicalOrder.from_dict(order).geometry
        if geometry.shape == shape:
            return geometry
    keys = ("scale", "translate", "rotate", "shear", "affine", "units")
    return world_geometry(shape, {key: getattr(image, key) for key in keys})


def channel_from(volume: Volume, image: Image, *, resample: bool = False) -> Volume:
    """Bring another volume of the same patient onto the grid of an image, as that is shown.

    Raises
    ------
    GridsDifferError
        If it is on another grid and `resample` is false.
    FormatError
        If it cannot be brought there.
    """
    if volume.geometry.ndim != 3:
        raise FormatError(f"{volume.name} is no volume: it has {volume.geometry.ndim} dimensions.")
    return onto(volume, geometry_of(image), image.name, resample=resample)


def lies_as(channel: Image, image: Image) -> bool:
    """Whether the voxels of one layer are just where those of another one are shown."""
    own, grid = geometry_of(channel), geometry_of(image)
    placed = placement(own, grid)
    return (
        placed is not None
        and own.shape == grid.shape
        and placed.permutation == tuple(range(grid.ndim))
        and not any(placed.flips)
        and not any(placed.offset)
    )


def volume_of(image: Image) -> Volume:
    """Return what an image layer shows as a volume in display order."""
    array = image.data[0] if image.multiscale else image.data
    return Volume(array, geometry_of(image), name=image.name)


def layer_like(volume: Volume, image: Image, channel: int | None = None) -> dict[str, Any]:
    """Return keyword arguments of a layer for a channel that lies on the grid of an image.

    Parameters
    ----------
    volume : Volume
        From `channel_from`.
    image : Image
    channel : int, optional
        Which of the volume's own channels, where it has several.
    """
    entry = {key: _entry(image)[key] for key in ("affine", "order") if key in _entry(image)}
    name = volume.name
    if channel is not None:
        word = volume.channel_names[channel] if volume.channel_names else channel
        name = f"{name} [{word}]"
    colour = volume.channel_colors[channel or 0] if volume.channel_colors else ""
    # Added up as channels that are opened together; sequences of a patient stay grey.
    stain = {"colormap": colour, "blending": "additive"}
    return {
        **(stain if colour and not volume.geometry.oriented else {}),
        "name": name,
        "scale": image.scale,
        "translate": image.translate,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
        "axis_labels": image.axis_labels,
        "metadata": {METADATA: {**entry, "source": volume.source}},
    }


def stacked(images: Sequence[Image]) -> NDArray[Any]:
    """Return the voxels of channels as one array ``(Z, Y, X, C)``; may read from disk.

    Raises
    ------
    FormatError
        If they do not fit into memory.
    ValueError
        If the shapes differ.
    """
    arrays = [image.data[0] if image.multiscale else image.data for image in images]
    shape = tuple(arrays[0].shape)
    for image, array in zip(images, arrays, strict=True):
        if tuple(array.shape) != shape:
            raise ValueError(
                f"“{image.name}” has the shape {tuple(array.shape)}, “{images[0].name}” {shape}"
            )
    dtype = np.result_type(*(array.dtype for array in arrays))
    needed = int(np.prod(shape, dtype=np.int64)) * len(arrays) * dtype.itemsize
    check_memory(images[0].name, needed)
    together = np.empty((*shape, len(arrays)), dtype)
    for number, array in enumerate(arrays):
        together[..., number] = np.asarray(array)
    return together


def without_channels(volume: Volume) -> list[tuple[int | None, Volume]]:
    """Return each channel of a volume as a volume of one, with its number if there are several."""
    if not volume.has_channel_axis:
        return [(None, volume)]
    return [
        (number, replace(volume, array=volume.array[..., number], levels=()))
        for number in range(volume.channels)
    ]


def _entry(layer: Any) -> dict[str, Any]:
    entry: dict[str, Any] = layer.metadata.get(METADATA, {})
    return entry
