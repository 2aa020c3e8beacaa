"""TIFF files opened without those metadata that would hide pages or cannot be read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import tifffile

if TYPE_CHECKING:
    from pathlib import Path

#: What follows from it: the pages alone are left, in the order in which they are stored.
REMARK = (
    "The file's OME metadata are damaged, so that voxel size and axes could not be read: its pages "
    "are taken for the slices of one stack."
)

#: Characters within which a description begins with OME's element, after what may be before it.
_BEGIN = 4096


def opened(path: Path) -> tuple[tifffile.TiffFile, bool]:
    """Open a TIFF file, as a plain one where its OME-XML is damaged.

    Planes that were written one after another by tifffile are an image each by its own metadata;
    without these they are the pages of one stack.

    Returns
    -------
    tifffile.TiffFile
        To be closed.
    bool
        Whether its OME-XML is damaged.

    Raises
    ------
    OSError, tifffile.TiffFileError
        If it cannot be opened, or is no TIFF file.
    """
    tif = tifffile.TiffFile(path)
    try:
        described = str(tif.pages.first.description or "")
        # Of one that is cut off tifffile says that it is none.
        stated = tif.is_ome or "<OME" in described[:_BEGIN]
        damaged = stated and not _is_usable(tif, described)
    except BaseException:
        tif.close()
        raise
    if damaged:
        tif.close()
        return tifffile.TiffFile(path, is_ome=False), True
    found = tif.series
    if len(found) > 1 and all(one.kind == "shaped" and len(one.pages) == 1 for one in found):
        tif.close()
        return tifffile.TiffFile(path, is_shaped=False), False
    return tif, False


def left_out(tif: tifffile.TiffFile) -> tuple[str, ...]:
    """Say, in no sentence or one, that a file holds more than its first image."""
    others = len(tif.series) - 1
    if not others:
        return ()
    more = "another image, which is" if others == 1 else f"{others} further images, which are"
    return (f"The file holds {more} left out: the first one is read.",)


def _is_usable(tif: tifffile.TiffFile, described: str) -> bool:
    try:
        ET.fromstring(tif.ome_metadata if tif.is_ome and tif.ome_metadata else described)
        return bool(tif.series)
    except (ET.ParseError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return False  # the last ones are tifffile's, of attributes that are missing or no numbers
