"""Which of several proposals is shown: the one that was chosen, whichever is read first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..volume.project import Project
    from .proposal_shelf import ProposalShelf

_SETTING = "proposal"


class ProposalChoice:
    """The choice among proposals, and which of them are still being read.

    Only the user chooses, and a round's end, which recommends one. What happens to be read first
    is shown at most until what was chosen is there.
    """

    changed = Signal(str)
    """Another proposal was chosen: its slug."""

    def __init__(self) -> None:
        self.slug = ""
        self._awaited: set[str] = set()

    def choose(self, slug: str) -> None:
        """Choose a proposal, which need not be there yet."""
        if slug != self.slug:
            self.slug = slug
            self.changed.emit(slug)

    def expect(self, slug: str) -> None:
        """Take note that a proposal is being read that was not there before."""
        self._awaited.add(slug)

    def arrived(self, slug: str) -> None:
        """Take note that a proposal is there, or cannot be read."""
        self._awaited.discard(slug)

    @property
    def coming(self) -> bool:
        """Whether the chosen proposal is still being read."""
        return self.slug in self._awaited

    def takes_the_view(self, slug: str, vacant: bool) -> bool:
        """Whether a proposal that is there is to be shown.

        Parameters
        ----------
        slug : str
        vacant : bool
            No other one is in view. Then it is shown unless a better one comes: that which was
            chosen, or without a choice the first by name, and not by the luck of the disk.
        """
        if slug == self.slug:
            return True
        if not vacant or self.coming:
            return False
        return bool(self.slug) or slug == min({slug, *self._awaited})


def keep_choice(shelf: ProposalShelf, project: Project, save: Callable[[], object]) -> None:
    """Go on with the proposal that was chosen last, and remember what is chosen from now on.

    Parameters
    ----------
    shelf : ProposalShelf
    project : Project
        Keeps it among its settings.
    save : callable
        Writes them.
    """
    chosen = project.settings.get(_SETTING)
    if chosen in project.proposal_slugs():
        shelf.activate(chosen)

    def remember(slug: str) -> None:
        # A new dictionary: the old one may just be written by the thread that saves.
        project.settings = {**project.settings, _SETTING: slug}
        save()

    shelf.choice.changed.connect(remember)
