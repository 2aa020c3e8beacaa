"""The network that an earlier run has left: whether a run goes on from it, and what it tells."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from ..methods.frameworks.base import PredictOutput
from ..volume.cohort import Cohort
from ..volume.project import Project
from .checkpoint import fits, load_model, read_head, save_model
from .kept_prediction import KeptPrediction
from .outcome import Outcome, TaughtOutcome, has_learned, steps_of, tiles_of, to_test_anew
from .plan import Plan
from .stack import SliceStack
from .tiles import Tiles


class EarlierNetwork:
    """The last network of a volume, or one of another volume that has not seen this one's ink.

    Parameters
    ----------
    project : Project
        Of the volume to be trained on.
    resume : bool
        Whether to look for one at all.
    """

    def __init__(self, project: Project, resume: bool) -> None:
        cohort = Cohort(project.path)
        self._project, self._key = project, cohort.key_of(project.path)
        self._folder = cohort.models_for(self._key)
        self._head: dict[str, Any] = read_head(self._folder) if resume else {}
        self._warm = False
        self._teachers: set[str] = set()

    @property
    def tiles(self) -> Tiles | None:
        """Frames that it was trained on."""
        return tiles_of(self._head)

    def wanted(
        self, about: dict[str, Any], teachers: Collection[str], testable: bool = False
    ) -> bool:
        """Whether a run would go on from it, as far as its head tells; parameters as of `load`."""
        if not has_learned(self._head) or not fits(self._head, about):
            return False
        # With new teachers a network begins anew, so that their worth can be tested.
        anew = bool(set(teachers) - {*self._seen, self._key})
        anew |= bool(teachers) and to_test_anew(self._head)
        # So does one of which nothing is known, now that a test could tell: it knows all the ink.
        anew |= testable and self._is_own and self._told(teachers) is None
        return not anew

    def load(
        self,
        network: nn.Module,
        about: dict[str, Any],
        teachers: Collection[str],
        testable: bool = False,
    ) -> bool:
        """Load it into a network, if it fits, has begun to learn, and need not be tested again.

        Parameters
        ----------
        network : nn.Module
        about : dict
            See `checkpoint.save_model`.
        teachers : collection of str
            Keys of the other volumes that will teach.
        testable : bool
            Whether a network that has not seen this volume's ink could be tested on it.

        Returns
        -------
        bool
            Whether the run goes on from it.
        """
        self._teachers = set(teachers)
        self._warm = self.wanted(about, teachers, testable)
        self._warm = self._warm and load_model(self._folder, network, about)
        return self._warm

    def predicted(
        self, stack: SliceStack, foreground: Tensor, teachers: Collection[str]
    ) -> PredictOutput | None:
        """Return what it predicted of its volume; the run goes on from it then, unloaded.

        Ask whether it is `wanted` before.

        Parameters
        ----------
        stack : SliceStack
        foreground : Tensor, (1, H, W)
            Where the object may be now, see `Tiles.surrounds`.
        teachers : collection of str
            Keys of the other volumes that teach.

        Returns
        -------
        PredictOutput, (Z, K, H, W) float16, or None
            None where that was not kept, or it looked elsewhere.
        """
        if not self._is_own:
            return None
        self._teachers = set(teachers)
        found = KeptPrediction(self._project, stack).of(self._weights, foreground)
        self._warm |= found is not None
        return found

    def keep_prediction(self, output: PredictOutput, stack: SliceStack, tiles: Tiles) -> None:
        """Keep what the last network that was saved predicts, for `predicted`.

        Parameters
        ----------
        output : PredictOutput, (Z, K, H, W) float16
        stack : SliceStack
        tiles : Tiles
            Where it looked.
        """
        KeptPrediction(self._project, stack).keep(output, self._weights, tiles)

    @property
    def steps(self) -> int:
        """Steps that it has learned for in all, of those that the run goes on from."""
        return steps_of(self._head) if self._warm else 0

    @property
    def own(self) -> bool:
        """Whether the run goes on from it and it has been tested on this volume.

        A network of another volume may begin, but tells nothing of this one's references.
        """
        return self._warm and self._is_own

    @property
    def outcome(self) -> Outcome | None:
        """What its test told, as far as that holds with those who teach now."""
        return self._told(self._teachers) if self.own else None

    def keep(
        self,
        network: nn.Module,
        about: dict[str, Any],
        plan: Plan,
        outcome: Outcome | None,
        steps: int,
    ) -> None:
        """Save what has become of it, for the next run.

        Parameters
        ----------
        network : nn.Module
        about : dict
            See `checkpoint.save_model`.
        plan : Plan
        outcome : Outcome or None
            What is known of the network now.
        steps : int
            Steps of this run.
        """
        seen = {self._key, *self._teachers, *(self._seen if self._warm else ())}
        memory = {
            "frame": plan.tiles.size,
            "reduction": plan.tiles.reduction,
            **(outcome.to_json() if outcome is not None else {}),
            "seen": sorted(seen),
            "steps": self.steps + steps,
        }
        save_model(self._project.models, network, about, memory)

    @property
    def _weights(self) -> str:
        """Name of the file of the last weights of this volume."""
        return str(read_head(self._project.models).get("weights", ""))

    @property
    def _seen(self) -> list[str]:
        return list(self._head.get("seen", ()))

    @property
    def _is_own(self) -> bool:
        return self._folder == self._project.models

    def _told(self, teachers: Collection[str]) -> Outcome | None:
        found = Outcome.of(self._head)
        if isinstance(found, TaughtOutcome) and not teachers:
            return None  # of others who are gone
        return found
