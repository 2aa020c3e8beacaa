"""Where in the slices to look: one frame around the object, or a few overlapping ones.

Batch normalisation measures what it is shown. A network that is trained on crops around an object
and then shown whole slices, or slices padded to another size, meets statistics that it has never
seen; on small volumes that costs tens of points of Dice. So training and prediction use the very
same frames.

Large objects are looked at with reduced resolution: a network sees more of them at once, and a step
takes a fraction of the time. What is lost at the border is what the matching, which works on
every pixel, is good at.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..methods.working_region import inked_objects

#: Pixels around everything that may be object; room for what the matching has missed.
MARGIN = 12

#: Pixels of a frame beyond which its resolution is reduced.
ENOUGH = 12_000

#: Pixels along the edge of a frame, in its own resolution, for which what is predicted next to them
#: stands: there convolutions see zeros, not the image, and a network is never sure.
BLIND = 1

#: Radius (pixels of the frame) that the thinnest structure keeps.
THINNEST = 4.0


@dataclass(frozen=True)
class Tiles:
    """Frames of one size that together cover the object in all slices.

    Parameters
    ----------
    size : tuple of int
        Height and width of a frame; multiples of the network's stride times the reduction, in
        pixels of the slice.
    corners : tuple of (int, int)
        Upper left corner of each frame. A frame may stand out of the slice; what is outside
        repeats the border.
    reduction : int
        Pixels of the slice, along each side, that make one pixel of a frame.
    """

    size: tuple[int, int]
    corners: tuple[tuple[int, int], ...]
    reduction: int = 1

    @classmethod
    def around(
        cls,
        foreground: Tensor,
        ink: Tensor,
        stride: int,
        limit: int,
        fixed: Tiles | None = None,
        detail: float = 0.0,
    ) -> Tiles:
        """Frames around the object.

        Parameters
        ----------
        foreground : Tensor, (Z, H, W)
            Probability of anything but background; or (1, H, W), the largest over the slices.
        ink : Tensor, (Z, H, W) uint8
        stride : int
            Frames are multiples of it.
        limit : int
            Largest side of a frame, in its own pixels; larger objects get several.
        fixed : Tiles, optional
            Those that a model was trained with before: size and reduction are kept, so that it
            goes on as it was.
        detail : float
            Radius (pixels) of the thinnest structure; 0 if not known. It limits the reduction.
        """
        height, width = ink.shape[1:]
        spans = _spans(foreground, ink, MARGIN)
        lengths = [high - low for low, high in spans]
        reduction = fixed.reduction if fixed else _reduction(lengths, detail)
        step, most = stride * reduction, limit * reduction
        sides = [
            (fixed.size[i] if fixed else min(_up(n, step), _up(most, step)))
            for i, n in enumerate(lengths)
        ]
        rows = _starts(spans[0], sides[0], height)
        columns = _starts(spans[1], sides[1], width)
        corners = tuple((r, c) for r in rows for c in columns)
        return cls((sides[0], sides[1]), corners, reduction)

    def surrounds(self, foreground: Tensor, ink: Tensor) -> bool:
        """Whether the frames reach around the object with half the room that they are made with.

        Parameters
        ----------
        foreground, ink
            See `around`.
        """
        for axis, (low, high) in enumerate(_spans(foreground, ink, MARGIN // 2)):
            starts = [corner[axis] for corner in self.corners]
            if min(starts) > low or max(starts) + self.size[axis] < high:
                return False
        return True

    @property
    def pixels(self) -> int:
        """Pixels of a frame as the network sees it."""
        return self.size[0] * self.size[1] // self.reduction**2

    def cut(self, maps: Tensor, corner: tuple[int, int], value: float | None = None) -> Tensor:
        """Cut a frame out of images or probabilities, averaged to the frame's resolution.

        Parameters
        ----------
        maps : Tensor, (B, C, H, W) or (B, H, W)
        corner : tuple of int
        value : float, optional
            What stands outside of the slice; None repeats the border (needs a channel axis).

        Returns
        -------
        Tensor, (..., h, w) float32
        """
        piece = self._cut(maps.float(), corner, value)
        return F.avg_pool2d(piece, self.reduction) if self.reduction > 1 else piece

    def cut_labels(self, labels: Tensor, corner: tuple[int, int], value: int) -> Tensor:
        """Cut a frame out of labels; a reduced one shows its middle pixels' labels.

        Parameters
        ----------
        labels : Tensor, (B, H, W)
        corner : tuple of int
            One of `corners`.
        value : int
            What stands outside of the slice.

        Returns
        -------
        Tensor, (B, h, w)
            Of the type of `labels`.
        """
        piece = self._cut(labels, corner, value)
        middle = self.reduction // 2
        return piece[..., middle :: self.reduction, middle :: self.reduction]

    def _cut(self, maps: Tensor, corner: tuple[int, int], value: float | None) -> Tensor:
        (h, w), (top, left) = self.size, corner
        piece = maps[..., top : top + h, left : left + w]
        pad = (0, w - piece.shape[-1], 0, h - piece.shape[-2])
        if not any(pad):
            return piece
        if value is None:
            return F.pad(piece, pad, mode="replicate")
        return F.pad(piece, pad, value=value)

    def paste(self, pieces: list[Tensor], height: int, width: int) -> Tensor:
        """Put probabilities of the frames together at full resolution; background elsewhere.

        Where frames overlap, each counts the more the farther its own edge is. At the very edge
        what a network says is not looked at, see `BLIND`.

        Parameters
        ----------
        pieces : list of Tensor, (B, K, h, w)
            One for each corner, as large as `cut` makes them.
        height, width : int
            Size of the slice.

        Returns
        -------
        Tensor, (B, K, height, width) float32
        """
        h, w = self.size
        b, k = pieces[0].shape[:2]
        total = torch.zeros(b, k, height, width)
        weight = torch.zeros(height, width)
        ramp = torch.ones(h, w)
        if len(pieces) > 1:
            ramp = torch.outer(*(_hat(n, BLIND * self.reduction) for n in (h, w)))
        for piece, (top, left) in zip(pieces, self.corners, strict=True):
            rows, columns = min(h, height - top), min(w, width - left)
            part = ramp[:rows, :columns]
            seen = piece[..., BLIND:-BLIND, BLIND:-BLIND].float()
            piece = F.pad(seen, (BLIND,) * 4, mode="replicate")
            if self.reduction > 1:
                piece = F.interpolate(piece, self.size, mode="bilinear", align_corners=False)
            total[..., top : top + rows, left : left + columns] += (
                piece[..., :rows, :columns] * part
            )
            weight[top : top + rows, left : left + columns] += part
        total[:, 0] += (weight == 0).float()
        return total / weight.masked_fill(weight == 0, 1.0)


def _reduction(lengths: list[int], detail: float) -> int:
    """Halve the resolution while the frame stays large and the thinnest structure visible."""
    reduction = 1
    while lengths[0] * lengths[1] > ENOUGH * reduction**2 and detail >= 2 * reduction * THINNEST:
        reduction *= 2
    return reduction


def _up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _hat(n: int, blind: int) -> Tensor:
    edge = torch.arange(n, dtype=torch.float32)
    hat = torch.minimum(edge, edge.flip(0)) + 1
    return hat.where(hat > blind, 1e-6)  # only where no other frame sees more


def _spans(foreground: Tensor, ink: Tensor, margin: int) -> list[tuple[int, int]]:
    """Return the first row and column of the object with a margin, and those behind the last."""
    mask = (foreground > 0.5).any(0) | inked_objects(ink)
    spans = []
    for line, length in ((mask.any(1), mask.shape[0]), (mask.any(0), mask.shape[1])):
        where = torch.nonzero(line).flatten()
        low, high = (int(where[0]), int(where[-1]) + 1) if len(where) else (0, length)
        spans.append((max(0, low - margin), min(length, high + margin)))
    return spans


def _starts(span: tuple[int, int], side: int, length: int) -> list[int]:
    """Return starts of frames of a side that cover a span, overlapping by a quarter at least."""
    low, high = span
    if high - low <= side:
        middle = (low + high - side) // 2
        return [max(0, min(middle, max(length - side, 0)))]
    count = 1 + -(-(high - low - side) // max(1, 3 * side // 4))
    return [round(low + i * (high - low - side) / (count - 1)) for i in range(count)]
