"""Networks in another mode for a while: evaluation, or training without dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode, and each part of it back to its own mode afterwards."""
    modes = {m: m.training for m in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for m, training in modes.items():
            m.training = training


@contextmanager
def without_dropout(module: nn.Module) -> Iterator[None]:
    """Switch dropout off but leave batch normalisation as it is.

    A prediction that teaches should not be noisy, yet must see features normalised like those of
    the prediction that learns.
    """
    kinds = (nn.Dropout, nn.Dropout2d, nn.Dropout3d)
    layers = [m for m in module.modules() if isinstance(m, kinds) and m.training]
    for m in layers:
        m.eval()
    try:
        yield
    finally:
        for m in layers:
            m.train()
