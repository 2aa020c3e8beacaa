"""Points in long work at which it may be made to wait, or be stopped.

Work on a whole volume passes one every slice or so, deep inside of what knows nothing of who asked
for it, and in several threads. What happens there is said by who runs it (`checked`); by itself,
nothing. Every layer of a network is a check-point too, forward and backward: a training step of
large frames takes a good part of a second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_hook

_checks: list[Callable[[], object]] = []


def check_point() -> None:
    """Wait as long as is wanted; raises what the check raises, to stop the work."""
    if _checks:
        _checks[-1]()


@contextlib.contextmanager
def checked(check: Callable[[], object]) -> Iterator[None]:
    """Have every check-point of this process call `check`, from whatever thread it is passed in.

    Parameters
    ----------
    check
        What it raises comes out of the work that passes the point. Of several at a time, the one
        that was set last is called alone.
    """
    _checks.append(check)
    layers = register_module_forward_hook(_after_layer)
    try:
        yield
    finally:
        layers.remove()
        _checks.remove(check)


def _after_layer(module: torch.nn.Module, inputs: Any, output: Any) -> None:
    """Pass a check-point after a layer, and when its gradient comes back."""
    # A GPU is fed ahead of what it computes: there is nothing to wait for between layers.
    if not isinstance(output, torch.Tensor) or output.device.type != "cpu":
        return
    check_point()
    if output.requires_grad:
        output.register_hook(_with_gradient)


def _with_gradient(gradient: torch.Tensor) -> None:
    check_point()
