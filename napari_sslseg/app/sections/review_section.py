"""Step 4: look at the proposals, correct, accept, retrain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QButtonGroup, QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout

from ...volume.annotation import SliceState
from ..estimated_classes import estimated_classes, why_no_estimate
from ..in_sight import InSight
from ..key_settings import Keys
from ..legend import RegionLegend
from ..listening import Listening
from ..marking import accept
from ..mending import NO_PROPOSAL
from ..spoken_training import spoken_basis, without_estimate
from ..step import Step, allow, hint_label, once, say, spoken_dice
from ..suggesting import NextSlice
from .correct_part import CorrectPart
from .look_part import LookPart
from .measure_part import MeasurePart

if TYPE_CHECKING:
    from ..session import Session

#: Slices named among those that a new version changed most.
_MOST_NEWS = 5

_ACCEPT = "Take this slice of the proposal as a reference"
_ACCEPT_KNOWN = "Your labels stay here, but for what you corrected in the proposal since"
_ON_A_REFERENCE = "A reference shows your own labels. “Next slice” goes to one to look at."
_DELETED = "The layer of the proposal was deleted. Press its name above to show it again."


class ReviewSection(Step):
    """Which proposal, how far to trust it, where to look next, what to do about it.

    Parameters
    ----------
    keys : Keys
        Named in the tooltips.
    """

    retrain_wanted = Signal()
    trouble = Signal(str)

    def __init__(self, keys: Keys) -> None:
        super().__init__(4, "Review")
        self._session: Session | None = None
        self._listening = Listening()
        self._next_slice: NextSlice | None = None
        #: Slicing axis and slice of which the hint speaks.
        self._said_of: tuple[int, int] | None = None
        self._keys = keys
        self._choice = QHBoxLayout()
        self._choice.setSpacing(4)
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self.buttons: dict[str, QPushButton] = {}
        self.quality = hint_label()
        self.legend = RegionLegend({2, 3, 4})
        self.legend.shown_changed.connect(self._on_regions)
        self.image_only = QPushButton("Image only")
        self.image_only.setCheckable(True)
        self.previous_place = QPushButton("◀ Doubt")
        self.next_place = QPushButton("Doubt ▶")
        self.next = QPushButton("Next slice")
        self.accept = QPushButton("Accept slice")
        self.accept_next = QPushButton("Accept ▶")
        self.accept_sure = QPushButton("Accept sure part")
        self.retrain = QPushButton("Retrain")
        self.image_only.clicked.connect(self._on_image_only)
        self.previous_place.clicked.connect(self._on_previous_place)
        self.next_place.clicked.connect(self._on_next_place)
        self.next.clicked.connect(self._on_next)
        self.accept.clicked.connect(self._on_accept)
        self.accept_next.clicked.connect(self._on_accept_next)
        self.accept_sure.clicked.connect(self._on_accept_sure)
        self.retrain.clicked.connect(self.retrain_wanted)
        once(self.accept_next, self.retrain)  # the next slice has not been looked at yet
        grid = QGridLayout()
        grid.setSpacing(4)
        rows = (
            (self.previous_place, self.next_place, self.next),
            (self.accept, self.accept_next, self.retrain),
            (self.accept_sure, self.image_only),
        )
        for row, widgets in enumerate(rows):
            wide = 6 // len(widgets)
            for column, button in enumerate(widgets):
                grid.addWidget(button, row, wide * column, 1, wide)
        self.hint, self.news = hint_label(), hint_label()
        self._in_sight = InSight(self.hint, self)
        self.news.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self.news.linkActivated.connect(self._on_link)
        self.held = hint_label()
        self.held.setTextInteractionFlags(Qt.TextInteractionFlag.LinksAccessibleByMouse)
        self.held.linkActivated.connect(self._on_held)
        self.correct, self.look, self.measure = CorrectPart(), LookPart(), MeasurePart()
        self.parts = (self.correct, self.look, self.measure)
        self.rows.addLayout(self._choice)
        self.rows.addWidget(self.quality)
        self.rows.addWidget(self.legend)
        self.rows.addLayout(grid)
        below = QVBoxLayout()
        below.setSpacing(0)
        for widget in (self.hint, self.held, self.news, *self.parts):
            below.addWidget(widget)
        self.rows.addLayout(below)
        self.set_session(None)

    def set_session(self, session: Session | None) -> None:
        """Show a session."""
        self._listening.end()
        self._session = session
        for button in self.buttons.values():
            self._group.removeButton(button)
            self._choice.removeWidget(button)
            button.deleteLater()
        self.buttons = {}
        self.legend.set_shares({})
        self.image_only.setChecked(False)
        self._said_of = None
        for label in (self.quality, self.hint, self.news, self.held):
            say(label, "")
        for part in self.parts:
            part.set_session(session)
        self._next_slice = None
        if session is not None:
            self._next_slice = NextSlice(session)
            for says in (self._next_slice, session.tour, session.mender):
                self._listening.to(says.said, self.tell)
            self._listening.to(session.history.moved, self._on_moved)
            self._listening.to(session.training.state_changed, self._on_training)
            self._listening.to(session.retraining.held_changed, self._show_held)
            self._listening.to(session.shares_changed, self._show_shares)
            self._listening.to(session.estimate_changed, self.show_quality)
        self.refresh()

    def refresh(self) -> None:
        """Proposals, slices or the training state have changed."""
        session = self._session
        none = session is None or not session.proposals
        reason = "" if not none else "its layer was deleted." if self.buttons else NO_PROPOSAL
        self.legend.setEnabled(not none)
        self.legend.setToolTip(f"Not now: {reason}" if reason else "")
        for button, name, text in (
            (self.next, "next_slice", "Go to the slice whose correction helps most"),
            (
                self.next_place,
                "next_place",
                "Go to the largest place where the predictions disagree, not yet looked at",
            ),
            (self.previous_place, "previous_place", "Go back to the place before"),
            (self.accept, "accept", _ACCEPT),
            (self.accept_next, "accept_next", "Accept this slice, go to the next suggested one"),
            (
                self.accept_sure,
                "accept_sure",
                "Accept only what both predictions agree on and are sure of; the rest stays open",
            ),
            (self.image_only, "image_only", "Hide all that lies over the image, or show it again"),
        ):
            allow(button, reason, f"{text} (key {self._keys.by_name[name]})")
        self.correct.refresh()
        if session is None or none:
            allow(self.retrain, reason, "")
            self.set_state("")
            if self.buttons:
                say(self.hint, _DELETED)
                for label in (self.quality, self.news):
                    say(label, "")
            return
        self.image_only.setChecked(session.look.image_only)
        allow(self.retrain, session.why_not_train(), "Train on, with all that you corrected")
        for slug, proposal in session.proposals.items():
            if slug not in self.buttons:
                button = QPushButton(proposal.name)
                button.setCheckable(True)
                button.clicked.connect(lambda checked, slug=slug: self._activate(slug))
                self._group.addButton(button)
                self.buttons[slug] = button
                self._choice.insertWidget(sorted(self.buttons).index(slug), button)
            self.buttons[slug].setChecked(slug == session.active)
            key = self._keys.by_name["swap"]
            self.buttons[slug].setToolTip(
                f"Show and edit the proposal “{proposal.name}” (key {key} switches)"
            )
        self.show_quality()
        self._show_news()
        self._show_held()
        self.refresh_slice()

    def refresh_slice(self) -> None:
        """Another slice is in view."""
        session = self._session
        if session is None or not session.proposals:
            return
        index = session.references.current_slice()
        known = session.references.states[index] == SliceState.WHOLE
        again = index in session.accepted_slices()
        self.accept.setText("Accept again" if again else "Accept slice")
        tip = _ACCEPT_KNOWN if known else _ACCEPT
        allow(self.accept, "", f"{tip} (key {self._keys.by_name['accept']})")
        if self._said_of not in (None, (session.references.axis, index)):
            self.tell("")  # it is of another slice
        if known and not self.hint.text():
            say(self.hint, _ON_A_REFERENCE)
        elif self.hint.text() == _DELETED or (not known and self.hint.text() == _ON_A_REFERENCE):
            say(self.hint, "")
        done = len(session.references.references())
        self.set_state(f"{done} of {len(session.references.states)} slices known")

    def show_quality(self) -> None:
        """Show the estimated Dice of the active proposal."""
        session = self._session
        if session is None:
            return
        estimate = session.estimates.get(session.active)
        if estimate is None:
            say(self.quality, f"Estimated Dice: {why_no_estimate(session)}")
            return
        told = f"Estimated Dice {estimate.mean:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
        rows = estimated_classes(estimate, session.classes)
        classes = ", ".join(f"{row.name} {spoken_dice(row.dice, row.spread)}" for row in rows)
        told += f": {classes}." if classes else "."
        said = (told, without_estimate(rows, session.classes), spoken_basis(estimate))
        say(self.quality, " ".join(part for part in said if part))

    # -- inside ---------------------------------------------------------------------------

    def tell(self, text: str) -> None:
        """Say something of the slice in view, until another one is."""
        session = self._session
        self._said_of = None
        if session is not None and text:
            self._said_of = session.references.axis, session.references.current_slice()
            self._in_sight.bring()
        say(self.hint, text)

    def _show_shares(self, slug: str, shares: dict[str, float]) -> None:
        """Show the region shares of a proposal when it is the active one."""
        if self._session is not None and slug == self._session.active:
            self.legend.set_shares(shares)

    def _activate(self, slug: str) -> None:
        if self._session is not None:
            self._session.activate(slug)

    def _on_regions(self, shown: set[int]) -> None:
        if self._session is not None:
            self._session.regions.set_shown(shown)

    def _on_image_only(self) -> None:
        if self._session is not None:
            self.image_only.setChecked(self._session.look.toggle_image_only())

    def _on_next(self) -> None:
        if self._next_slice is not None:
            self._next_slice.go()

    def _on_next_place(self) -> None:
        if self._session is not None:
            self._session.tour.next()

    def _on_previous_place(self) -> None:
        if self._session is not None:
            self._session.tour.previous()

    def _on_accept(self) -> bool:
        session = self._session
        if session is None:
            return False
        try:
            self.tell(accept(session, session.references.current_slice()))
        except ValueError as error:
            self.trouble.emit(str(error))
            return False
        return True

    def _on_accept_next(self) -> None:
        if self._on_accept() and self._next_slice is not None:
            self._next_slice.go(self.hint.text())

    def _on_accept_sure(self) -> None:
        session = self._session
        if session is None:
            return
        try:
            changed = session.mender.accept_sure()
        except ValueError as error:
            self.trouble.emit(str(error))
            return
        index = session.references.current_slice()
        if changed:
            self.tell(f"The sure part of slice {index} is yours now; what is left is open.")
        else:
            self.tell(f"Nothing in slice {index} is both open and sure.")

    def _on_training(self, state: object) -> None:
        if self._session is not None and not self._session.training.update:
            self.tell("")  # it is of what was there before

    def _on_moved(self, step: object, again: bool) -> None:
        text = getattr(step, "text", "")
        self.tell(f"{'Done again' if again else 'Undone'}: {text}.")

    def _show_news(self) -> None:
        """Name the slices that the newest version changed most."""
        session = self._session
        order: list[int] = []
        # An update brings what the user has just said of a slice: no news, and many of them.
        if session is not None and not session.training.update:
            axis, counts = session.shelf.news.get(session.active) or (-1, np.zeros(0))
            most = np.argsort(-counts, kind="stable")[:_MOST_NEWS]
            order = [int(i) for i in most if counts[i] and axis == session.project.axis]
        links = ", ".join(_link(index, str(index)) for index in order)
        say(self.news, f"The new version changed most: {links}" if order else "")

    def _on_link(self, link: str) -> None:
        if self._session is not None:
            self._session.go_to(int(link))

    def _show_held(self) -> None:
        session = self._session
        lines = []
        for slug, held in session.retraining.held.items() if session is not None else ():
            assert session is not None
            name = session.proposals[slug].name if slug in session.proposals else slug
            why = (
                f"is estimated at Dice {held.new.mean:.2f}, the one shown at {held.old.mean:.2f}"
                if held.new is not None
                else "was not tested, as training was stopped"
            )
            lines.append(
                f"A new {name} {why}; the one shown is kept. {_link(slug, 'Show the new one')}"
            )
        say(self.held, "<br>".join(lines))

    def _on_held(self, slug: str) -> None:
        if self._session is not None:
            self._session.retraining.show_new(slug)


def _link(target: object, text: str) -> str:
    """Return a link in a blue that can be read on dark and light panels; Qt's own cannot."""
    return f'<a href="{target}" style="color: #3d8bfd">{text}</a>'
