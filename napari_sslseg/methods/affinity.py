"""SemSim within one image: predictions spread along feature affinities.

Two pixels whose fused features point the same way should have the same class. The affinity of a
pixel to all others is a softmax over cosines, and the prediction is corrected by the affinity
weighted mean of all predictions (arXiv 2410.13486, Eqs. 4 and 5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .label_space import LabelSpace

DEFAULT_TEMPERATURE = 0.1

#: Affinities held at a time: half a gigabyte, which 8 images on the published grid of 56 just fit.
BLOCK = 2**27

Axis = Literal["source", "output"]

#: Nothing is drawn in a block, so no state of a generator need be kept: a device would be waited
#: for to read it.
_RECOMPUTED: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}


def _normalise(features: Tensor) -> Tensor:
    return F.normalize(features.float().flatten(2), dim=1)


def spread(
    values: Tensor,
    features: Tensor,
    temperature: float = DEFAULT_TEMPERATURE,
    block: int = BLOCK,
    axis: Axis = "source",
) -> Tensor:
    """Return the affinity-weighted means of `values`, ``I(p) M`` in the notation of the paper.

    Row i of the affinities ``M = softmax(cos / temperature)`` (Eq. 4) holds the weights with which
    pixel i reads the others; it sums to 1.

    Parameters
    ----------
    values
        ``(B, C, h, w)``, on the grid of `features`.
    features
        ``(B, D, h, w)`` fused features.
    temperature
        Divides the cosines. The published formula has none (1.0), but after a ReLU cosines lie in
        [0, 1], so that weights then differ by a factor of e at most and every pixel reads nearly
        the mean of the whole image. 0.1 separates classes.
    block
        Affinities held at a time, of all images together. Where there are more, the matrix of all
        pairs exists only block by block, in the backward pass too, so that memory is bounded
        whatever the size of the images.
    axis
        Over what the softmax of the affinities runs, which the paper leaves open. ``"source"``:
        over the pixels that are read, so that what a pixel reads is a mean. ``"output"``: the
        product as printed, with rows that sum to one multiplied from the left: each pixel gives
        away a mass of one, and pixels that many resemble receive more than one.

    Returns
    -------
    Tensor
        ``(B, C, h, w)`` float32; with ``"source"`` each pixel is a convex combination of `values`.

    Raises
    ------
    ValueError
        When the two grids differ, or for an unknown axis.
    """
    if values.shape[2:] != features.shape[2:]:
        raise ValueError(
            f"maps of {tuple(values.shape[2:])} and {tuple(features.shape[2:])} differ"
        )
    # Cosines are divided by a small temperature: half precision would be amplified.
    with torch.autocast(features.device.type, enabled=False):
        pixels = features.shape[-2] * features.shape[-1]
        rows = max(1, block // max(pixels * features.shape[0], 1))
        if axis == "output":
            return _give(values, features, temperature, rows)
        if axis != "source":
            raise ValueError(f"unknown axis {axis!r}")
        return _spread(values, features, temperature, rows)


def _spread(values: Tensor, features: Tensor, temperature: float, rows: int) -> Tensor:
    f = _normalise(features)
    p = values.float().flatten(2)

    def read(query: Tensor, keys: Tensor, content: Tensor) -> Tensor:
        weights = (query.transpose(1, 2) @ keys / temperature).softmax(-1)
        return content @ weights.transpose(1, 2)

    n = f.shape[-1]
    if n <= rows:
        return read(f, f, p).view_as(values)
    parts = [
        checkpoint(read, f[..., i : i + rows], f, p, **_RECOMPUTED)
        if torch.is_grad_enabled()
        else read(f[..., i : i + rows], f, p)
        for i in range(0, n, rows)
    ]
    return torch.cat(parts, dim=-1).view_as(values)


def _give(values: Tensor, features: Tensor, temperature: float, rows: int) -> Tensor:
    f = _normalise(features)
    p = values.float().flatten(2)

    def mass(query: Tensor, keys: Tensor) -> Tensor:
        return (query.transpose(1, 2) @ keys / temperature).logsumexp(-1)

    def receive(query: Tensor, keys: Tensor, content: Tensor, norm: Tensor) -> Tensor:
        weights = (query.transpose(1, 2) @ keys / temperature - norm[:, None]).exp()
        return content @ weights.transpose(1, 2)

    def each(function: Callable[..., Tensor], *rest: Tensor) -> Tensor:
        blocks = [f[..., i : i + rows] for i in range(0, f.shape[-1], rows)]
        if len(blocks) > 1 and torch.is_grad_enabled():
            parts = [checkpoint(function, b, *rest, **_RECOMPUTED) for b in blocks]
        else:
            parts = [function(b, *rest) for b in blocks]
        return torch.cat(parts, -1)

    return each(receive, f, p, each(mass, f)).view_as(values)


def rectify(
    logits: Tensor,
    features: Tensor,
    temperature: float = DEFAULT_TEMPERATURE,
    at: Literal["features", "logits"] = "features",
    block: int = BLOCK,
    axis: Axis = "source",
    smoothed: bool = True,
    space: LabelSpace | None = None,
) -> Tensor:
    """Add to the logits what similar pixels of the same image say (Eq. 5).

    Parameters
    ----------
    logits
        ``(B, C, H, W)`` of the decoder.
    features
        ``(B, D, h, w)`` fused features of the same image.
    temperature, block, axis
        See `spread`.
    at
        Resolution of the result. ``"features"``: both terms on the grid of `features`, as in the
        paper. ``"logits"``: the correction is resized and added to the logits as they are, which
        keeps the fine borders of the decoder.
    smoothed
        See `resize`.
    space
        Probabilities are spread, and their sum divided by its total, instead of logits; this tells
        what they are.

    Returns
    -------
    Tensor
        Rectified logits, ``(B, C, h, w)`` or ``(B, C, H, W)``.
    """
    own = resize(logits.float(), (features.shape[-2], features.shape[-1]), smoothed)
    values = own if space is None else space.probabilities(own)
    correction = spread(values, features, temperature, block, axis)
    if at == "logits":
        values = logits.float() if space is None else space.probabilities(logits)
        correction = resize(correction, (logits.shape[-2], logits.shape[-1]))
    total = values + correction
    if space is None:
        return total
    return space.logits(total / (2 if space.overlapping else total.sum(1, keepdim=True)))


def resize(maps: Tensor, size: tuple[int, int], smoothed: bool = True) -> Tensor:
    """Resize maps bilinearly.

    Parameters
    ----------
    maps
        ``(B, C, H, W)`` float.
    size
        Height and width, pixels.
    smoothed
        Smooth first where a side shrinks, so that each pixel counts. Without, it is the plain I of
        Eq. 5, which to a quarter of the sides reads four pixels of each sixteen.

    Returns
    -------
    Tensor
        ``(B, C, *size)``; `maps` itself where they have that size.
    """
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    shrinks = smoothed and (size[0] < maps.shape[-2] or size[1] < maps.shape[-1])
    return F.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=shrinks)


def limit_grid(maps: Tensor, side: int) -> Tensor:
    """Shrink maps by area averaging so that their longer side is at most `side`.

    Parameters
    ----------
    maps
        ``(B, C, h, w)`` float.
    side
        Cells, at least 1.

    Returns
    -------
    Tensor
        ``(B, C, h', w')`` with the sides in proportion; `maps` itself where they are small enough.
    """
    height, width = maps.shape[-2:]
    longest = max(height, width)
    if longest <= side:
        return maps
    size = (max(1, round(height * side / longest)), max(1, round(width * side / longest)))
    return F.adaptive_avg_pool2d(maps, size)
