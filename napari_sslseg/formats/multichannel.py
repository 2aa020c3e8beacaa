"""Several images of one patient as the channels of one volume."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.image import lowest_value
from .errors import FormatError
from .grids import difference, placement
from .limits import check_memory
from .registry import read
from .resampling import resampled

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ..volume.geometry import Geometry
    from ..volume.image import Volume


class GridsDifferError(FormatError):
    """Images are not on one grid; they can be resampled to the first one's if the user agrees.

    Parameters
    ----------
    message : str
    names : tuple of str
        Those that are on another grid than the first one.
    """

    def __init__(self, message: str, names: tuple[str, ...]) -> None:
        self.names = names
        super().__init__(message)


def read_channels(
    paths: Sequence[str | os.PathLike[str]],
    *,
    parts: Sequence[str | None] = (),
    resample: bool = False,
) -> Volume:
    """Read several images of one patient as one volume; see `combine`.

    Parameters
    ----------
    paths : sequence of path-like
        What `read` can read; the first one gives grid, header and source.
    parts : sequence of str or None, optional
        Which volume of each, where a file or folder holds several.
    resample : bool
        Whether images on another grid may be resampled to that of the first.

    Raises
    ------
    FormatError
        As of `read` and `combine`.
    ValueError
        If there are more parts than paths.
    """
    chosen = [*parts, *([None] * (len(paths) - len(parts)))]
    return combine(
        [read(path, part) for path, part in zip(paths, chosen, strict=True)], resample=resample
    )


def combine(volumes: Sequence[Volume], *, resample: bool = False) -> Volume:
    """Return images of one patient as one volume with channels.

    Images whose voxels are those of the first one are taken as they are, whatever the order of
    their axes.

    Parameters
    ----------
    volumes : sequence of Volume
        One or more; their own channels are kept, one after another.
    resample : bool
        Whether to resample the others linearly to the grid of the first; what lies outside of an
        image gets its lowest value.

    Returns
    -------
    Volume
        Array ``(*shape, C)`` of the smallest type that holds all values, with a name for each
        channel; everything else is that of the first volume.

    Raises
    ------
    GridsDifferError
        If the grids differ and `resample` is false.
    FormatError
        If an image cannot be resampled, or the result does not fit into memory.
    """
    first = volumes[0]
    others = [_in_order_of(first.geometry, volume) for volume in volumes[1:]]
    differing = [v for v, array in zip(volumes[1:], others, strict=True) if array is None]
    remarks: list[str] = []
    if differing and not resample:
        said = [f"{v.name}: {difference(v.geometry, first.geometry)}" for v in differing]
        raise GridsDifferError(
            f"Not all images are on the grid of {first.name} ({'; '.join(said)}); they can be "
            "resampled to it.",
            tuple(volume.name for volume in differing),
        )
    for n, volume in enumerate(volumes[1:]):
        if others[n] is None:
            others[n] = _interpolated(volume, first.geometry)
            remarks.append(f"{volume.name} was resampled to the grid of {first.name}.")
    planes, names = [], []
    for volume, array in zip(volumes, [first.array, *others], strict=True):
        for channel in range(volume.channels):
            planes.append(array[..., channel] if volume.has_channel_axis else array)
            names.append(_name(volume, channel))
    warnings = (*(w for volume in volumes for w in volume.warnings), *remarks)
    return replace(
        first,
        array=_stacked(first, planes),
        window=None,
        channel_names=tuple(names),
        channel_colors=(),
        levels=(),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def onto(volume: Volume, grid: Geometry, name: str, *, resample: bool = False) -> Volume:
    """Bring one image onto the grid of another one of the same patient.

    Voxels that the grids share are taken as they are, whatever the order of the axes. Where one of
    the two does not say how it lies (TIFF, plain arrays), equal shapes as shown are one grid.

    Parameters
    ----------
    volume : Volume
    grid : Geometry
        Of the other image.
    name : str
        Of the other image, for messages.
    resample : bool
        Whether to resample linearly where the grids differ; what lies outside of the image gets
        its lowest value.

    Returns
    -------
    Volume
        With the geometry `grid`, without a header.

    Raises
    ------
    GridsDifferError
        If the grids differ and `resample` is false.
    FormatError
        If the image cannot be resampled.
    """
    array, remark = _in_order_of(grid, volume), ""
    known = volume.geometry.oriented and grid.oriented
    if array is None and not known:
        array = _as_shown(volume, grid)
        if array is not None:
            remark = f"{volume.name} was taken to lie as {name} does, as not both say how they lie."
        elif volume.geometry.oriented != grid.oriented:
            raise FormatError(
                f"{volume.name} cannot be brought onto {name}: one of them does not say how it "
                f"lies, and {difference(volume.geometry, grid)}."
            )
    if array is None and not resample:
        raise GridsDifferError(
            f"{volume.name} is not on the grid of {name}: {difference(volume.geometry, grid)}; it "
            "can be resampled to it.",
            (volume.name,),
        )
    if array is None:
        array = _interpolated(volume, grid)
        remark = f"{volume.name} was resampled to the grid of {name}."
    warnings = (*volume.warnings, *([remark] if remark else []))
    return replace(volume, array=array, geometry=grid, header=None, levels=(), warnings=warnings)


def _as_shown(volume: Volume, grid: Geometry) -> Any:
    """Return the array in the order of the grid if both have one shape as shown, else None."""
    own, wanted = volume.geometry.canonical(), grid.canonical()
    return wanted.invert(own.apply(volume.array)) if own.shape == wanted.shape else None


def _name(volume: Volume, channel: int) -> str:
    if not volume.has_channel_axis:
        return volume.name
    own = volume.channel_names[channel] if volume.channel_names else str(channel + 1)
    return f"{volume.name} {own}"


def _in_order_of(grid: Geometry, volume: Volume) -> Any:
    """Return the array in the order of a grid, None if its voxels are others."""
    if volume.geometry == grid:
        return volume.array
    placed = placement(volume.geometry, grid)
    if placed is None or any(placed.offset):
        return None
    n = grid.ndim
    permutation = (*placed.permutation, *range(n, volume.array.ndim))
    turned = volume.array.transpose(permutation)
    turned = turned[tuple(slice(None, None, -1 if flip else 1) for flip in placed.flips)]
    return turned if turned.shape[:n] == grid.shape else None


def _interpolated(volume: Volume, grid: Geometry) -> NDArray[Any]:
    if volume.geometry.ndim != grid.ndim:
        raise FormatError(
            f"{volume.name} has {volume.geometry.ndim} dimensions, the other image {grid.ndim}; "
            "they cannot be channels of one volume."
        )
    array = np.asarray(volume.array)
    if array.dtype.kind == "b" or array.dtype == np.float16:
        array = array.astype(np.uint8 if array.dtype.kind == "b" else np.float32)
    components = [array[..., c] for c in range(volume.channels)]
    if not volume.has_channel_axis:
        components = [array]
    moved = [
        resampled(component, volume.geometry, grid, lowest_value(component), "linear")
        for component in components
    ]
    return np.stack(moved, axis=-1) if volume.has_channel_axis else moved[0]


def _stacked(first: Volume, planes: list[Any]) -> Any:
    dtype = np.result_type(*(plane.dtype for plane in planes))
    if not all(isinstance(plane, np.ndarray) for plane in planes):
        import dask.array as da

        return da.stack([da.asarray(plane).astype(dtype) for plane in planes], axis=-1)
    shape = (*first.geometry.shape, len(planes))
    check_memory(first.name, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
    array = np.empty(shape, dtype)
    for channel, plane in enumerate(planes):
        array[..., channel] = plane
    return array
