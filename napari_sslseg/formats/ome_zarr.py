"""OME-Zarr 0.1 to 0.5 on a local disk: lazy, at several resolutions.

.. [1] https://ngff.openmicroscopy.org/0.5/
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.geometry import Geometry
from ..volume.image import Volume
from ..volume.sizes import spoken
from .choice import Choice, SeveralVolumesError
from .errors import FormatError
from .extras import needing
from .fourth_axis import channels_or_one, refuse_choice
from .lazy import lazy_array
from .length_units import length_unit, remark_on
from .limits import check_memory
from .ome_channels import described_channels, from_omero

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "OME-Zarr"

#: Images up to this many bytes are read at once, without their coarser levels.
_EAGER_BYTES = 1 << 26

#: A chunk of more bytes than this is no piece any more, and hardly meant.
_MOST_CHUNK_BYTES = 1 << 31

#: Pieces of an array that dask keeps track of without delay.
_MOST_PIECES = 100_000

#: What label images of this program call the value of voxels that nobody annotated.
NOT_ANNOTATED_NAME = "Not annotated"

#: Axes of versions that name none.
_AXES = ("t", "c", "z", "y", "x")


@dataclass(frozen=True)
class OmeZarrSource:
    """What an OME-Zarr image says of itself.

    Parameters
    ----------
    version : str
        Of the format, empty where it is not stated.
    axes : tuple of str
        Names of the axes of the stored array.
    labels : tuple of str
        Names of the label images that belong to it.
    names_not_annotated : bool
        Whether this is a label image that itself says that 255 is "not annotated".
    """

    version: str
    axes: tuple[str, ...]
    labels: tuple[str, ...] = ()
    names_not_annotated: bool = False


def read(path: Path, part: str | None = None) -> Volume:
    """Read an image as ([z,] y, x[, channel]).

    Its coarser levels are in `Volume.levels` where it is too large to be read at once. Of time
    points one has to be chosen.

    Parameters
    ----------
    path : Path
        Folder of an image, of a group of images, or of a bare array.
    part : str, optional
        Name of the image in the group, one-based time point, or both: ``"0/3"``.

    Raises
    ------
    SeveralVolumesError
        If the user has to choose one.
    FormatError
        If the axes are others, its metadata name no array, `part` is none of the volumes, a piece
        does not fit into memory, or zarr is not installed.
    """
    with needing("zarr", NAME):
        import zarr
    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Array):
        refuse_choice(path, part)
        return _bare(path, node)
    attributes = _attributes(node)
    if "multiscales" not in attributes:
        node, part = _choose_image(path, node, attributes, part)
        attributes = _attributes(node)
    return _image(path, node, attributes, part)


def _attributes(node: Any) -> Mapping[str, Any]:
    attributes = dict(node.attrs)
    return dict(attributes.get("ome", attributes))  # since 0.5 below a key of its own


def _choose_image(
    path: Path, node: Any, attributes: Mapping[str, Any], part: str | None
) -> tuple[Any, str | None]:
    """Return one of the images in a group, as bioformats2raw writes them."""
    if "plate" in attributes or "well" in attributes:
        raise FormatError(f"{path} is a plate of many wells; give the folder of one image in it.")
    found = [name for name, group in node.groups() if "multiscales" in _attributes(group)]
    found.sort(key=lambda name: (len(name), name))
    if not found:
        raise FormatError(f"{path} is a Zarr group without an OME image; give that of an image.")
    name, _, rest = (part or "").partition("/")
    if name in found:
        return node[name], rest or None
    if len(found) == 1 and part is None:
        return node[found[0]], None
    choices = []
    for key in found:
        array = node[key][str(_multiscale(path, _attributes(node[key]))["datasets"][0]["path"])]
        choices.append(Choice(key, f"image {key}, {' × '.join(map(str, array.shape))}"))
    raise SeveralVolumesError(str(path), choices)


def _multiscale(path: Path, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    scales = attributes["multiscales"]
    if not scales or not scales[0].get("datasets"):
        raise FormatError(f"{path} is damaged: its metadata name no array.")
    return dict(scales[0])


def _image(path: Path, node: Any, attributes: Mapping[str, Any], part: str | None) -> Volume:
    multiscale = _multiscale(path, attributes)
    datasets = multiscale["datasets"]
    arrays = [node[str(dataset["path"])] for dataset in datasets]
    names, units, kinds = _axes(path, multiscale, arrays[0].ndim)
    spatial = [n for n, kind in enumerate(kinds) if kind == "space"]
    if not 2 <= len(spatial) <= 3 or len(names) != arrays[0].ndim:
        raise FormatError(
            f"{path} has the axes {', '.join(names)} for an array of {arrays[0].ndim}; an image of "
            "two or three spatial axes can be read."
        )
    scale, translation = _placement(multiscale, datasets[0], len(names))
    geometry = _geometry(path, arrays[0].shape, spatial, scale, translation, units)
    given = [units[axis] for axis in spatial]
    coarser = [a for a in arrays[1:] if a.ndim == len(names)]
    read_now = arrays[0].nbytes <= _EAGER_BYTES
    levels, chosen = [], ""
    for array in arrays[:1] if read_now else [arrays[0], *coarser]:
        values = _whole(path, array) if read_now else _lazy(path, array)
        values, chosen = _spatial_first(path, values, kinds, part)
        levels.append(values)
    channels = (attributes.get("omero") or {}).get("channels") or []
    labels = node["labels"].attrs if "labels" in node else {}
    return Volume(
        levels[0],
        geometry,
        header=OmeZarrSource(
            str(attributes.get("version", multiscale.get("version", ""))),
            tuple(names),
            tuple(map(str, labels.get("ome", labels).get("labels", ()))),
            _names_not_annotated(attributes),
        ),
        part=chosen,
        window=_window(channels[0]) if len(channels) == 1 else None,
        **described_channels(from_omero(channels), levels[0].shape[len(spatial) :]),
        levels=() if len(levels) == 1 else tuple(levels),
        warnings=tuple(dict.fromkeys(remark for u in given for remark in remark_on(u, "pixels"))),
    )


def _names_not_annotated(attributes: Mapping[str, Any]) -> bool:
    rows = (attributes.get("image-label") or {}).get("properties") or ()
    return any(
        row.get("label-value") == NOT_ANNOTATED and row.get("name") == NOT_ANNOTATED_NAME
        for row in rows
    )


def _axes(
    path: Path, multiscale: Mapping[str, Any], count: int
) -> tuple[list[str], list[str], list[str]]:
    """Return names, units and kinds (space, time, channel) of the axes."""
    axes = multiscale.get("axes") or _AXES[-count:]
    names = [str(axis["name"] if isinstance(axis, dict) else axis) for axis in axes]
    units = [str(axis.get("unit", "") if isinstance(axis, dict) else "") for axis in axes]
    usual = {"t": "time", "c": "channel"}
    kinds = [
        str(axis.get("type", "") if isinstance(axis, dict) else "") or usual.get(name, "space")
        for axis, name in zip(axes, names, strict=True)
    ]
    odd = [name for name, kind in zip(names, kinds, strict=True) if kind not in _KINDS]
    if odd or len(set(names)) != len(names) or kinds.count("time") + kinds.count("channel") > 2:
        raise FormatError(f"{path} has axes that cannot be read: {', '.join(names)}.")
    return names, units, kinds


_KINDS = ("space", "time", "channel")


def _placement(
    multiscale: Mapping[str, Any], dataset: Mapping[str, Any], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and translation of the finest level, those of all levels applied after."""
    scale, translation = np.ones(count), np.zeros(count)
    for holder in (dataset, multiscale):
        for transform in holder.get("coordinateTransformations") or ():
            if transform.get("type") == "scale":
                factor = np.array(transform["scale"], float)
                scale, translation = scale * factor, translation * factor
            elif transform.get("type") == "translation":
                translation = translation + np.array(transform["translation"], float)
    return scale, translation


