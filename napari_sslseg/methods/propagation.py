"""Reference-guided labels inside one volume: windowed matching from slice to slice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .ink_completion import NOT_ANNOTATED, complete_ink
from .slice_features import slice_features, standardise


@dataclass(frozen=True)
class PropagationConfig:
    """Settings of `propagate`; the defaults serve every kind of volume."""

    radius: int = 4
    temperature: float = 0.02
    distance_penalty: float = 0.02
    dimensions: int = 10
    scales: tuple[float, ...] = (0.0, 1.0, 2.0)
    margin: float = 0.25


@dataclass
class Propagation:
    """What `propagate` returns; first axis is the slicing axis."""

    probabilities: torch.Tensor
    """(Z, classes, H, W) float32, sums to 1."""
    confidence: torch.Tensor
    """(Z, H, W) float32 in [0, 1]; 1 where inked."""
    agreement: torch.Tensor
    """(Z, H, W) float32 in [0, 1]: overlap of the reads from either side; 1 where one-sided."""


def propagate(
    image: torch.Tensor,
    ink: torch.Tensor,
    classes: int,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    config: PropagationConfig | None = None,
    progress: Callable[[float], None] | None = None,
    features: torch.Tensor | None = None,
    device: torch.device | str | None = None,
    previous: Propagation | None = None,
    changed: Sequence[int] | None = None,
) -> Propagation:
    """Carry the labels of a few inked slices through the volume."""
    config = config or PropagationConfig()
    image = image.to(device or image.device)
    ink = ink.to(image.device)
    depth, _, height, width = image.shape
    inked = (ink != NOT_ANNOTATED).flatten(1).any(1)
    anchors = torch.nonzero(inked).flatten().tolist()
    if not anchors:
        raise ValueError("Nothing is inked: label at least one slice before propagating.")
    rows, columns = _region(ink, config.margin)
    crop_ink = ink[:, rows, columns]
    crop = standardise(image)[..., rows, columns]
    if features is None:
        features = slice_features(crop, config.dimensions, config.scales)
    else:
        features = features.to(image.device).float()[..., rows, columns]
    h, w = crop.shape[-2:]
    soft = torch.zeros((depth, classes, h, w), device=image.device)
    agreement = torch.ones((depth, h, w), device=image.device)
    for z in anchors:
        soft[z] = complete_ink(features[z], crop_ink[z], classes)
    offsets = _offsets(config.radius)
    done = 0

    def carry(start: int, stop: int) -> dict[int, torch.Tensor]:
        nonlocal done
        step = 1 if stop > start else -1
        result, labels = {}, soft[start]
        for z in range(start + step, stop, step):
            labels = _read(features[z], features[z - step], labels, offsets, config)
            result[z] = labels
            done += 1
            if progress is not None:
                progress(min(1.0, done / (2 * depth)))
        return result

    for a, b in zip(anchors[:-1], anchors[1:], strict=True):
        ahead, back = carry(a, b), carry(b, a)
        for z in range(a + 1, b):
            t = (z - a) / (b - a)
            soft[z] = (1 - t) * ahead[z] + t * back[z]
            agreement[z] = (ahead[z] * back[z]).sum(0)
    for z, labels in carry(anchors[0], -1).items():
        soft[z] = labels
    for z, labels in carry(anchors[-1], depth).items():
        soft[z] = labels

    soft = soft / soft.sum(1, keepdim=True)
    probabilities = torch.zeros((depth, classes, height, width), device=image.device)
    probabilities[:, 0] = 1
    probabilities[..., rows, columns] = soft
    known = ink != NOT_ANNOTATED
    exact = F.one_hot(torch.where(known, ink, 0).long(), classes).permute(0, 3, 1, 2).float()
    probabilities = torch.where(known[:, None], exact, probabilities)
    full_agreement = torch.ones((depth, height, width), device=image.device)
    full_agreement[:, rows, columns] = agreement
    if progress is not None:
        progress(1.0)
    return Propagation(probabilities, probabilities.amax(1), full_agreement)


def _region(ink: torch.Tensor, margin: float) -> tuple[slice, slice]:
    obj = ((ink != 0) & (ink != NOT_ANNOTATED)).any(0)
    if not bool(obj.any()):
        obj = torch.ones_like(obj)
    result = []
    for used, size in ((obj.any(1), obj.shape[0]), (obj.any(0), obj.shape[1])):
        where = torch.nonzero(used).flatten()
        low, high = int(where[0]), int(where[-1])
        pad = max(12, math.ceil(margin * (high - low)))
        result.append(slice(max(0, low - pad), min(size, high + pad + 1)))
    return result[0], result[1]


def _offsets(radius: int) -> list[tuple[int, int]]:
    span = range(-radius, radius + 1)
    return [(y, x) for y in span for x in span if y * y + x * x <= (radius + 0.5) ** 2]


def _read(
    query: torch.Tensor,
    key: torch.Tensor,
    labels: torch.Tensor,
    offsets: list[tuple[int, int]],
    config: PropagationConfig,
) -> torch.Tensor:
    r = config.radius
    _, h, w = query.shape
    padded = F.pad(key[None], (r, r, r, r), mode="replicate")[0]
    padded_labels = F.pad(labels[None], (r, r, r, r), mode="replicate")[0]
    logits = torch.empty((len(offsets), h, w), device=query.device)
    for i, (y, x) in enumerate(offsets):
        torch.sum((query - padded[:, r + y : r + y + h, r + x : r + x + w]).square_(), 0, out=logits[i])
        logits[i].mul_(-1 / config.temperature).sub_(config.distance_penalty * (y * y + x * x))
    weights = torch.softmax(logits, 0)
    result = torch.zeros_like(labels)
    for i, (y, x) in enumerate(offsets):
        result.addcmul_(weights[i], padded_labels[:, r + y : r + y + h, r + x : r + x + w])
    return result
