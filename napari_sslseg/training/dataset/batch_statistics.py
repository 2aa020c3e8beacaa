"""Batch statistics of averaged weights, measured on the images as they will be predicted.

An average of weights is a network that was never trained: the running statistics of the weights
that went into it are not its own (Izmailov et al., UAI 2018, measure them anew for that reason).
Those of training also mix strong views, features with dropped channels and weak views, none of
which looks like an image to be predicted.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ...methods.frameworks.base import Framework
from ...methods.frameworks.modes import without_dropout
from ...methods.networks import pad_to_multiple


@torch.no_grad()
def measure_statistics(model: Framework, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics that predictions use by plain means over batches of images.

    Parameters
    ----------
    model
        On the device of the batches. Layers that no prediction goes through are left as they are,
        and so is the mode.
    batches
        Images ``(B, C, H, W)`` or volumes, on the device; nothing is measured without any.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    modes = {m: m.training for m in model.modules()}
    momenta = [norm.momentum for norm in norms]
    used: list[_BatchNorm] | None = None
    model.train()
    with without_dropout(model):
        for images in batches:
            padded = pad_to_multiple(images, model.network.stride, 2 * model.network.stride)
            if used is None:
                used = _used(model, norms, padded)
                for norm in used:
                    norm.reset_running_stats()
                    norm.momentum = None  # a plain mean over all that follows
            model.predict_padded(padded)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, training in modes.items():
        module.training = training


def _used(model: Framework, norms: list[_BatchNorm], images: Tensor) -> list[_BatchNorm]:
    """Return the layers that a prediction goes through."""
    counts = [int(norm.num_batches_tracked) for norm in norms]  # type: ignore[arg-type]
    model.predict_padded(images)
    pairs = zip(norms, counts, strict=True)
    return [norm for norm, count in pairs if int(norm.num_batches_tracked) > count]  # type: ignore[arg-type]