def _geometry(
    path: Path,
    shape: tuple[int, ...],
    spatial: list[int],
    scale: np.ndarray,
    translation: np.ndarray,
    units: list[str],
) -> Geometry:
    known = [length_unit(units[axis]) or ("pixel", 1.0) for axis in spatial]
    names = {name for name, _ in known}
    factors = np.array([factor for _, factor in known])
    unit = names.pop() if len(names) == 1 else "mm"
    if names:
        to_mm = {"m": 1e3, "mm": 1.0, "um": 1e-3, "nm": 1e-6, "pixel": 1.0}
        factors = np.array([factor * to_mm[name] for name, factor in known])
    try:
        return Geometry.from_spacing(
            (scale[spatial] * factors).tolist(),
            [int(shape[axis]) for axis in spatial],
            origin=(translation[spatial] * factors).tolist(),
            units=unit,
        )
    except (ValueError, IndexError) as error:
        raise FormatError(
            f"{path} does not say where its voxels lie: {error}; correct its metadata."
        ) from error


def _whole(path: Path, array: Any) -> np.ndarray:
    _check_chunk(path, array)
    try:
        return np.asarray(array[...])
    except MemoryError as error:  # the array is small: a chunk lies about its length
        raise FormatError(f"{path} is damaged: one of its chunks cannot be unpacked.") from error


