"""The chain of pages of a TIFF file, followed before it is trusted.

In a damaged file the chain may bite its own tail, and readers then follow it for ever.

.. [1] TIFF revision 6.0, section 2
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from .errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

#: Entries of a page directory; real ones have some tens.
_MOST_ENTRIES = 4096

#: Missing files that a message names.
_LISTED = 5

#: Variants of the format by their version: size of an entry, and formats of count and offset.
_VARIANTS = {42: (12, "H", "I"), 43: (20, "Q", "Q")}


def check_chain(path: Path) -> int:
    """Follow the pages of a TIFF file, classic or BigTIFF, from one to the next.

    Returns
    -------
    int
        Number of pages whose directory lies within the file.

    Raises
    ------
    FormatError
        If the file is no TIFF file, or a page follows itself, or declares impossibly many tags.
    OSError
        If it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = struct.unpack(f"{order}H", head[2:4])[0] if order and len(head) == 16 else 0
        if version not in _VARIANTS:
            raise FormatError(f"{path} is no TIFF file, or damaged; copy or export it again.")
        width, count_format, offset_format = _VARIANTS[version]
        count_size, offset_size = struct.calcsize(count_format), struct.calcsize(offset_format)
        (offset,) = struct.unpack_from(f"{order}{offset_format}", head, 4 if version == 42 else 8)
        seen: set[int] = set()
        while offset:
            if offset in seen:
                raise FormatError(
                    f"{path} is damaged: page {len(seen)} leads back to an earlier one."
                )
            file.seek(offset)
            count_bytes = file.read(count_size)
            if len(count_bytes) < count_size:  # cut off: the reader says what is missing
                break
            (entries,) = struct.unpack(f"{order}{count_format}", count_bytes)
            if entries > _MOST_ENTRIES:
                raise FormatError(f"{path} is damaged: page {len(seen) + 1} has {entries} tags.")
            seen.add(offset)
            file.seek(entries * width, 1)
            next_bytes = file.read(offset_size)
            if len(next_bytes) < offset_size:
                break
            (offset,) = struct.unpack(f"{order}{offset_format}", next_bytes)
    return len(seen)


def check_pages(path: Path, series: Any, ome: str | None) -> None:
    """Refuse an image of which pages are missing; tifffile would give blank ones for them.

    Parameters
    ----------
    path : Path
    series : tifffile.TiffPageSeries
    ome : str, optional
        The OME-XML of the file, which names the other files of the image.

    Raises
    ------
    FormatError
        Naming the files that lack, where the OME-XML tells them.
    """
    missing = sum(page is None for page in series.pages)
    if not missing:
        return
    names = []
    for node in ET.fromstring(ome or "<none/>").iter():
        name = node.get("FileName", "") if node.tag.endswith("}UUID") else ""
        if name and name not in names and not (path.parent / name).is_file():
            names.append(name)
    what = f"{missing} of its {len(series.pages)} pages"
    if not names:
        raise FormatError(f"{path} is incomplete: {what} are missing; copy or export it again.")
    listed = ", ".join(names[:_LISTED]) + (
        f" and {len(names) - _LISTED} more" * (len(names) > _LISTED)
    )
    raise FormatError(
        f"{path} is incomplete: {what} are in {listed}, which cannot be found; put all files of "
        "the image into one folder."
    )
