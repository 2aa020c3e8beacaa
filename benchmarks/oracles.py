"""Choices that no tool can make, because they look at the truth: how much a choice could save."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from napari_sslseg.acquisition.error_reduction import ErrorReduction

if TYPE_CHECKING:
    from annotator import Proposer, Volume

    from napari_sslseg.acquisition.evidence import Evidence
    from napari_sslseg.volume.proposal import Proposal


class KnownErrors(ErrorReduction):
    """The default with the true number of wrong voxels of each slice instead of the expected."""

    name: ClassVar[str] = "known-errors"

    def look(
        self, volume: Volume, ink: np.ndarray, proposal: Proposal, evidence: Evidence
    ) -> Evidence:
        """Return evidence with the truth in it."""
        wrong = np.count_nonzero(proposal.classes != volume.truth, axis=(1, 2)).astype(float)
        return replace(evidence, doubt=wrong)


class BestNext(ErrorReduction):
    """The slice after whose correction the Dice is highest: each is tried. Greedy, and slow."""

    name: ClassVar[str] = "best-next"

    def choose(
        self, volume: Volume, ink: np.ndarray, proposer: Proposer, evidence: Evidence
    ) -> int:
        """Return that slice."""
        best, highest = -1, -1.0
        for z in self.candidates(evidence):
            tried = ink.copy()
            tried[z] = volume.truth[z]
            dice = volume.dice(proposer.propose(tried).classes)
            if dice > highest:
                best, highest = int(z), dice
        return best


ORACLES = {oracle.name: oracle for oracle in (KnownErrors, BestNext)}