def _lazy(path: Path, array: Any) -> Any:
    _check_chunk(path, array)
    chunks = _pieces(path, tuple(array.shape), tuple(array.chunks), array.dtype.itemsize)
    return lazy_array(str(path), array.__getitem__, tuple(array.shape), array.dtype, chunks)


def _pieces(
    path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], itemsize: int
) -> tuple[int, ...]:
    """Return the chunks, several together where there are too many for dask to keep track of."""
    while math.prod(-(-n // c) for n, c in zip(shape, chunks, strict=True)) > _MOST_PIECES:
        chunks = tuple(min(2 * c, n) for n, c in zip(shape, chunks, strict=True))
        if math.prod(chunks) * itemsize > _MOST_CHUNK_BYTES:
            raise FormatError(
                f"{path} declares {' × '.join(map(str, shape))} voxels, too many to be handled; "
                "crop it, or correct its metadata."
            )
    return chunks


def _check_chunk(path: Path, array: Any) -> None:
    chunk = math.prod(array.chunks) * array.dtype.itemsize
    if chunk > _MOST_CHUNK_BYTES:
        raise FormatError(
            f"{path} is stored in pieces of {spoken(chunk)}, too large to be read one by one; "
            "store it in smaller chunks."
        )
    check_memory(path, chunk)


def _spatial_first(path: Path, values: Any, kinds: list[str], part: str | None) -> tuple[Any, str]:
    """Return the array with its spatial axes first and channels last, at one time point."""
    chosen = ""
    kinds = list(kinds)
    if "time" in kinds:
        axis = kinds.index("time")
        if values.shape[axis] == 1:
            refuse_choice(path, part)
            values = values[(slice(None),) * axis + (0,)]
        else:
            values, chosen = channels_or_one(path, values, axis, part, time=True)
        kinds.pop(axis)
    else:
        refuse_choice(path, part)
    if "channel" in kinds:
        values = np.moveaxis(values, kinds.index("channel"), -1)
        if values.shape[-1] == 1:
            values = values[..., 0]
    return values, chosen


def _window(channel: Mapping[str, Any]) -> tuple[float, float] | None:
    window = channel.get("window") or {}
    try:
        low, high = float(window["start"]), float(window["end"])
    except (KeyError, TypeError, ValueError):
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None


def _bare(path: Path, array: Any) -> Volume:
    """Read a Zarr array that belongs to no image, or one of its levels: voxels of one pixel."""
    if not 2 <= array.ndim <= 3:
        raise FormatError(
            f"{path} is a bare Zarr array of {array.ndim} axes; give the folder of the image."
        )
    values = _whole(path, array) if array.nbytes <= _EAGER_BYTES else _lazy(path, array)
    geometry = Geometry.from_spacing((1.0,) * array.ndim, array.shape, units="pixel")
    return Volume(values, geometry)
