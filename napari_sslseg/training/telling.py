"""What a run says of its proposals: how good they are likely to be, and which is recommended."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from statistics import fmean

from ..volume.project import Project
from . import estimate as quality
from .events import Emit, Estimated
from .facts import Basis, Witness
from .other_references import OtherReferences
from .outcome import Outcome, TaughtOutcome
from .stack import SliceStack
from .unaided import Unaided

#: Dice by which the network may lose against the matching on a left-out reference and still be
#: recommended, where the confidence tells nothing: one slice says little.
TOLERANCE = 0.03

#: Dice by which less may be expected of the network's proposal than of the matching's, by the
#: confidence of each, and still be recommended. On volumes with truth the expected difference told
#: which was better, whether the network had learned well or hardly; a left-out reference, on which
#: it is tested after a third of the time, did not (docs/experiments.md).
DOUBT = 0.01

#: Slices below which what they tell of all the others is rough.
FEW = 3


class Telling:
    """What is told of the proposals of a run; for `proposing.Proposing`.

    Parameters
    ----------
    project : Project
    stack : SliceStack
    emit : callable
    """

    def __init__(self, project: Project, stack: SliceStack, emit: Emit) -> None:
        self.project, self.stack, self.emit = project, stack, emit
        self.recommended = "reference-guided"
        #: References of the project's other volumes, while they teach.
        self.others: OtherReferences | None = None
        #: How good a network was that only others had taught.
        self._unaided: Unaided | None = None
        #: Estimates that this run has made, by the proposal's slug.
        self._estimates: dict[str, dict[str, object]] = {}
        #: Dice of each class that is to be expected by the confidence, by the proposal's slug.
        self._expected: dict[str, dict[int, float]] = {}

    @property
    def _expected_of_matching(self) -> float | None:
        """Dice that the confidence expects of the matching."""
        expected = self._expected.get("reference-guided")
        return fmean(expected.values()) if expected else None

    def _expected_of_both(self) -> tuple[float, float] | None:
        """Dice that the confidence expects of the matching's and of the network's proposal."""
        matching, network = self._expected["reference-guided"], self._expected["semsim"]
        shared = matching.keys() & network.keys()
        if not shared:
            return None
        return fmean(matching[i] for i in shared), fmean(network[i] for i in shared)

    def _earned(self, outcome: Outcome | None) -> bool:
        """Whether the network's proposal is likely as good as the matching's."""
        if outcome is None:
            return False
        expected = None if isinstance(outcome, TaughtOutcome) else self._expected_of_both()
        if expected is None:
            return outcome.gain > -TOLERANCE
        return expected[1] > expected[0] - DOUBT

    def _error_ratio(self, outcome: Outcome) -> float:
        """Errors of the network's proposal, as a multiple of the matching's."""
        expected = None if isinstance(outcome, TaughtOutcome) else self._expected_of_both()
        if expected is None:
            return outcome.error_ratio
        return (1 - expected[1]) / max(1 - expected[0], 1e-6)

    def _tell_of_network(
        self, outcome: Outcome | None, matched: quality.Estimate | None, learned: bool
    ) -> None:
        """Tell how good the network's proposal is likely to be, as far as anything tells that."""
        if matched is not None and not learned:
            basis = Basis(Witness.MATCHING, matched.count, bool(self._expected["semsim"]))
            self._tell_estimate("semsim", self._weighed("semsim", matched), basis)
        elif (
            self._unaided is not None
            and isinstance(outcome, TaughtOutcome)
            and (outcome.few or outcome.heard)
        ):
            if learned and outcome.telling:
                measured = self._unaided.estimate
                basis = Basis(Witness.UNAIDED, measured.count)
                self._tell_estimate("semsim", measured, basis, rough=measured.count < FEW)
        elif outcome is not None and matched is not None:
            found = self._weighed("reference-guided", matched)
            basis = Basis(
                Witness.TRAINED,
                matched.count,
                bool(self._expected["semsim"]),
                round(found.mean, 4),
                len(self.others.names) if self.others is not None else 0,
            )
            trained = matched.with_errors(self._error_ratio(outcome))
            self._tell_estimate("semsim", self._weighed("semsim", trained), basis)

    def _weighed(self, slug: str, left_out: quality.Estimate) -> quality.Estimate:
        """Join what left-out references and what the confidence of a proposal tell of it."""
        return left_out.with_confidence(self._expected[slug])

    def _tell_estimate(
        self, slug: str, found: quality.Estimate, basis: Basis, rough: bool = False
    ) -> None:
        table = {c.id: c.name for c in self.project.classes}
        names = {i: table.get(i, f"Class {i}") for i in self.stack.class_ids[1:]}
        uses = Counter(names.values())
        told = {i: n if uses[n] == 1 else f"{n} ({i})" for i, n in names.items()}

        def by_name(values: dict[int, float]) -> dict[str, float]:
            return {told[i]: round(v, 4) for i, v in values.items()}

        event = Estimated(
            slug,
            by_name(found.per_class),
            round(found.mean, 4),
            round(found.low, 4),
            round(found.high, 4),
            basis,
            by_name(found.spread),
            rough,
            {told[i]: i for i in found.per_class},
        )
        self._estimates[slug] = asdict(event)
        self.project.proposals.write_estimate(slug, self._estimates[slug])
        self.emit(event)
