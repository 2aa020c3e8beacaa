"""The training loop: steps until the time is up, an average of the weights to predict with."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from ..methods.check_point import check_point
from ..methods.frameworks.base import Batch, Framework, PredictOutput
from ..methods.frameworks.modes import without_dropout
from ..methods.ramps import Scalar
from .captured import CapturedStep
from .clock import Clock
from .control import Control
from .events import Emit, Loss
from .finite import StepGuard
from .loss_means import LossMeans
from .plan import Plan
from .stack import SliceStack
from .weight_average import WeightAverage

#: Seconds between two loss messages; also how often the device is waited for.
REPORT_EVERY = 0.5

#: Largest norm of a step's gradient: a few hundred steps on few images are easily thrown off.
CLIP = 5.0


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
    clip : float, optional
        Largest norm of the gradient of a step, longer ones are shortened to it; None leaves them.
    """

    def __init__(
        self,
        framework: Framework,
        plan: Plan,
        clock: Clock,
        control: Control,
        emit: Emit,
        seed: int,
        clip: float | None = CLIP,
    ) -> None:
        self.framework = _channels_last(framework)
        self.plan = plan
        self._clock, self._control, self._emit = clock, control, emit
        self._clip = clip
        self.generator = torch.Generator(device=plan.device).manual_seed(seed)
        self.optimizer = self._make_optimizer()
        # Averaged weights predict better than the last ones when training is short and noisy.
        self.averaged = WeightAverage(framework, 0.98)
        self.step = 0
        self._captured = CapturedStep(
            self._update, plan.device, self.generator, recorded=framework.repeats
        )

    def record_steps(self, wanted: bool) -> None:
        """Switch the recording of steps as CUDA graphs off, or on again where it can be done."""
        self._captured.enabled = (
            wanted and self.plan.device.type == "cuda" and self.framework.repeats
        )

    @property
    def recorded(self) -> bool:
        """Whether the last steps were replays of a recording."""
        return self._captured.replays

    def _make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.framework.parameters(), weight_decay=1e-4, **self._rate_options(capturable=True)
        )

    def _rate_options(self, **of_cuda: bool) -> dict[str, Any]:
        """Learning rate of an optimiser: a number, or on CUDA a value that a recording reads."""
        rate = self.plan.learning_rate
        if self.plan.device.type != "cuda":
            return {"lr": rate}
        return {"lr": torch.tensor(rate, device=self.plan.device), "fused": True, **of_cuda}

    def run(
        self,
        sampler: Source,
        until: float,
        warm: bool,
        each_report: Callable[[float], float | None],
        max_steps: int | None = None,
    ) -> None:
        """Train until the clock shows `until` seconds.

        Parameters
        ----------
        sampler : Source
        until : float
            Time on the clock, seconds.
        warm : bool
            The model has been trained before: no warm-up of the loss terms.
        each_report : callable
            Called about twice a second, and at the end, with the share of this stage that is done;
            may return another `until`.
        max_steps : int, optional
            Stop after so many steps, whatever the clock says (for tests that must repeat exactly).

        Raises
        ------
        Cancelled
            When the user cancels.
        """
        begin = self._clock.spent
        first, reported = self.step, time.monotonic()
        losses = LossMeans()
        self.framework.train()
        while True:
            self._control.check()
            share = min(1.0, (self._clock.spent - begin) / max(until - begin, 1e-3))
            if max_steps is not None:
                share = min(1.0, (self.step - first) / max(max_steps, 1))
            if share >= 1.0:
                self._report(losses)
                end = each_report(1.0)
                if end is None or max_steps is not None:
                    break
                until = end
                continue
            self._set_rate(share, warm)
            losses.add(self.one_step(sampler, share, warm))
            if time.monotonic() - reported >= REPORT_EVERY:
                reported = time.monotonic()
                self._report(losses)
                end = each_report(share)
                until = until if end is None else end

    def one_step(self, sampler: Source, share: float, warm: bool = False) -> dict[str, Tensor]:
        """Draw a batch, do a step and return its losses.

        Parameters
        ----------
        sampler : Source
        share : float
            Part of the training that is done, in [0, 1]: how far the loss terms are ramped up.
        warm : bool
            Whether the model has been trained before: they begin half way then.

        Returns
        -------
        dict of str to Tensor, ()
            On the device, ``"total"`` among them. The learning rate is `run`'s business.
        """
        parts = self._captured(sampler.draw(), max(share, 0.5) if warm else share)
        self.step += 1
        return parts

    def _update(self, batch: Batch, progress: Scalar) -> dict[str, Tensor]:
        self.optimizer.zero_grad(set_to_none=True)
        guard = StepGuard(self.framework)
        with autocast(self.plan):
            parts = self.framework.losses(batch, progress, self.generator)
        if self.plan.device.type == "cpu":
            check_point()  # a step of large frames takes a good part of a second
        parts["total"].backward()
        longest = math.inf if self._clip is None else self._clip
        guard.apply(torch.nn.utils.clip_grad_norm_(self.framework.parameters(), longest))
        self.optimizer.step()
        self.framework.after_step()
        self.averaged.update(self.framework)
        return {name: value.detach() for name, value in parts.items()}

    def _set_rate(self, share: float, warm: bool) -> None:
        peak = self.plan.learning_rate * (0.5 if warm else 1.0)
        rise = min(1.0, (share + 1e-3) / 0.05)
        rate = peak * rise * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        self._use_rate(rate)

    def _use_rate(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            own = rate * group.get("factor", 1.0)
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(own)
            else:
                group["lr"] = own

    def _report(self, losses: LossMeans) -> None:
        if not losses.count:
            return
        values = losses.take()
        total = values.pop("total")
        if not math.isfinite(total):
            return  # steps that taught nothing
        self._emit(Loss(self.step, round(self._clock.spent, 2), total, values))

    def settle_statistics(self, stack: SliceStack) -> None:
        """Measure the batch statistics of the averaged weights on the volume's own clean frames.

        In training they mix strong views, which look unlike the slices to be predicted, and lag
        behind weights that still move fast when training is short. Of a deep stack some slices are
        looked at, see `settles_on`. Cancelled may be raised.
        """
        norms = [m for m in self.model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average over all that follows
        # Mixed batches: neighbouring slices are alike, and would show too little variance.
        generator = torch.Generator().manual_seed(0)
        slices = torch.randperm(stack.depth, generator=generator)[: self.settles_on(stack.depth)]
        self.model.train()
        with torch.no_grad(), autocast(self.plan), without_dropout(self.model):
            for chunk in slices.tensor_split(max(1, len(slices) // 16)):
                self._control.check()
                images = stack.context(chunk)
                for corner in self.plan.tiles.corners:
                    frame = self.plan.tiles.cut(images, corner)
                    self.model.network(frame.to(self.plan.device))
        self.model.eval()

    def settles_on(self, depth: int) -> int:
        """Return the number of slices that `settle_statistics` looks at, of a stack so deep.

        48 where each is one frame. Several frames show as much in fewer slices.
        """
        return min(depth, max(16, 48 // len(self.plan.tiles.corners)))

    @property
    def model(self) -> Framework:
        """The framework with averaged weights, to predict with and to keep."""
        return self.averaged.module


def _channels_last(framework: Framework) -> Framework:
    """Lay weights out as convolutions are fastest in, on processors and GPUs alike."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in framework.parameters():
        if parameter.ndim in layouts:
            parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.ndim])
    return framework


def autocast(plan: Plan) -> torch.autocast:
    """Context in which the networks of a plan run: bfloat16 where the plan says so."""
    return torch.autocast(plan.device.type, dtype=torch.bfloat16, enabled=plan.bfloat16)


def predict_slices(
    model: Framework, stack: SliceStack, slices: list[int], plan: Plan, control: Control
) -> PredictOutput:
    """Predict some slices, frame by frame.

    Parameters
    ----------
    model : Framework
        On the plan's device.
    stack : SliceStack
    slices : list of int
        Indices in `stack`, in the order of the result.
    plan : Plan
        Says the frames, the device and the precision.
    control : Control
        Pauses and cancels between two frames.

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
