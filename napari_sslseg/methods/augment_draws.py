"""What is drawn for the geometry of a weak view: our own draw, the published one, and windows.

`augment.sample_weak` makes affine maps of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from .augment_grid import moved_by

if TYPE_CHECKING:
    from .augment import WeakAugmentation

#: Draws uniform numbers ``(B,)``, one an image, between two bounds; 0 and 1 if none are given.
Draw = Callable[..., Tensor]


class Geometry(NamedTuple):
    """Drawn for each image; all ``(B,)``.

    Attributes
    ----------
    flips
        Of the last axis and of the one before, after the turn: -1 or 1.
    turns
        Quarter turns, 0 to 3.
    angle
        Of the rotation, radians.
    zoom
        Magnification.
    """

    flips: tuple[Tensor, Tensor]
    turns: Tensor
    angle: Tensor
    zoom: Tensor


def draw_own(draw: Draw, config: WeakAugmentation, square: bool) -> Geometry:
    """Draw flips, a turn, and a rotation with a magnification, each for itself.

    Parameters
    ----------
    draw
        Draws numbers.
    config
        Its `flip`, `quarter_turns`, `rotation`, `scale` and `free` count.
    square
        Whether height and width are equal; else turns are by none or two quarters.
    """
    flips = [torch.where(draw() < config.flip, -1.0, 1.0) for _ in range(2)]
    turns = _turns(draw, square)
    turns = torch.where(draw() < config.quarter_turns, turns, 0.0)
    free = draw() < config.free
    limit = math.radians(config.rotation)
    angle = torch.where(free, draw(-limit, limit), 0.0)
    zoom = torch.where(free, draw(*config.scale), 1.0)
    return Geometry((flips[0], flips[1]), turns, angle, zoom)


def draw_published(draw: Draw, config: WeakAugmentation, square: bool) -> Geometry:
    """Draw a turn with a flip, or else a rotation by whole degrees, or nothing.

    Parameters
    ----------
    draw, square
        As in `draw_own`.
    config
        Its `quarter_turns`, `rotation` and `free` count, and whether `flip` is above 0.

    Returns
    -------
    Geometry
        With a magnification of 1.
    """
    turned = draw() < config.quarter_turns
    turns = torch.where(turned, _turns(draw, square), 0.0)
    last = draw() < 0.5
    flips = [torch.where(turned & axis & (config.flip > 0), -1.0, 1.0) for axis in (last, ~last)]
    free = (draw() < config.free) & ~turned
    degrees = draw(-config.rotation, config.rotation).floor()
    angle = torch.where(free, degrees * (math.pi / 180), 0.0)
    return Geometry((flips[0], flips[1]), turns, angle, torch.ones_like(angle))


def draw_window(
    draw: Draw,
    config: WeakAugmentation,
    theta: Tensor,
    sides: Sequence[int],
    size: Sequence[int],
) -> Tensor:
    """Look at a window of what affine maps show, with sides magnified each for itself.

    Parameters
    ----------
    draw
        Draws numbers.
    config
        Its `stretch` and `stretched`.
    theta
        ``(B, 2, 3)`` affine maps, without a shift.
    sides, size
        Height and width of the image and of the window, pixels.

    Returns
    -------
    Tensor
        ``(B, 2, 3)``: the window lies anywhere inside, and a pixel is as large as before.
    """
    wanted = draw() < config.stretch
    seen, shift = [], []
    for side, window in reversed(list(zip(sides, size, strict=True))):  # x before y
        factor = torch.where(wanted, draw(1.0, config.stretched), 1.0)
        share = (window / side) / factor
        seen.append(share)
        shift.append((1 - share) * draw(-1.0, 1.0))
    linear = theta[:, :, :2]
    moved = moved_by(linear, torch.stack(shift, 1))
    return torch.cat([linear * torch.stack(seen, 1)[:, None], moved[:, :, None]], 2)


def _turns(draw: Draw, square: bool) -> Tensor:
    turns = (4 * draw()).floor().clamp(max=3)
    # A quarter turn would exchange unequal sides.
    return turns if square else 2 * (turns % 2)
