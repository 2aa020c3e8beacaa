"""What napari calls to open a file: volumes the right way up, with their geometry."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..formats import FormatError, read, read_labels
from ..formats.choice import SeveralVolumesError
from ..formats.dicom_rtstruct_reader import is_structure_set
from ..formats.dicom_seg_reader import is_segmentation
from ..formats.dicom_series import DicomSource
from ..formats.pictures import PictureStack
from ..formats.registry import can_read
from ..volume.array_files import value_counts
from ..volume.window import default_window
from .channels import CHANNEL, GROUP, VOLUME, new_group
from .contrast import RANGE, follow, value_range
from .layer_roles import METADATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..volume.image import Volume

    PathLike = str | os.PathLike[str]
    LayerData = tuple[Any, dict[str, Any], str]

#: Words in the name of a file that holds labels rather than an image.
_LABEL_WORDS = re.compile(
    r"(?<![a-z])(gt|labels?|labelmap|masks?|segs?|segmentations?|refs?|references?)(?![a-z])"
)

#: Time between two files of one drop at most.
_BURST_SECONDS = 1.0

#: Modality of a volume that was read as labels.
_LABELS = "labels"

#: Colours of channels that are added up, as napari gives them to channels that it splits.
_TWO_COLOURS = ("magenta", "green")
_COLOURS = ("cyan", "yellow", "magenta", "red", "green", "blue")

#: Colour of light that came through the specimen, which is bright everywhere; between dyes it is
#: dimmed, or what is added to it would all be white.
_THROUGH, _DIMMED = "#ffffff", 0.5

#: More distinct values than this are no classes, whatever the name says.
_MOST_CLASSES = 64


class _Burst:
    """Slices that others of their series have brought along, while files are opened in a row.

    napari opens the files of a drop one by one; without this, every slice would add its series.
    """

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._last = 0.0

    def has(self, path: str) -> bool:
        if time.monotonic() - self._last > _BURST_SECONDS:
            self._paths.clear()
        known = path in self._paths
        if known:
            self._last = time.monotonic()
        return known

    def add(self, paths: tuple[str, ...]) -> None:
        self._paths.update(paths)
        self._last = time.monotonic()


_BURST = _Burst()


def get_reader(path: PathLike | list[PathLike]) -> Callable[..., list[LayerData]] | None:
    """Return the reader of a file, a folder, or several, or None if any is of another kind."""
    paths = path if isinstance(path, list) else [path]
    if not paths or not all(can_read(item) for item in paths):
        return None
    return read_layers


def read_layers(path: PathLike | list[PathLike]) -> list[LayerData]:
    """Read files or folders into layers; where one holds several volumes, ask which.

    What is remarkable about them is shown as a notification.

    Raises
    ------
    FormatError
        With one sentence for the user, if a file cannot be read.
    """
    import napari

    from .series_chooser import ask

    if (viewer := napari.current_viewer()) is not None:
        follow(viewer)
    paths = path if isinstance(path, list) else [path]
    layers: list[LayerData] = []
    for item in paths:
        if _BURST.has(os.path.abspath(item)):
            continue
        try:
            volumes = [read_volume(item)]
        except SeveralVolumesError as error:
            keys = ask(error)
            if keys is None:
                raise
            volumes = [read_volume(item, key) for key in keys]
        for volume in volumes:
            layers += volume_layers(volume)
            show_remarks(volume)
            if isinstance(volume.header, DicomSource):
                _BURST.add(volume.header.paths)
    return layers or [(None,)]  # type: ignore[list-item]  # napari's sign for "nothing to add"


def read_volume(path: PathLike, part: str | None = None) -> Volume:
    """Read an image, or labels where the name says so and the values agree.

    Labels have the data type uint8 and the modality ``"labels"``.
    """
    if _LABEL_WORDS.search(os.path.basename(os.path.abspath(path)).lower()):
        labels = _labels_in(path, part)
        if labels is not None:
            return labels
    return _told_of_pictures(read(path, part))


def holds_labels(path: Path) -> bool:
    """Whether a file holds labels, whatever its name says; reads it, so use a thread."""
    if path.is_dir():
        return False
    if is_segmentation(path) or is_structure_set(path):
        return True
    return _labels_in(path) is not None


def _labels_in(path: PathLike, part: str | None = None) -> Volume | None:
    """Read labels; None where it is an image with a misleading name, or cannot be read."""
    try:
        labels = read_labels(path, part)
    except FormatError:
        return None
    if np.count_nonzero(value_counts(labels.array)) > _MOST_CLASSES:
        return None
    return replace(labels, modality=_LABELS)


def _told_of_pictures(volume: Volume) -> Volume:
    """Say of pictures in a folder that they are slices: they may be no volume at all."""
    count = len(volume.header.paths) if isinstance(volume.header, PictureStack) else 1
    if count == 1:
        return volume
    told = (
        f"{count} pictures are taken as the slices of one volume, in the order of their names. "
        "Separate pictures, such as X-rays of several people, are no volume."
    )
    return replace(volume, warnings=(*volume.warnings, told))


def volume_layers(volume: Volume) -> list[LayerData]:
    """Return what `read_volume` read as layers in display order."""
    return [labels_layer(volume)] if volume.modality == _LABELS else image_layers(volume)


def show_remarks(volume: Volume) -> None:
    """Show what is remarkable about a volume as one notification."""
    from napari.utils.notifications import show_warning

    if volume.warnings:
        show_warning(f"{volume.name}: " + "\n".join(volume.warnings))


def image_layers(volume: Volume) -> list[LayerData]:
    """Return an image as layers in display order.

    Three or four 8-bit channels without names are taken for colours and make one layer; other
    channels make a layer each. Sequences of a patient are grey, the first of them in view; channels
    of an image without orientation, as microscopes make them, are added up in colours: those that
    the file says, else different ones.
    """
    order = volume.geometry.canonical()
    # Coarser levels fit no other order than their own.
    levels = volume.levels if order.is_identity else ()
    arrays = [order.apply(volume.array), *levels[1:]]
    options: dict[str, Any] = placement(volume)
    if levels:
        options["multiscale"] = True
    colours = volume.has_channel_axis and volume.channels in (3, 4) and not volume.channel_names
    if colours and volume.array.dtype == np.uint8:
        return [(arrays if levels else arrays[0], {**options, "rgb": True}, "image")]
    group = new_group() if volume.channels > 1 else ""
    dyes = [n for n in range(volume.channels) if _own_colour(volume, n) != _THROUGH]
    palette = _TWO_COLOURS if len(dyes) <= 2 else _COLOURS
    layers: list[LayerData] = []
    for channel in range(volume.channels):
        own = [array[..., channel] if volume.has_channel_axis else array for array in arrays]
        described = options | windowed(own[-1], volume)
        entry = dict(options["metadata"][METADATA])
        if ends := value_range(own[-1], described.get("contrast_limits")):
            entry[RANGE] = list(ends)
        if volume.has_channel_axis:
            word = volume.channel_names[channel] if volume.channel_names else channel
            described["name"] = f"{volume.name} [{word}]"
        if group:
            entry |= {GROUP: group, CHANNEL: channel, VOLUME: volume.name}
            if volume.geometry.oriented:
                described["visible"] = channel == 0
            else:
                stain = _own_colour(volume, channel)
                place = dyes.index(channel) if channel in dyes else 0
                described["colormap"] = stain or palette[place % len(palette)]
                described["blending"] = "additive"
                if channel not in dyes and dyes:
                    described["opacity"] = _DIMMED
        described["metadata"] = {METADATA: entry}
        layers.append((own if levels else own[0], described, "image"))
    return layers


def _own_colour(volume: Volume, channel: int) -> str:
    """Return the colour that the file gives to a channel, empty where it gives none."""
    return volume.channel_colors[channel] if volume.channel_colors else ""


def windowed(array: Any, volume: Volume) -> dict[str, Any]:
    """Return the contrast limits with which one channel of a volume is shown, if there are any."""
    window = default_window(array, volume.modality, volume.window)
    return {"contrast_limits": window} if window else {}


def labels_layer(volume: Volume) -> LayerData:
    """Return labels as a layer in display order, in an array of its own that can be painted on."""
    shown = volume.geometry.canonical().apply(volume.array)
    return np.array(shown, order="C"), placement(volume), "labels"


def placement(volume: Volume) -> dict[str, Any]:
    """Return a layer's name and place in the world.

    The true affine cannot be given to the layer: napari does not draw permuted or oblique axes
    while it slices. It goes into the metadata, with the way back to the order of the file.
    """
    order = volume.geometry.canonical()
    names = ("S", "P", "L") if volume.geometry.oriented else volume.axis_names or ("z", "y", "x")
    return {
        "name": volume.name,
        "scale": order.scale,
        "translate": order.translate,
        "units": (volume.geometry.units,) * volume.geometry.ndim,
        "axis_labels": names[-volume.geometry.ndim :],
        "metadata": {
            METADATA: {
                "source": volume.source,
                **({"part": volume.part} if volume.part else {}),
                **({"remarks": list(volume.warnings)} if volume.warnings else {}),
                "affine": order.geometry.affine.tolist(),
                "order": order.to_dict(),
            }
        },
    }
