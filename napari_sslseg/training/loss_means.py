"""Mean losses over some steps, summed on the device that trains and fetched once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class LossMeans:
    """Sums the losses of steps until they are asked for.

    Steps whose total is not finite teach nothing, and do not count unless there are no others.
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._missed: Tensor | int = 0
        self.count = 0

    def add(self, parts: Mapping[str, Tensor]) -> None:
        """Take in the losses of a step, scalars; ``"total"`` is one, and a missing part is zero."""
        missed = ~parts["total"].detach().isfinite()
        self._missed = self._missed + missed
        for name, value in parts.items():
            held = self._sums.get(name)
            value = value.detach().float().masked_fill(missed, 0)
            self._sums[name] = value if held is None else held + value
        self.count += 1

    def take(self) -> dict[str, float]:
        """Return the means and begin anew; waits once for the device, however many there are.

        They are no numbers when no step was finite. Something has to have been added.
        """
        names = list(self._sums)
        means = torch.stack([self._sums[n] for n in names]) / (self.count - self._missed)
        self._sums, self._missed, self.count = {}, 0, 0
        return dict(zip(names, means.tolist(), strict=True))

    def state(self) -> dict[str, Any]:
        """Return the sums so far."""
        return {"sums": dict(self._sums), "missed": self._missed, "count": self.count}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on, on a device, as where `state` was taken."""
        self._sums = {name: value.to(device) for name, value in state["sums"].items()}
        self._missed = torch.as_tensor(state["missed"], device=device)
        self.count = int(state["count"])
