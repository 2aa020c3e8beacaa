"""What OME metadata say of channels: their names and colours, in OME-TIFF and OME-Zarr."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HEX = re.compile(r"#?([0-9a-fA-F]{6})")

#: How channels are named, or said to be made, that show light which came through the specimen.
_THROUGH = re.compile(
    r"\b(bright[ -]?field|bf|phase([ -]?contrast)?|ph[1-3]?|dic|hoffman\w*|oblique\w*"
    r"|polari[sz]ed\w*|transmitted([ -]?light)?|trans|tl|dia|esid|tpmt|t-pmt)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class OmeChannel:
    """One channel; what is not said is empty.

    Parameters
    ----------
    name : str
    color : str
        Such as ``"#00ff00"``.
    through : bool
        Whether it shows light that came through the specimen, as in bright field, not the light
        of a dye. Between coloured dyes it is grey.
    """

    name: str = ""
    color: str = ""
    through: bool = False


def from_xml(description: str) -> list[OmeChannel]:
    """Return the channels of the first image of an OME-XML description.

    Those of colours that are stored together are one channel there.
    """
    root = ET.fromstring(description)
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    found = [] if pixels is None else [n for n in pixels if n.tag.endswith("}Channel")]
    return [_of_node(node) for node in found]


def _of_node(node: ET.Element) -> OmeChannel:
    name = " ".join(node.get("Name", "").split())
    method, light = node.get("ContrastMethod", ""), node.get("IlluminationType", "")
    # Whatever it is called, one that is said to fluoresce does.
    glows = method == "Fluorescence" or light == "Epifluorescence"
    through = not glows and any(_comes_through(text) for text in (name, method, light))
    return OmeChannel(name, _color_of_number(node.get("Color", "")), through)


def _comes_through(text: str) -> bool:
    """Whether a text, such as ``"Bright_field"`` or ``"HoffmanModulation"``, says so."""
    return bool(_THROUGH.search(text.replace("_", " ")))


def from_omero(channels: Sequence[Mapping[str, Any]]) -> list[OmeChannel]:
    """Return the channels of the ``omero`` metadata of OME-Zarr."""
    found = []
    for channel in channels:
        match = _HEX.fullmatch(str(channel.get("color") or "").strip())
        name = " ".join(str(channel.get("label") or "").split())
        colour = f"#{match[1].lower()}" if match else ""
        found.append(OmeChannel(name, colour, _comes_through(name)))
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
    if any(channel.through for channel in channels):
        said = colors or ("",) * len(channels)
        colors = tuple(
            "#ffffff" if channel.through and not color else color
            for channel, color in zip(channels, said, strict=True)
        )
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
