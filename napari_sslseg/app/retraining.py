"""From a finished round to what is shown: the old proposal stays until the new one is no worse."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psygnal import Signal

from ..training.events import (
    Cancelled,
    Estimated,
    Event,
    Failed,
    Finished,
    ProposalReady,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..training.request import TrainRequest
    from ..volume.project import Project
    from .proposal_shelf import ProposalShelf

#: Estimated Dice that a new version may lose before it is held back. The estimate itself is off by
#: .04 on average, and a harder slice among the references lowers it for old and new alike.
TOLERANCE = 0.02


@dataclass(frozen=True)
class HeldBack:
    """A new version that is estimated to be worse than the one that is shown."""

    slug: str
    old: Estimated
    new: Estimated | None


class Retraining:
    """Follows the trainer's events for a session.

    Parameters
    ----------
    project : Project
    shelf : ProposalShelf
    save_head : callable
        Saves the project's head.
    """

    estimate_changed = Signal(str, object)
    held_changed = Signal()
    ended = Signal()
    """A run is over, whatever its end."""

    def __init__(
        self, project: Project, shelf: ProposalShelf, save_head: Callable[[], None]
    ) -> None:
        self._project, self._shelf, self._save_head = project, shelf, save_head
        self.estimates: dict[str, Estimated] = {}
        self.held: dict[str, HeldBack] = {}
        self._waiting: set[str] = set()
        self._verdicts: dict[str, bool] = {}

    def begin(self, request: TrainRequest, references: list[int]) -> None:
        """Enter a new round into the project."""
        self._waiting, self._verdicts, self.held = set(), {}, {}
        self._shelf.news.clear()
        self._project.rounds.append(
            {
                "started": time.time(),
                "preset": request.preset,
                "seconds": request.seconds,
                "references": references,
            }
        )
        self._save_head()
        self.held_changed.emit()

    def follow(self, event: Event) -> None:
        """Act on what the trainer says."""
        if isinstance(event, ProposalReady):
            self._on_ready(event.slug)
        elif isinstance(event, Estimated):
            self._on_estimate(event)
        elif isinstance(event, Finished):
            for slug in sorted(self._waiting):
                self._release(slug)  # nothing speaks against it
            if self._project.rounds:
                self._project.rounds[-1]["finished"] = time.time()
                self._project.rounds[-1]["recommended"] = event.recommended
                self._save_head()
            self._shelf.activate(event.recommended)
            self.ended.emit()
        elif isinstance(event, Cancelled | Failed):
            for slug in sorted(self._waiting):
                self._hold(slug, None)
            self.ended.emit()

    def show_new(self, slug: str) -> None:
        """Show a version that was held back, on the user's word."""
        held = self.held.get(slug)
        if held is not None:
            if held.new is not None:
                self._take(held.new)
            self._release(slug)

    def _on_ready(self, slug: str) -> None:
        verdict = self._verdicts.get(slug)
        if slug not in self.estimates or slug not in self._shelf.layers or verdict:
            self._release(slug)
        elif verdict is None:
            self._waiting.add(slug)

    def _on_estimate(self, new: Estimated) -> None:
        slug, old = new.slug, self.estimates.get(new.slug)
        better = old is None or new.mean >= old.mean - TOLERANCE
        self._verdicts[slug] = better
        if better:
            self._take(new)
            if slug in self._waiting:
                self._release(slug)
        elif slug in self._waiting:
            self._hold(slug, new)

    def _take(self, estimate: Estimated) -> None:
        self.estimates[estimate.slug] = estimate
        self.estimate_changed.emit(estimate.slug, estimate)

    def _hold(self, slug: str, new: Estimated | None) -> None:
        self._waiting.discard(slug)
        self.held[slug] = HeldBack(slug, self.estimates[slug], new)
        self.held_changed.emit()

    def _release(self, slug: str) -> None:
        self._waiting.discard(slug)
        if self.held.pop(slug, None) is not None:
            self.held_changed.emit()
        self._shelf.bring_up([slug])
