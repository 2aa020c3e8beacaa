"""SemSim's spatial-aware fusion module (SFM): encoder scales meet inside windows.

Features for affinities and prototypes need both fine position and deep meaning. Windows over the
same image area of three encoder scales are put side by side as tokens, attended to jointly, folded
back and merged at the middle scale (arXiv 2410.13486, Eqs. 14 to 17).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_GRID = 7
LARGEST_WINDOW = 4


def to_windows(maps: Tensor, rows: int, columns: int) -> Tensor:
    """Cut maps into windows of tokens (Eq. 14).

    Parameters
    ----------
    maps
        ``(B, D, H, W)``.
    rows, columns
        Number of windows along height and width, which they divide.

    Returns
    -------
    Tensor
        ``(B * rows * columns, H / rows * W / columns, D)``, windows and tokens in row-major order.
    """
    b, d, h, w = maps.shape
    x = maps.view(b, d, rows, h // rows, columns, w // columns)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b * rows * columns, -1, d)


def from_windows(tokens: Tensor, rows: int, columns: int, size: tuple[int, int]) -> Tensor:
    """Invert `to_windows` (Eq. 16).

    Parameters
    ----------
    tokens
        ``(B * rows * columns, N, D)``, those of each window in row-major order.
    rows, columns
        Number of windows along height and width.
    size
        Height and width of the maps, which `rows` and `columns` divide.

    Returns
    -------
    Tensor
        ``(B, D, *size)``.
    """
    h, w = size
    d = tokens.shape[-1]
    x = tokens.reshape(-1, rows, columns, h // rows, w // columns, d)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(-1, d, h, w)


def window_grid(length: int, largest: int = LARGEST_GRID) -> tuple[int, int]:
    """Choose the number of windows along one axis of the coarsest map.

    A window holds at most `LARGEST_WINDOW` cells of the coarsest map a side, as with the published
    7 windows over 28 cells, so that the cost of attention stays linear in the image.

    Parameters
    ----------
    length
        Cells of the coarsest map along the axis, at least 1.
    largest
        Most windows on axes of at most ``largest * LARGEST_WINDOW`` cells.

    Returns
    -------
    windows : int
        The largest divisor of `padded` that is at most `largest`; on axes too long for that number
        as many windows of `LARGEST_WINDOW` as it takes.
    padded : int
        `length`, or a little more where no such number of windows divides it.
    """
    if length > largest * LARGEST_WINDOW:
        windows = -(-length // LARGEST_WINDOW)
        return windows, windows * LARGEST_WINDOW

    def divisor(n: int) -> int:
        return max(s for s in range(1, largest + 1) if n % s == 0)

    padded = length
    while padded > LARGEST_WINDOW * divisor(padded):
        padded += 1
    return divisor(padded), padded


class SpatialFusion(nn.Module):
    """Fuse stages 2, 3 and 4 of the encoder into one map at the resolution of stage 3.

    Parameters
    ----------
    in_channels
        Channels of the three stages, finest first, each half the size of the one before.
    width
        Channels inside and of the result.
    heads, mlp_ratio
        Of the one pre-norm transformer block; by default one head for 32 channels, or a few fewer,
        so that `width` can be shared between them. With the defaults the module has 785 024
        parameters, which fits the 0.79 M of the paper, where neither is stated. Tokens carry no
        embedding of their position, which that size leaves no room for and the paper does not
        mention.
    largest_grid
        Windows a side; 7 divides the 28 of a 224-pixel input. See `window_grid` for other sizes.
    windows
        Exactly so many windows a side, whatever the size of the input; None chooses. The paper
        leaves the number open; on its 28 cells 1, 2, 4, 7, 14 and 28 are possible.

    Raises
    ------
    ValueError
        When there are not three stages, or `heads` does not divide `width`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (32, 64, 128),
        width: int = 128,
        heads: int | None = None,
        mlp_ratio: int = 3,
        largest_grid: int = LARGEST_GRID,
        windows: int | None = None,
    ) -> None:
        super().__init__()
        if len(in_channels) != 3:
            raise ValueError("the fusion takes exactly three encoder stages")
        self.largest_grid, self.windows = largest_grid, windows
        if heads is None:
            heads = max(n for n in range(1, max(1, width // 32) + 1) if width % n == 0)
        elif heads < 1 or width % heads:
            raise ValueError(f"{heads} heads cannot share the {width} channels of the fusion alike")
        self.align = nn.ModuleList(nn.Conv2d(c, width, 1) for c in in_channels)
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width)
        )
        self.merge = nn.Sequential(
            nn.Conv2d(3 * width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )

    def interact(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Let the three aligned scales attend to each other inside windows (Eqs. 14 to 16).

        Parameters
        ----------
        maps
            Three of ``(B, width, h, w)``, each half the size of the one before.

        Returns
        -------
        list of Tensor
            Maps of the same shapes.
        """
        h, w = maps[-1].shape[-2:]
        (rows, tall), (columns, wide) = (self._grid(n) for n in (h, w))
        sizes = [(tall * f, wide * f) for f in (4, 2, 1)]
        padded = [_extend(m, size) for m, size in zip(maps, sizes, strict=True)]
        windows = [to_windows(m, rows, columns) for m in padded]
        tokens = torch.cat(windows, dim=1)
        query = self.norm1(tokens)
        tokens = tokens + self.attention(query, query, query, need_weights=False)[0]
        tokens = tokens + self.mlp(self.norm2(tokens))
        parts = tokens.split([t.shape[1] for t in windows], dim=1)
        folded = (from_windows(t, rows, columns, s) for t, s in zip(parts, sizes, strict=True))
        return [f[..., : m.shape[-2], : m.shape[-1]] for f, m in zip(folded, maps, strict=True)]

    def _grid(self, length: int) -> tuple[int, int]:
        if self.windows is None:
            return window_grid(length, self.largest_grid)
        return self.windows, -(-length // self.windows) * self.windows

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Return the fused map (Eq. 17).

        Parameters
        ----------
        stages
            Three maps ``(B, in_channels[l], h_l, w_l)``, each with half the sides of the one
            before.

        Returns
        -------
        Tensor
            ``(B, width, h, w)`` at the size of the second, non-negative.
        """
        aligned = [conv(s) for conv, s in zip(self.align, stages, strict=True)]
        fine, middle, coarse = self.interact(aligned)
        size = (middle.shape[-2], middle.shape[-1])
        resized = [
            F.interpolate(m, size, mode="bilinear", align_corners=False) for m in (fine, coarse)
        ]
        return self.merge(torch.cat([resized[0], middle, resized[1]], dim=1))


class SimpleFusion(nn.Module):
    """The reduced variant SemSim-: a 1x1 convolution of stage 3, for a quarter of the cost.

    Parameters as in `SpatialFusion`; only the middle stage is used.
    """

    def __init__(self, in_channels: Sequence[int] = (32, 64, 128), width: int = 128) -> None:
        super().__init__()
        self.project = nn.Sequential(
            nn.Conv2d(in_channels[1], width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )

    def forward(self, stages: Sequence[Tensor]) -> Tensor:
        """Return ``(B, width, h, w)``, non-negative, at the size of the second of three stages.

        Parameters
        ----------
        stages
            As in `SpatialFusion.forward`.
        """
        return self.project(stages[1])


def _extend(maps: Tensor, size: tuple[int, int]) -> Tensor:
    bottom, right = size[0] - maps.shape[-2], size[1] - maps.shape[-1]
    if bottom == 0 and right == 0:
        return maps
    return F.pad(maps, (0, right, 0, bottom), mode="replicate")
