"""MetaSSL written down from its formulas, apart from the code that the tests look at."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FALLING = [math.exp(-((k * 0.6) ** 3)) for k in range(4)]
"""Weights of UC, US, DC and DS without annotation."""
SLOWLY = [math.exp(-((k * 0.3) ** 3)) for k in range(4)]
"""Weights with annotation in the released order, UC > US > DC > DS."""
ANNOTATED = [SLOWLY[0], SLOWLY[1], SLOWLY[3], SLOWLY[2]]
"""Weights with annotation as the paper has them: a confident contradiction counts least."""


def thresholds(probs: Tensor, annotation: Tensor | None = None, released: bool = False) -> Tensor:
    """Return the thresholds ``(K,)`` after the first batch of a prediction ``(B, K, ...)``.

    With an annotation, of its pixels alone.
    """
    confidence, classes = probs.max(1)
    if annotation is not None:
        confidence, classes = confidence[annotation != 255], classes[annotation != 255]
    values = []
    for c in range(probs.shape[1]):
        members = confidence[classes == c]
        mean = members.sum().item() / (members.numel() + 1)
        values.append(0.5 * mean + 0.45 if members.numel() or released else 0.9)
    return torch.tensor(values)


def masks(reference: Tensor, compared: Tensor, limits: Tensor) -> list[Tensor]:
    """Return the masks of UC, US, DC and DS, given class ids to agree with."""
    confidence, classes = reference.max(1)
    sure, same = confidence > limits[classes], classes == compared
    return [same & sure, same & ~sure, ~same & sure, ~same & ~sure]


def pixels(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of each pixel, without meaning where there is no target."""
    rows = torch.where(target == 255, 0, target).long()[:, None]
    return -logits.log_softmax(1).gather(1, rows)[:, 0]


def weight_map(logits: Tensor, target: Tensor, found: list[Tensor], weights: list[float]) -> Tensor:
    """Return sum(w CE) / sum(w) over the pixels with a target; none of the regions is empty."""
    assert all(bool(m.any()) for m in found)
    weight = sum(w * m.float() for w, m in zip(weights, found, strict=True)) * (target != 255)
    return (weight * pixels(logits, target)).sum() / weight.sum()


def region_means(
    logits: Tensor, target: Tensor, found: list[Tensor], weights: list[float], stated: Tensor
) -> Tensor:
    """Return the sum of w times the mean of each region, UC in two halves.

    They are its foreground and its background by what the reference states.
    """
    assert all(bool(m.any()) for m in found)
    unanimous, *others = (m & (target != 255) for m in found)
    parts = [unanimous & (stated > 0), unanimous & (stated == 0), *others]
    ce = pixels(logits, target)
    means = [ce[m].sum() / (m.sum() + 1) for m in parts]
    return sum(w * mean for w, mean in zip([weights[0], *weights], means, strict=True))


def sharpen(*classifiers: nn.Module) -> None:
    """Make fresh networks sure of some pixels and not of others, in all classes."""
    with torch.no_grad():
        for last in classifiers:
            last.weight.mul_(6)
            last.bias.zero_()


def watch(module: nn.Module) -> list[Tensor]:
    """Return a list that fills with what a layer or a network puts out; gradients are kept."""
    seen: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        if output.requires_grad:
            output.retain_grad()
        seen.append(output)

    module.register_forward_hook(keep)
    return seen
