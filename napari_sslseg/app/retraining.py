"""From a finished round to what is shown: the old proposal stays until the new one is no worse.

An update, for which nothing was trained, is shown at once: it differs by what was inked since.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from ..training.events import (
    Cancelled,
    Estimated,
    Event,
    Failed,
    Finished,
    ProposalReady,
)
from ..volume.proposal_files import ESTIMATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..training.request import TrainRequest
    from ..volume.project import Project
    from .proposal_shelf import ProposalShelf

#: Estimated Dice that a new version may lose before it is held back. The estimate itself is off by
#: .04 on average, and a harder slice among the references lowers it for old and new alike.
TOLERANCE = 0.02


@dataclass(frozen=True)
class HeldBack:
    """A new version that is estimated to be worse than the one that is shown."""

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
        self._updates = False
        self._waiting: set[str] = set()
        self._verdicts: dict[str, bool] = {}
        shelf.changed.connect(self._on_shown)
        shelf.unread.readable.connect(self._on_readable)

    def resume(self) -> None:
        """Show what was shown when the project was last open, and offer what was held back.

        A version that came since, in a batch say, is judged as at the end of a round.
        """
        versions: dict[str, int] = {}
        files = self._project.proposals
        for slug in self._project.proposal_slugs():
            newest = files.version(slug)
            shown = self._project.shown.get(slug, newest)
            old, new = (_estimate(slug, files.info(slug, v)) for v in (shown, newest))
            if shown != newest and old is not None and (new is None or not _no_worse(new, old)):
                self.held[slug] = HeldBack(old, new)
            else:
                shown, old = newest, new
            if old is not None:
                self.estimates[slug] = old
            versions[slug] = shown
        recommended = [row["recommended"] for row in self._project.rounds if "recommended" in row]
        if recommended:
            self._shelf.activate(str(recommended[-1]))
        self._shelf.bring_up(list(versions), versions)

    def begin(self, request: TrainRequest, references: list[int]) -> None:
        """Enter a new round into the project."""
        self.held = {}
        self._begin(updates=False)
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

    def begin_update(self) -> None:
        """Take what comes from now on as updates; they are no round of their own."""
        self._begin(updates=True)

    def _begin(self, updates: bool) -> None:
        self._updates, self._waiting, self._verdicts = updates, set(), {}
        self._shelf.news.clear()
        self._shelf.round_began = time.monotonic()

    def follow(self, event: Event) -> None:
        """Act on what the trainer says."""
        if isinstance(event, ProposalReady):
            self._on_ready(event.slug)
        elif isinstance(event, Estimated):
            self._on_estimate(event)
        elif isinstance(event, Finished):
            for slug in sorted(self._waiting):
                self._release(slug)  # nothing speaks against it
            if self._updates:
                self.ended.emit()
                return
            if self._project.rounds:
                self._project.rounds[-1]["finished"] = time.time()
                self._project.rounds[-1]["recommended"] = event.recommended
                self._save_head()
            self._shelf.activate(event.recommended, asked=False)
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
        first = slug not in self.estimates or slug not in self._shelf.layers
        if first or verdict or self._updates:
            self._release(slug)
        elif verdict is None:
            self._waiting.add(slug)

    def _on_estimate(self, new: Estimated) -> None:
        slug, old = new.slug, self.estimates.get(new.slug)
        better = old is None or self._updates or _no_worse(new, old)
        self._verdicts[slug] = better
        if better:
            self._take(new)
            if slug in self._waiting:
                self._release(slug)
        elif slug in self._waiting:
            self._hold(slug, new)

    def _on_readable(self, slug: str) -> None:
        """Show a proposal whose corrections could not be read before."""
        self._shelf.bring_up([slug], self._project.shown if slug in self.held else None)

    def _on_shown(self) -> None:
        """Remember which versions are shown: the trainer keeps them, the next session begins so."""
        shown = dict(self._project.shown)
        for slug, layer in self._shelf.layers.items():
            if shown.get(slug) == layer.version:
                continue
            shown[slug] = layer.version
            # A batch tells its estimates to nobody but the proposal.
            found = _estimate(slug, layer.info)
            if found is not None and found != self.estimates.get(slug):
                self._take(found)
        if shown != self._project.shown:
            self._project.shown = shown
            self._save_head()

    def _take(self, estimate: Estimated) -> None:
        self.estimates[estimate.slug] = estimate
        self.estimate_changed.emit(estimate.slug, estimate)

    def _hold(self, slug: str, new: Estimated | None) -> None:
        self._waiting.discard(slug)
        self.held[slug] = HeldBack(self.estimates[slug], new)
        self.held_changed.emit()

    def _release(self, slug: str) -> None:
        self._waiting.discard(slug)
        if self.held.pop(slug, None) is not None:
            self.held_changed.emit()
        self._shelf.bring_up([slug])


def _no_worse(new: Estimated, old: Estimated) -> bool:
    return new.rough or old.rough or new.mean >= old.mean - TOLERANCE


def _estimate(slug: str, info: Mapping[str, Any] | None) -> Estimated | None:
    """Return the estimate that a version carries; None when it was not tested."""
    found = (info or {}).get(ESTIMATE)
    if not isinstance(found, dict):
        return None
    try:
        return Estimated.of({**found, "slug": slug})
    except TypeError:  # a value is missing
        return None
