"""Pictures and a short film of the application: screenshots with a caption below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Box = tuple[float, float, float, float]
"""Left, top, width and height, pixels."""

_CAPTION_HEIGHT, _FONT_SIZE = 40, 19
_GROUND, _WORDS, _QUIET = "#16181d", "#ffffff", "#9aa0aa"
_RING, _RING_WIDTH = "#ff5fa2", 3

#: Quality of the film, 0 to 100. Small text stays readable, and flat areas cost little.
_QUALITY = 80


@dataclass(frozen=True)
class Scene:
    """One picture of the film.

    Parameters
    ----------
    picture : Image
    seconds : float
        How long it is seen.
    """

    picture: Image.Image
    seconds: float


class Film:
    """Collects screenshots and writes them as an animated WebP file."""

    def __init__(self) -> None:
        self.scenes: list[Scene] = []

    def add(
        self,
        shot: npt.NDArray[np.uint8],
        caption: str,
        seconds: float,
        rings: Sequence[Box] = (),
    ) -> None:
        """Add a screenshot.

        Parameters
        ----------
        shot : ndarray of uint8, shape (H, W, 3 or 4)
        caption : str
            One line.
        seconds : float
            How long it is seen.
        rings : sequence of boxes
            What is pressed, or spoken of.
        """
        self.scenes.append(Scene(captioned(ringed(shot, rings), caption), seconds))

    def save(self, path: Path) -> int:
        """Write the film, and return its size in bytes.

        Raises
        ------
        ValueError
            When there is nothing to write.
        """
        if not self.scenes:
            raise ValueError("The film has no scenes.")
        first, *others = (scene.picture for scene in self.scenes)
        first.save(
            path,
            format="WEBP",
            save_all=True,
            append_images=others,
            duration=[round(1000 * scene.seconds) for scene in self.scenes],
            loop=0,
            quality=_QUALITY,
            method=6,
            minimize_size=True,
        )
        return path.stat().st_size


def ringed(shot: npt.NDArray[np.uint8], rings: Sequence[Box]) -> Image.Image:
    """Draw rings around parts of a screenshot."""
    picture = Image.fromarray(np.ascontiguousarray(shot[..., :3]))
    draw = ImageDraw.Draw(picture)
    for left, top, width, height in rings:
        box = (left - 4, top - 4, left + width + 3, top + height + 3)
        draw.rounded_rectangle(box, radius=6, outline=_RING, width=_RING_WIDTH)
    return picture


def captioned(picture: Image.Image, caption: str) -> Image.Image:
    """Put a line of text below a picture."""
    whole = Image.new("RGB", (picture.width, picture.height + _CAPTION_HEIGHT), _GROUND)
    whole.paste(picture, (0, 0))
    draw = ImageDraw.Draw(whole)
    font = ImageFont.load_default(_FONT_SIZE)
    middle = picture.height + _CAPTION_HEIGHT / 2
    number, _, words = caption.rpartition("  ")
    draw.text((16, middle), number, fill=_QUIET, font=font, anchor="lm")
    left = 16 + (draw.textlength(number + "  ", font=font) if number else 0)
    draw.text((left, middle), words, fill=_WORDS, font=font, anchor="lm")
    return whole


def save_picture(shot: npt.NDArray[np.uint8], path: Path) -> None:
    """Write a screenshot as PNG, in its own colours: they have a meaning."""
    Image.fromarray(np.ascontiguousarray(shot[..., :3])).save(path, optimize=True)
