"""Who teaches the network of a run besides the volume's own references, and how it is planned."""

from __future__ import annotations

from ..methods.propagation import Propagation
from . import estimate as quality
from .expected_object import ExpectedObject
from .facts import Others, Verdict
from .object_box import ObjectBox, foreground
from .other_references import BEYOND, PRIOR, OtherReferences, gather
from .outcome import Outcome, TaughtOutcome
from .plan import Plan, make_plan
from .recipe import ALIKE, ALIKE_TAUGHT
from .run_context import RunContext
from .teachers import NOBODY, Teachers
from .tiles import Tiles
from .unaided import Unaided


class Teaching:
    """The other volumes of a project, as far as they teach a run.

    Parameters
    ----------
    run : RunContext
    teachers : Teachers
    """

    def __init__(self, run: RunContext, teachers: Teachers = NOBODY) -> None:
        self._run, self._teachers = run, teachers
        #: Their references, while they teach.
        self.others: OtherReferences | None = None
        #: How good a network was that only they had taught.
        self.unaided: Unaided | None = None
        self._missed: list[str] = []

    @property
    def keys(self) -> list[str]:
        """Keys of the volumes that may teach."""
        return [teacher.key for teacher in self._teachers.volumes]

    @property
    def count(self) -> int:
        """Number of volumes that do teach."""
        return len(self.others.names) if self.others is not None else 0

    @property
    def alike(self) -> float:
        """Distance at which network and matching weigh alike, see `Recipe`."""
        return ALIKE if self.others is None else ALIKE_TAUGHT

    def testable(self, others: bool) -> bool:
        """Whether a network can be tested here; `others` says whether other volumes teach."""
        run = self._run
        return others or (run.request.estimate and bool(quality.middle_reference(run.stack)))

    def plan(self, propagated: Propagation, tiles: Tiles | None) -> Plan:
        """Make the plan, and gather what other volumes teach at its resolution.

        Parameters
        ----------
        propagated : Propagation
        tiles : Tiles or None
            Those that a network to go on with was trained on.
        """
        run, stack, check = self._run, self._run.stack, self._run.control.check
        inner = bool(quality.middle_reference(stack))
        shown, detail = foreground(propagated), 0.0
        missed: list[str] = []
        if self._teachers.volumes and not inner:
            expected = ExpectedObject.of(self._teachers, stack, check, missed.append)
            shown, detail = expected.around(shown, stack.ink), expected.detail
        plan = make_plan(stack, run.request, run.device, shown, tiles, detail)
        # One or two references do not say where the object ends: nothing can be aligned by that,
        # and what lies beyond has to be seen.
        box, beyond = None, stack.depth
        if inner:
            box, beyond = ObjectBox.around(p[0] < 0.5 for p in propagated.probabilities), BEYOND
        self.others = gather(self._teachers, stack, box, plan, check, beyond, missed.append)
        self._missed = list(dict.fromkeys(missed))
        return plan

    def tell(self, plan: Plan, verdict: Verdict = Verdict.NONE) -> None:
        """Tell a plan, who teaches, and what the labelled slices have told of that."""
        names = list(self.others.names) if self.others is not None else []
        told = Others(names, verdict, list(self._missed))
        self._run.emit(plan.told(told, self._run.memory))

    def heed(self, outcome: Outcome | None, plan: Plan) -> tuple[Outcome | None, float]:
        """Dismiss the other volumes if that is what the test has told.

        Parameters
        ----------
        outcome : Outcome or None
            What is known of the network.
        plan : Plan

        Returns
        -------
        Outcome or None
            What is known of it from here on.
        float
            Share of the unlabelled frames beside others that are the volume's own.
        """
        told = self.taught(outcome)
        if self.others is not None and outcome is not None and outcome.dismisses_others:
            # What an organ looks like elsewhere may not be what it looks like here.
            self.tell(plan, Verdict.DISMISSED)
            self.others, self.unaided, told = None, None, None
            outcome = outcome.without_others()
        elif told is not None and not told.believed:
            self.tell(plan, Verdict.DOUBTED)
        return outcome, told.own_share if told is not None else PRIOR

    def taught(self, outcome: Outcome | None) -> TaughtOutcome | None:
        """Return an outcome if it tells of a network that others teach, who still do."""
        return outcome if self.others is not None and isinstance(outcome, TaughtOutcome) else None
