"""How predictions of a run become proposals: judged, written, and told of."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..methods.voxel_evidence import Predictions
from ..volume.proposal import proposal_slug, region_shares
from ..volume.proposal_files import ESTIMATE
from .events import ProposalReady
from .expected_overlap import ExpectedOverlap
from .facts import Phase
from .recipe import Recipe
from .run_context import RunContext
from .telling import MATCHED, NETWORK, Telling

REFERENCE_GUIDED = "Reference-guided"
SEMSIM = "SemSim"


class Proposing:
    """Proposals of one run.

    Parameters
    ----------
    run : RunContext
    telling : Telling
        Is told what the confidence of each proposal expects.
    """

    def __init__(self, run: RunContext, telling: Telling) -> None:
        self._run, self._telling = run, telling
        #: What each proposal was judged by: "matching" at first, "guided" and "network" at last.
        self.known: dict[str, Predictions] = {}

    def propose(
        self, name: str, known: Predictions, other: Tensor, info: dict[str, object]
    ) -> None:
        """Judge a prediction by a second one, write it into the project and tell of it.

        Parameters
        ----------
        name : str
            Of the proposal.
        known : Predictions
        other : Tensor, (Z, H, W)
            Classes of the second prediction.
        info : dict
            Kept with the proposal, and so is its estimate if this run has made one.

        Raises
        ------
        Cancelled
            When the user cancels.
        """
        run, slug = self._run, proposal_slug(name)
        run.control.check()
        start = run.clock.spent
        if (estimate := self._telling.made(slug)) is not None:
            info = {**info, ESTIMATE: estimate}  # of the same classes, judged anew
        overlap = ExpectedOverlap(run.stack.class_ids)
        version, shares = run.volume.write(
            name, known, other, info, overlap, lambda share: run.progress(Phase.WRITING, share)
        )
        run.bar.wrote()
        # The confidence of a network that only ink has taught was not fitted on anything.
        self._telling.expect(slug, {} if known.calibrated else overlap.dice())
        run.emit(ProposalReady(slug, name, version, shares))
        run.foresight.judged(run.clock.spent - start)

    def repeat_matching(self) -> None:
        """Propose the matching's result as that of a network that has hardly begun, as it stands.

        No time is left to predict and judge what would not be heard.
        """
        run = self._run
        found = run.project.read_proposal(MATCHED)
        info = {k: v for k, v in found.info.items() if k not in ("stage", ESTIMATE)}
        info |= {"preset": run.request.preset, "recipe": Recipe(heard=False).to_json()}
        version = run.project.write_proposal(replace(found, name=SEMSIM, info=info))
        self._telling.expect_the_same()
        shares = region_shares(found.regions, found.classes)
        run.emit(ProposalReady(NETWORK, SEMSIM, version, shares))

    @property
    def network_unheard(self) -> bool:
        """Whether what was proposed for a network is the matching's result."""
        recipe = (self._run.project.proposals.info(NETWORK) or {}).get("recipe")
        return isinstance(recipe, dict) and recipe.get("heard") is False
