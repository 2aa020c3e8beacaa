"""The voxel size that a TIFF file states: by OME, by ImageJ or by its resolution tags."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..volume.geometry import Geometry
from .length_units import length_unit, remark_on
from .upright import AS_STORED, swaps

if TYPE_CHECKING:
    import tifffile

_PIXELS = ("pixel", 1.0)

#: The unit of the resolution tags of plain files; 1 means none.
_RESOLUTION_UNITS = {2: "inch", 3: "cm"}

#: What the user is told where only the size of a pixel is stated.
_NO_DISTANCE = (
    "The file does not say how far apart its slices are: the size of a pixel is taken, and "
    "distances and millilitres rest on that."
)

#: Dots an inch that programs write without meaning a voxel size.
_PRINT_RESOLUTIONS = (72, 96, 100, 150, 200, 300, 600, 1200)


@dataclass(frozen=True)
class TiffHeader:
    """How a source stated its voxel size, to be written back alike.

    `resolution` holds the two rationals of the tags, of the columns and the rows that are shown,
    `spacing` and `unit` the ImageJ fields as they stand; all are ``None`` where the file has none.
    `orientation` is how it is stored: the geometry is that of the image turned upright.
    """

    ome: bool
    geometry: Geometry
    resolution: tuple[tuple[int, int], tuple[int, int]] | None = None
    spacing: float | None = None
    unit: str | None = None
    orientation: int = AS_STORED

    @property
    def has_imagej_fields(self) -> bool:
        """Whether the ImageJ fields state the voxel size, alone or with tags without a unit."""
        if self.unit is not None:
            return True
        # A unit of the tags is none of ImageJ's: its reader would not find it.
        return self.spacing is not None and self.geometry.units == "pixel"


def voxel_size(
    tif: tifffile.TiffFile, shape: tuple[int, ...], orientation: int = AS_STORED
) -> tuple[TiffHeader, tuple[str, ...]]:
    """Return what a file states about an image of a spatial shape, and remarks on it.

    Where the distance of the pages is not given, it is taken to be that of the rows, which a remark
    says.

    Parameters
    ----------
    tif : tifffile.TiffFile
        Open.
    shape : tuple of int
        ``([page,] row, column)``, upright.
    orientation : int
        How the file stores rows and columns.

    Returns
    -------
    TiffHeader
        With a geometry of one pixel a voxel where no size is stated.
    tuple of str
        One sentence for each thing that the user ought to know.

    Raises
    ------
    ValueError
        If a size of ImageJ or of the tags is not positive.
    """
    if tif.is_ome and tif.ome_metadata:
        try:
            sizes, units, remarks = _ome_spacing(tif.ome_metadata, len(shape))
        except ValueError:
            sizes, units = (1.0,) * len(shape), "pixel"
            remarks = ("The file states a voxel size that is none: taken for pixels.",)
        return TiffHeader(True, Geometry.from_spacing(sizes, shape, units=units)), remarks
    tags = tif.pages.first.tags
    resolution = None
    if "XResolution" in tags and "YResolution" in tags:
        resolution = (_rational(tags["XResolution"].value), _rational(tags["YResolution"].value))
        resolution = resolution[::-1] if swaps(orientation) else resolution
    described = dict(tif.imagej_metadata or (tif.shaped_metadata or ({},))[0])
    unit = described.get("unit")
    between = described.get("spacing")
    x = y = 1.0
    name, factor = _PIXELS
    if resolution and min(resolution[0] + resolution[1]) > 0:
        code = tags["ResolutionUnit"].value if "ResolutionUnit" in tags else 1
        named = str(unit) if unit else _RESOLUTION_UNITS.get(int(code), "")
        x, y = (bottom / top for top, bottom in resolution)
        printed = not unit and named == "inch" and round(1 / x) in _PRINT_RESOLUTIONS
        name, factor = length_unit(named) or _PIXELS
        if printed or (name == "pixel" and not unit and between is None):
            x, y, name, factor = 1.0, 1.0, *_PIXELS
    elif unit:
        name, factor = length_unit(str(unit)) or _PIXELS
    z = float(between) if isinstance(between, (int, float)) and between > 0 else y
    sizes = tuple(factor * size for size in (z, y, x)[-len(shape) :])
    header = TiffHeader(
        False,
        Geometry.from_spacing(sizes, shape, units=name),
        resolution,
        float(between) if isinstance(between, (int, float)) and between > 0 else None,
        None if unit is None else str(unit),
        orientation,
    )
    remarks = remark_on(str(unit or ""), "pixels")
    if len(shape) == 3 and name != "pixel" and header.spacing is None:
        remarks = (*remarks, _NO_DISTANCE)
    return header, remarks


def _size(text: str) -> float:
    size = float(text)
    if not 0 < size < math.inf:
        raise ValueError(f"{text} is no size")
    return size


def _rational(value: Any) -> tuple[int, int]:
    top, bottom = value
    return int(top), int(bottom)


def _ome_spacing(description: str, ndim: int) -> tuple[tuple[float, ...], str, tuple[str, ...]]:
    """Return OME's physical sizes along (Z, Y, X)[-ndim:] in one unit, and remarks.

    OME's default unit is the micrometre. Sizes in several units are converted to millimetres.
    """
    root = ET.fromstring(description)
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    if pixels is None or "PhysicalSizeX" not in pixels.attrib:
        return (1.0,) * ndim, "pixel", ()
    sizes, names = [], []
    remarks: dict[str, None] = {}  # each once, in order
    x = _size(pixels.attrib["PhysicalSizeX"])
    x_unit = pixels.attrib.get("PhysicalSizeXUnit", "\u00b5m")
    for axis in "ZYX"[-ndim:]:
        given = pixels.attrib.get(f"PhysicalSize{axis}")
        unit = pixels.attrib.get(f"PhysicalSize{axis}Unit", "\u00b5m") if given else x_unit
        name, factor = length_unit(unit) or _PIXELS
        remarks |= dict.fromkeys(remark_on(unit, "pixels"))
        sizes.append(factor * (_size(given) if given else x))
        names.append(name)
        if axis == "Z" and not given and name != "pixel":
            remarks[_NO_DISTANCE] = None
    if len(set(names)) == 1:
        return tuple(sizes), names[0], tuple(remarks)
    single = (
        Geometry.from_spacing((size,) * 2, (1, 1), units=name).spacing_mm[0]
        for size, name in zip(sizes, names, strict=True)
    )
    return tuple(single), "mm", tuple(remarks)
