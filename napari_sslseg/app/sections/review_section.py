"""Step 4: look at the proposals, correct, accept, retrain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton

from ...volume.annotation import SliceState
from ..legend import RegionLegend
from ..step import Step, allow, hint_label, say

if TYPE_CHECKING:
    from ..session import Session

_NO_PROPOSAL = "press Train first; the first proposal comes within seconds."


class ReviewSection(Step):
    """Which proposal, how far to trust it, where to look next."""

    retrain_wanted = Signal()
    trouble = Signal(str)

    def __init__(self) -> None:
        super().__init__(4, "Review")
        self._session: Session | None = None
        self._choice = QHBoxLayout()
        self._choice.setSpacing(4)
        self._group = QButtonGroup(self)
        self._group.setExclusive(True)
        self.buttons: dict[str, QPushButton] = {}
        self.quality = hint_label()
        self.legend = RegionLegend({2, 3, 4})
        self.legend.shown_changed.connect(self._on_regions)
        self.next = QPushButton("Next slice")
        self.accept = QPushButton("Accept slice")
        self.retrain = QPushButton("Retrain")
        self.next.clicked.connect(self._on_next)
        self.accept.clicked.connect(self._on_accept)
        self.retrain.clicked.connect(self.retrain_wanted)
        row = QHBoxLayout()
        for button in (self.next, self.accept, self.retrain):
            row.addWidget(button)
        self.hint = hint_label()
        self.rows.addLayout(self._choice)
        self.rows.addWidget(self.quality)
        self.rows.addWidget(self.legend)
        self.rows.addLayout(row)
        self.rows.addWidget(self.hint)
        self.set_session(None)

    def set_session(self, session: Session | None) -> None:
        """Show a session."""
        self._session = session
        for button in self.buttons.values():
            self._group.removeButton(button)
            self._choice.removeWidget(button)
            button.deleteLater()
        self.buttons = {}
        self.legend.set_shares({})
        say(self.quality, "")
        say(self.hint, "")
        self.refresh()

    def refresh(self) -> None:
        """Proposals, slices or the training state have changed."""
        session = self._session
        none = session is None or not session.proposals
        reason = _NO_PROPOSAL if none else ""
        self.legend.setEnabled(not none)
        self.legend.setToolTip(f"Not now: {reason}" if reason else "")
        allow(self.next, reason, "Go to the slice whose correction helps most (key N)")
        allow(self.accept, reason, "Take this slice of the proposal as a reference (key K, keep)")
        if session is None or none:
            allow(self.retrain, reason, "")
            self.set_state("")
            return
        allow(self.retrain, session.why_not_train(), "Train on, with all that you corrected")
        for slug, proposal in sorted(session.proposals.items(), reverse=True):
            if slug not in self.buttons:
                button = QPushButton(proposal.name)
                button.setCheckable(True)
                button.clicked.connect(lambda checked, slug=slug: self._activate(slug))
                self._group.addButton(button)
                self._choice.addWidget(button)
                self.buttons[slug] = button
            self.buttons[slug].setChecked(slug == session.active)
            self.buttons[slug].setToolTip(f"Show and edit the proposal “{proposal.name}”")
        self.show_quality()
        index = session.references.current_slice()
        known = session.references.states[index] == SliceState.WHOLE
        self.accept.setText("Accept again" if known else "Accept slice")
        done = len(session.references.references())
        self.set_state(f"{done} of {len(session.references.states)} slices known")

    def show_quality(self) -> None:
        """Show the estimated Dice of the active proposal."""
        session = self._session
        estimate = session.estimates.get(session.active) if session is not None else None
        if estimate is None:
            say(self.quality, "Estimated Dice: needs at least three reference slices.")
            return
        classes = ", ".join(f"{name} {value:.2f}" for name, value in estimate.dice.items())
        say(
            self.quality,
            f"Estimated Dice {estimate.mean:.2f} ({estimate.low:.2f} to {estimate.high:.2f}): "
            f"{classes}. {estimate.how}",
        )

    def show_shares(self, slug: str, shares: dict[str, float]) -> None:
        """Show the region shares of a proposal when it is the active one."""
        if self._session is not None and slug == self._session.active:
            self.legend.set_shares(shares)

    def _activate(self, slug: str) -> None:
        if self._session is not None:
            self._session.activate(slug)

    def _on_regions(self, shown: set[int]) -> None:
        if self._session is not None:
            self._session.regions.set_shown(shown)

    def _on_next(self) -> None:
        session = self._session
        if session is None:
            return
        suggestion = session.suggest()
        if suggestion is None:
            say(self.hint, "Every slice is known: export in step 5.")
            return
        session.go_to(suggestion.index)
        say(self.hint, f"Slice {suggestion.index}: {suggestion.reason}.")

    def _on_accept(self) -> None:
        session = self._session
        if session is None:
            return
        try:
            index = session.references.current_slice()
            session.accept_slice(index)
            say(self.hint, f"Slice {index} is a reference now. Undo: Ctrl+Z on References.")
        except ValueError as error:
            self.trouble.emit(str(error))
