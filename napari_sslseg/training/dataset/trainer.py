"""Training by steps: the step of `training.trainer`, published schedules, a state to go on from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from ...methods.frameworks.base import Framework
from ..clock import Clock
from ..control import Control
from ..loss_means import LossMeans
from ..plan import Plan
from ..tiles import Tiles
from ..trainer import Source, Trainer, autocast
from ..weight_average import WeightAverage
from .batch_statistics import measure_statistics
from .errors import DatasetError
from .sampling import CHANGED
from .settings import Settings
from .state import random_states, set_random_states

#: Decay of the averaged weights: they look back over some hundred steps.
AVERAGE = 0.99

#: Weight decay of both optimisers.
DECAY = 1e-4


class DatasetTrainer(Trainer):
    """Trains one framework for a number of steps.

    Parameters
    ----------
    framework
        On `device`.
    settings
        Of the run.
    device
        Where it trains.
    size
        Of the images or patches, for the plan's description.
    control
        Pause and cancel.
    """

    def __init__(
        self,
        framework: Framework,
        settings: Settings,
        device: torch.device,
        size: tuple[int, ...],
        control: Control,
    ) -> None:
        self.settings = settings
        plan = Plan(
            device=device,
            bfloat16=settings.precision == "bfloat16",
            framework=settings.framework,
            tiles=Tiles((size[-2], size[-1]), ((0, 0),)),
            labelled=settings.labelled,
            unlabelled=settings.unlabelled,
            learning_rate=settings.learning_rate,
            use_prior=False,
        )
        clock = Clock(math.inf, control)
        super().__init__(
            framework, plan, clock, control, lambda event: None, settings.seed, settings.clip
        )
        self.averaged = WeightAverage(framework, AVERAGE)
        self._losses = LossMeans()

    def _make_optimizer(self) -> torch.optim.Optimizer:
        s = self.settings
        if s.optimiser != "sgd":
            rate = self._rate_options(capturable=True)
            return torch.optim.AdamW(self._groups(), betas=s.betas, weight_decay=DECAY, **rate)
        return torch.optim.SGD(
            self._groups(), momentum=0.9, weight_decay=DECAY, **self._rate_options()
        )

    def _groups(self) -> list[dict[str, Any]]:
        """Return the parameters by how they are trained: all alike, or biases apart."""
        s = self.settings
        if s.bias_rate == 1 and s.bias_decay:
            return [{"params": list(self.framework.parameters())}]
        groups: list[dict[str, Any]] = []
        for biases in (False, True):
            named = self.framework.named_parameters()
            own = [p for name, p in named if name.endswith("bias") == biases]
            # A group of its own has a rate of its own: on CUDA the rate is a tensor.
            group = {"params": own, "lr": self._rate_options()["lr"]}
            if biases:
                group |= {"factor": s.bias_rate, "weight_decay": DECAY if s.bias_decay else 0.0}
            groups.append(group)
        return groups

    @property
    def predictor(self) -> Framework:
        """The framework that predicts: with averaged weights, after `settle`, or the last ones."""
        return self.model if self.settings.average else self.framework

    def settle(self, images: Iterable[Tensor]) -> None:
        """Measure the batch statistics of averaged weights, if it is these that predict.

        Parameters
        ----------
        images
            Batches ``(B, C, H, W)``, or of volumes, on the device; not looked at if the last
            weights predict.
        """
        if self.settings.average:
            with autocast(self.plan):
                measure_statistics(self.model, images)

    def train(
        self,
        sampler: Source,
        each_log: Callable[[int, dict[str, float]], None],
        each_step: Callable[[int], None],
        deadline: float | None = None,
    ) -> bool:
        """Train up to the settings' number of steps.

        Parameters
        ----------
        sampler
            Draws the batches.
        each_log
            Receives step and mean losses of an interval.
        each_step
            Called after each step, with its number.
        deadline
            `time.monotonic` at which to stop between two steps; None never does.

        Returns
        -------
        bool
            False when the deadline came first.

        Raises
        ------
        Cancelled
            When the user cancels; the state is then that after a whole step.
        """
        total = self.settings.steps
        self.framework.train()
        while self.step < total:
            self._control.check()
            if deadline is not None and time.monotonic() >= deadline:
                return False
            share = self.step / total
            self._set_rate(share, False)
            self._losses.add(self.one_step(sampler, share))
            if self.step % self.settings.log_every == 0 or self.step == total:
                rate = float(self.optimizer.param_groups[0]["lr"])
                each_log(self.step, {**self._losses.take(), "learning_rate": rate})
            each_step(self.step)
        return True

    def _set_rate(self, share: float, warm: bool) -> None:
        if self.settings.schedule == "cosine":
            super()._set_rate(share, warm)
            return
        factor = (1 - share) ** 0.9
        if self.settings.schedule == "steps":
            factor = 0.1 ** sum(share >= part / 110 for part in (60, 90, 100))
        self._use_rate(self.settings.learning_rate * factor)

    # -- state ----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return all that the following steps depend on, but the sampler's."""
        return {
            "step": self.step,
            "framework": self.framework.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "random": random_states(self.plan.device),
            "counters": self.framework.counters(),
            "log": self._losses.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on as where `state` was taken.

        Raises
        ------
        DatasetError
            When the images had another number of channels.
        ValueError
            Or another error, such as KeyError, when it is none of this run; then the trainer is of
            no use any more.
        """
        self.step = int(state["step"])
        if not 0 <= self.step <= self.settings.steps:
            raise ValueError(f"there is no step {self.step}")
        own, held = self.framework.state_dict(), state["framework"]
        # Settings are those of the run: only the channels of the images can differ.
        if own.keys() == held.keys() and any(own[k].shape != held[k].shape for k in own):
            raise DatasetError(CHANGED)
        self.framework.load_state_dict(held)
        self.averaged.load_state_dict(state["averaged"])
        groups = self.optimizer.param_groups
        options = [{k: v for k, v in group.items() if k != "params"} for group in groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for parameter, held in self.optimizer.state.items():
            for name, value in held.items():
                if value is not None and value.shape == parameter.shape:
                    # Files hold no strides, and fused steps want those of the parameter.
                    held[name] = torch.empty_like(parameter).copy_(value)
        for group, given in zip(self.optimizer.param_groups, options, strict=True):
            group.update(given)  # of the settings, and on CUDA the rate that a recording reads
        self.generator.set_state(state["generator"])
        self.framework.set_counters({k: int(v) for k, v in state["counters"].items()})
        self._losses.restore(state["log"], self.plan.device)
        set_random_states(state["random"], self.plan.device)
