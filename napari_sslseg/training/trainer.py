"""The training loop: steps until the time is up, an average of the weights to predict with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ..methods.frameworks.base import Batch, Framework, PredictOutput, without_dropout
from .clock import Clock
from .control import Control
from .events import Emit, Loss
from .plan import Plan
from .sampler import Sampler
from .stack import SliceStack

#: Seconds between two loss messages; also how often the device is waited for.
REPORT_EVERY = 0.5


class Source(Protocol):
    """What batches come from."""

    def draw(self) -> Batch:
        """Return the next batch."""


class Trainer:
    """Trains one framework on one volume.

    Parameters
    ----------
    framework : Framework
        On the plan's device.
    plan : Plan
    clock : Clock
    control : Control
    emit : callable
        Receives `Loss` events.
    seed : int
    """

    def __init__(
        self,
        framework: Framework,
        plan: Plan,
        clock: Clock,
        control: Control,
        emit: Emit,
        seed: int,
    ) -> None:
        # Channels-last is what convolutions are fastest in, on processors and GPUs alike.
        planar = framework.config.network == "unet"
        layout = torch.channels_last if planar else torch.channels_last_3d
        self.framework = framework.to(memory_format=layout)  # type: ignore[call-overload]
        self.plan = plan
        self._clock, self._control, self._emit = clock, control, emit
        self.generator = torch.Generator(device=plan.device).manual_seed(seed)
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            framework.parameters(), lr=plan.learning_rate, weight_decay=1e-4
        )
        # Averaged weights predict better than the last ones when training is short and noisy.
        self.averaged = AveragedModel(
            framework, multi_avg_fn=get_ema_multi_avg_fn(0.98), use_buffers=True
        )
        self.step = 0

    def run(
        self,
        sampler: Sampler,
        until: float,
        warm: bool,
        each_report: Callable[[float], None],
        max_steps: int | None = None,
    ) -> None:
        """Train until the clock shows `until` seconds.

        Parameters
        ----------
        sampler : Sampler
        until : float
            Time on the clock, seconds.
        warm : bool
            The model has been trained before: no warm-up of the loss terms.
        each_report : callable
            Called about twice a second with the share of this stage that is done.
        max_steps : int, optional
            Stop after so many steps, whatever the clock says (for tests that must repeat exactly).

        Raises
        ------
        Cancelled
            When the user cancels.
        """
        begin = self._clock.spent
        span = max(until - begin, 1e-3)
        first, reported = self.step, time.monotonic()
        sums: dict[str, Tensor] = {}
        count = 0
        self.framework.train()
        while True:
            self._control.check()
            share = min(1.0, (self._clock.spent - begin) / span)
            if max_steps is not None:
                share = min(1.0, (self.step - first) / max(max_steps, 1))
            if share >= 1.0:
                break
            self._set_rate(share, warm)
            parts = self._one_step(sampler, share, warm)
            count += 1
            for name, value in parts.items():
                sums[name] = sums.get(name, torch.zeros((), device=value.device)) + value.detach()
            if time.monotonic() - reported >= REPORT_EVERY:
                reported = time.monotonic()
                self._report(sums, count)
                sums, count = {}, 0
                each_report(share)
        if count:
            self._report(sums, count)
        each_report(1.0)

    def _one_step(self, sampler: Source, share: float, warm: bool) -> dict[str, Tensor]:
        batch = sampler.draw()
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.plan):
            parts = self.framework.losses(batch, max(share, 0.5) if warm else share, self.generator)
        parts["total"].backward()
        torch.nn.utils.clip_grad_norm_(self.framework.parameters(), 5.0)
        self.optimizer.step()
        self.framework.after_step()
        self.averaged.update_parameters(self.framework)
        self.step += 1
        return parts

    def _set_rate(self, share: float, warm: bool) -> None:
        peak = self.plan.learning_rate * (0.5 if warm else 1.0)
        rise = min(1.0, (share + 1e-3) / 0.05)
        rate = peak * rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _report(self, sums: dict[str, Tensor], count: int) -> None:
        values = {name: float(value) / count for name, value in sums.items()}
        total = values.pop("total")
        self._emit(Loss(self.step, round(self._clock.spent, 2), total, values))

    def settle_statistics(self, stack: SliceStack) -> None:
        """Measure the batch statistics of the averaged weights on the volume's own clean frames.

        In training they mix strong views, which look unlike the slices to be predicted, and lag
        behind weights that still move fast when training is short.
        """
        norms = [m for m in self.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over all that follows
        # Mixed batches: neighbouring slices are alike, and would show too little variance.
        generator = torch.Generator().manual_seed(0)
        slices = torch.randperm(stack.depth, generator=generator)[:48]
        self.model.train()
        with torch.no_grad(), autocast(self.plan), without_dropout(self.model):
            for chunk in slices.tensor_split(max(1, len(slices) // 16)):
                self._control.check()
                images = stack.context(chunk)
                for corner in self.plan.tiles.corners:
                    frame = self.plan.tiles.cut(images, corner)
                    self.model.network(frame.to(self.plan.device))
        self.model.eval()

    @property
    def model(self) -> Framework:
        """The framework with averaged weights, to predict with and to keep."""
        module = self.averaged.module
        assert isinstance(module, Framework)
        return module


def autocast(plan: Plan) -> torch.autocast:
    """Context in which the networks of a plan run."""
    return torch.autocast(plan.device.type, dtype=torch.bfloat16, enabled=plan.bfloat16)


def predict_slices(
    model: Framework, stack: SliceStack, slices: list[int], plan: Plan, control: Control
) -> PredictOutput:
    """Predict some slices, frame by frame.

    Returns
    -------
    PredictOutput
        Probabilities (len(slices), K, H, W) float16 on the CPU; background outside of the frames.
    """
    height, width = stack.image.shape[-2:]
    tiles = plan.tiles
    # About 2^20 input pixels at a time keep every device busy and no memory full.
    block = max(1, min(32, 2**20 // tiles.pixels))
    plain, rectified = [], []
    for start in range(0, len(slices), block):
        images = stack.context(torch.tensor(slices[start : start + block]))
        frames = []
        for corner in tiles.corners:
            control.check()
            with autocast(plan):
                output = model.predict(tiles.cut(images, corner).to(plan.device))
            frames.append((output.plain.float().cpu(), output.rectified.float().cpu()))
        plain.append(tiles.paste([f[0] for f in frames], height, width).half())
        rectified.append(tiles.paste([f[1] for f in frames], height, width).half())
    return PredictOutput(torch.cat(plain), torch.cat(rectified))
