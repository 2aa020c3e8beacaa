"""What OME metadata say of channels: their names and colours, in OME-TIFF and OME-Zarr."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEX = re.compile(r"#?([0-9a-fA-F]{6})")


@dataclass(frozen=True)
class OmeChannel:
    """One channel; what is not said is empty.

    Parameters
    ----------
    name : str
    color : str
        Such as ``"#00ff00"``.
    """

    name: str = ""
    color: str = ""


def from_xml(description: str) -> list[OmeChannel]:
    """Return the channels of the first image of an OME-XML description.

    Those of colours that are stored together are one channel there.
    """
    root = ET.fromstring(description)
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    found = [] if pixels is None else [n for n in pixels if n.tag.endswith("}Channel")]
    return [
        OmeChannel(" ".join(node.get("Name", "").split()), _color_of_number(node.get("Color", "")))
        for node in found
    ]


def from_omero(channels: Sequence[Mapping[str, Any]]) -> list[OmeChannel]:
    """Return the channels of the ``omero`` metadata of OME-Zarr."""
    found = []
    for channel in channels:
        match = _HEX.fullmatch(str(channel.get("color") or "").strip())
        name = " ".join(str(channel.get("label") or "").split())
        found.append(OmeChannel(name, f"#{match[1].lower()}" if match else ""))
    return found


def described_channels(channels: Sequence[OmeChannel], rest: tuple[int, ...]) -> dict[str, Any]:
    """Return `channel_names` and `channel_colors` of a `Volume`, as far as they are said.

    Parameters
    ----------
    channels : sequence of OmeChannel
    rest : tuple of int
        Lengths of the axes after the spatial ones. Of another number of channels nothing is said.
    """
    if rest != (len(channels),):
        return {}
    colors = tuple(channel.color for channel in channels)
    if len(set(colors)) == 1:  # most often a default that tells nothing apart
        colors = ()
    if not colors and not any(channel.name for channel in channels):
        return {}
    names = tuple(channel.name or str(number) for number, channel in enumerate(channels))
    return {"channel_names": names, "channel_colors": colors}


def _color_of_number(text: str) -> str:
    """Return the colour of OME-XML: red, green, blue and opacity as one signed number."""
    try:
        number = int(text)
    except ValueError:
        return ""
    return f"#{(number & 0xFFFFFFFF) >> 8:06x}"
