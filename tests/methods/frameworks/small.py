"""Small frameworks on images that stay as they are, and where gradient went."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from napari_sslseg.methods.augment import StrongAugmentation, WeakAugmentation
from napari_sslseg.methods.frameworks import Framework, create

SMALL = {"channels": (4, 8, 8, 16), "dropout": (0.0,) * 4}
STILL = WeakAugmentation(flip=0, quarter_turns=0, free=0)
CALM = StrongAugmentation(jitter=0, blur=0, cutmix=0)


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
