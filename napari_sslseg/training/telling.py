"""What a run says of its proposals: how good they are likely to be, and which is recommended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean

from ..volume.project import Project
from . import estimate as quality
from .events import Emit, Estimated
from .facts import Basis, Witness
from .outcome import Outcome, TaughtOutcome
from .unaided import Unaided

#: Proposals of a run, by slug.
MATCHED, NETWORK = "reference-guided", "semsim"

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
    """What is told of the proposals of a run.

    Parameters
    ----------
    project : Project
        Estimates are written into it.
    class_ids : sequence of int
        Ids of the classes, the background's first.
    emit : callable
        Receives `Estimated` events.
    """

    def __init__(self, project: Project, class_ids: Sequence[int], emit: Emit) -> None:
        self._project, self._class_ids, self._emit = project, class_ids, emit
        #: Slug of the proposal that is recommended.
        self.recommended = MATCHED
        self._estimates: dict[str, dict[str, object]] = {}
        self._expected: dict[str, Mapping[int, float]] = {}

    def expect(self, slug: str, dice: Mapping[int, float]) -> None:
        """Take in what the confidence of a proposal expects.

        Parameters
        ----------
        slug : str
        dice : mapping of int to float
            Dice of each class id; empty where it tells nothing.
        """
        self._expected[slug] = dice

    def expect_the_same(self) -> None:
        """Take in that the network's proposal is the matching's."""
        self._expected[NETWORK] = self._expected[MATCHED]

    def made(self, slug: str) -> dict[str, object] | None:
        """Return the estimate of a proposal that this run has made, as plain values."""
        return self._estimates.get(slug)

    @property
    def expected_of_matching(self) -> float | None:
        """Dice that the confidence expects of the matching."""
        expected = self._expected.get(MATCHED)
        return fmean(expected.values()) if expected else None

    def expected_of_both(self) -> tuple[float, float] | None:
        """Dice that the confidence expects of the matching's and of the network's proposal."""
        matching, network = self._expected[MATCHED], self._expected[NETWORK]
        shared = matching.keys() & network.keys()
        if not shared:
            return None
        return fmean(matching[i] for i in shared), fmean(network[i] for i in shared)

    def earned(self, outcome: Outcome | None) -> bool:
        """Whether the network's proposal is likely as good as the matching's."""
        if outcome is None:
            return False
        expected = None if isinstance(outcome, TaughtOutcome) else self.expected_of_both()
        if expected is None:
            return outcome.gain > -TOLERANCE
        return expected[1] > expected[0] - DOUBT

    def error_ratio(self, outcome: Outcome) -> float:
        """Errors of the network's proposal, as a multiple of the matching's."""
        expected = None if isinstance(outcome, TaughtOutcome) else self.expected_of_both()
        if expected is None:
            return outcome.error_ratio
        return (1 - expected[1]) / max(1 - expected[0], 1e-6)

    def of_matching(self, left_out: quality.Estimate) -> None:
        """Tell how good the matching is likely to be, by the references that were left out."""
        weighed = self._weighed(MATCHED, left_out)
        basis = Basis(Witness.LEFT_OUT, left_out.count, bool(self._expected[MATCHED]))
        self.tell(MATCHED, weighed, basis)

    def of_network(
        self,
        outcome: Outcome | None,
        matched: quality.Estimate | None,
        learned: bool,
        unaided: Unaided | None,
        others: int,
    ) -> None:
        """Tell how good the network's proposal is likely to be, as far as anything tells that.

        Parameters
        ----------
        outcome : Outcome or None
            What its test has told.
        matched : Estimate or None
            Of the matching, by references that were left out.
        learned : bool
            Whether the network had learned enough to be heard.
        unaided : Unaided or None
            How good a network was that only other volumes had taught.
        others : int
            Volumes that teach besides this one.
        """
        if matched is not None and not learned:
            basis = Basis(Witness.MATCHING, matched.count, bool(self._expected[NETWORK]))
            self.tell(NETWORK, self._weighed(NETWORK, matched), basis)
        elif (
            unaided is not None
            and isinstance(outcome, TaughtOutcome)
            and (outcome.few or outcome.heard)
        ):
            if learned and outcome.telling:
                measured = unaided.estimate
                basis = Basis(Witness.UNAIDED, measured.count)
                self.tell(NETWORK, measured, basis, rough=measured.count < FEW)
        elif outcome is not None and matched is not None:
            found = self._weighed(MATCHED, matched)
            basis = Basis(
                Witness.TRAINED,
                matched.count,
                bool(self._expected[NETWORK]),
                round(found.mean, 4),
                others,
            )
            trained = matched.with_errors(self.error_ratio(outcome))
            self.tell(NETWORK, self._weighed(NETWORK, trained), basis)

    def tell(self, slug: str, found: quality.Estimate, basis: Basis, rough: bool = False) -> None:
        """Tell an estimate, and keep it with the proposal.

        Parameters
        ----------
        slug : str
            Of the proposal.
        found : Estimate
        basis : Basis
            What it rests on.
        rough : bool
            Whether that is little.
        """
        table = {c.id: c.name for c in self._project.classes}
        names = {i: table.get(i, f"Class {i}") for i in self._class_ids[1:]}
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
        self._project.proposals.write_estimate(slug, self._estimates[slug])
        self._emit(event)

    def _weighed(self, slug: str, left_out: quality.Estimate) -> quality.Estimate:
        """Join what left-out references and what the confidence of a proposal tell of it."""
        return left_out.with_confidence(self._expected[slug])
