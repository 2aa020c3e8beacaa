"""The network of a run: a new one, or the earlier one that it goes on from."""

from __future__ import annotations

from dataclasses import replace

from ..methods.frameworks import registry
from ..methods.frameworks.base import PredictOutput
from ..methods.propagation import Propagation
from .earlier_network import EarlierNetwork
from .object_box import foreground
from .plan import Plan, network_of
from .run_context import RunContext
from .teaching import Teaching
from .trainer import Trainer


class NetworkMaking:
    """Makes what is trained.

    Parameters
    ----------
    run : RunContext
    teaching : Teaching
    """

    def __init__(self, run: RunContext, teaching: Teaching) -> None:
        self._run, self._teaching = run, teaching

    @property
    def about(self) -> dict[str, object]:
        """What a network must be like to be gone on from, see `checkpoint.save_model`."""
        run, stack = self._run, self._run.stack
        name, options = network_of(run.request.preset, run.device)
        return {
            "framework": name,
            "in_channels": stack.in_channels,
            "class_ids": list(stack.class_ids),
            "channels": list(options["channels"]),
            "axis": stack.axis,
        }

    def goes_on(self, earlier: EarlierNetwork) -> bool:
        """Whether a run would go on from an earlier network, as far as its head tells."""
        teachers = self._teaching.keys
        return earlier.wanted(self.about, teachers, self._teaching.testable(bool(teachers)))

    def predicted(self, propagated: Propagation, earlier: EarlierNetwork) -> PredictOutput | None:
        """Return what an earlier network has predicted, if that was kept and holds still.

        Parameters
        ----------
        propagated : Propagation
            What is proposed now.
        earlier : EarlierNetwork
        """
        others, stack = self._others, self._run.stack
        if not earlier.wanted(self.about, others, self._teaching.testable(bool(others))):
            return None
        return earlier.predicted(stack, foreground(propagated), others)

    def trainer(
        self, propagated: Propagation, earlier: EarlierNetwork, plan: Plan | None = None
    ) -> tuple[Trainer, bool]:
        """Return a trainer, and whether it goes on from the earlier network.

        Parameters
        ----------
        propagated : Propagation
            What is proposed so far.
        earlier : EarlierNetwork
        plan : Plan, optional
            The one for going on, if it is made already.
        """
        run, stack, teaching, about = self._run, self._run.stack, self._teaching, self.about
        # A network goes on with the frames that it knows, a new one gets those that suit it best.
        goes_on = self.goes_on(earlier)
        plan = plan or teaching.plan(propagated, earlier.tiles if goes_on else None)
        plan = plan.tuned()
        framework = registry.create(
            plan.framework, stack.in_channels, stack.classes, **plan.options
        ).to(run.device)
        others = self._others
        warm = earlier.load(framework, about, others, teaching.testable(bool(others)))
        if warm:
            framework.go_on(earlier.steps)
        if warm != goes_on:  # a teacher, or the network itself, turned out to be no use
            anew = teaching.plan(propagated, earlier.tiles if warm else None)
            plan = replace(anew, bfloat16=plan.bfloat16)
        trainer = Trainer(framework, plan, run.clock, run.control, run.emit, run.request.seed)
        return trainer, warm

    @property
    def _others(self) -> list[str]:
        """Keys of the volumes that do teach, as far as a plan was made."""
        others = self._teaching.others
        return list(others.keys) if others is not None else []
