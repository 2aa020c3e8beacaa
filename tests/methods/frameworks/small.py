"""Small frameworks on images that stay as they are, and where gradient went."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_sslseg.methods.augment import StrongAugmentation, WeakAugmentation
from napari_sslseg.methods.augment_cutmix import CutMix
from napari_sslseg.methods.frameworks import Batch, Framework, create

SMALL = {"channels": (4, 8, 8, 16), "dropout": (0.0,) * 4}
STILL = WeakAugmentation(flip=0, quarter_turns=0, free=0)
CALM = StrongAugmentation(jitter=0, blur=0, cutmix=0)
LIVELY = StrongAugmentation(jitter=1, blur=1, cutmix=1, area=(0.2, 0.4))


def small(name: str, **options: Any) -> Framework:
    """Return a framework of one input channel and three classes."""
    torch.manual_seed(0)
    if name in ("semsim", "combined"):
        options.setdefault("fusion_width", 16)
    return create(name, 1, 3, **{**SMALL, "weak": STILL, **options})


def generator(seed: int = 0) -> torch.Generator:
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


def touched(module: nn.Module) -> bool:
    """Whether any gradient reached a module."""
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    return any(bool(g.abs().sum() > 0) for g in grads)


def watched(
    framework: Framework, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Tensor], list[CutMix]]:
    """Return lists to which a step adds the images whose intensities it changed, and its boxes."""
    changed, boxes = [], []
    change, draw = framework.strong_view, framework.cutmix

    def spy_change(images: Tensor, generator: torch.Generator) -> Tensor:
        changed.append(change(images, generator))
        return changed[-1]

    def spy_draw(images: Tensor, generator: torch.Generator) -> CutMix:
        boxes.append(draw(images, generator))
        return boxes[-1]

    monkeypatch.setattr(framework, "strong_view", spy_change)
    monkeypatch.setattr(framework, "cutmix", spy_draw)
    return changed, boxes


def pasted(maps: Tensor, box: CutMix) -> Tensor:
    """Return maps ``(B, ..., h, w)`` with their boxes filled from their partners, one by one."""
    step = box.mask.shape[-1] // maps.shape[-1]
    inside = box.mask[:, step // 2 :: step, step // 2 :: step]
    result = maps.clone()
    for i, partner in enumerate(box.partner.tolist()):
        result[i][..., inside[i]] = maps[partner][..., inside[i]]
    return result


def outspoken(framework: Framework, batch: Batch) -> Framework:
    """Give a network, untrained, features and predictions that differ between pixels.

    Statistics are those of a batch, and stay. Probabilities lie on both sides of 0.5.
    """
    for layer in framework.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    framework.losses(batch, 1.0, generator())
    classifier = framework.network.classifier
    with torch.no_grad():
        classifier.weight.sub_(classifier.weight.mean((2, 3), keepdim=True)).mul_(4)
        classifier.bias.zero_()
    return framework.eval()
