"""Step 2: the reference slices."""

from __future__ import annotations

import time
import zlib
from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
)

from ...acquisition.content import Content, look_at
from ...acquisition.registry import create
from ...volume.annotation import SliceState
from ..axis_words import slice_word
from ..background import in_background
from ..head_up import picture_rows
from ..image_source import finest
from ..key_settings import Keys
from ..marking import AtStake, at_stake, shows_object
from ..reference_layer import NotNowError
from ..step import Step, allow, hint_label, once, say
from ..thumbnails import icon, slice_picture
from .extent_line import ExtentLine
from .mark_question import MarkQuestion

if TYPE_CHECKING:
    from ..session import Session

_INDEX = Qt.ItemDataRole.UserRole
#: References to begin with; more are suggested after the first proposals.
FIRST_REFERENCES = 3
_DRAW_SECONDS = 0.012

#: Pixels of a picture, beside and between the pictures.
_PICTURE, _BESIDE, _GAP = 56, 10, 2


class ReferencesSection(Step):
    """Thumbnails of the labelled slices, and the button that makes one.

    Parameters
    ----------
    keys : Keys
        Named in the tooltips.
    """

    def __init__(self, keys: Keys) -> None:
        super().__init__(2, "References")
        self._session: Session | None = None
        self._keys = keys
        #: What the pictures were drawn from, by slice.
        self._seen: dict[int, Hashable] = {}
        #: What is told of all slices, and the states of these that it is told of.
        self._told: tuple[bytes, str] | None = None
        self.list = QListWidget()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setFlow(QListView.Flow.LeftToRight)
        self.list.setWrapping(False)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setIconSize(QSize(_PICTURE, _PICTURE))
        self.list.setSpacing(_GAP)
        self.list.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(self._go)
        # It keeps its height: what lies below must not move when the first picture comes.
        self.empty = QLabel("Slices that you label appear here.")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setWordWrap(True)
        QVBoxLayout(self.list.viewport()).addWidget(self.empty)
        self.mark = QPushButton("Mark this slice as reference")
        self.mark.clicked.connect(self._on_mark)
        once(self.mark)  # it says “Not a reference after all” then
        self.suggest = QPushButton("Suggest")
        self.suggest.clicked.connect(self._on_suggest)
        row = QHBoxLayout()
        row.addWidget(self.mark, 1)
        row.addWidget(self.suggest)
        self.hint = hint_label()
        self.rows.addWidget(self.list)
        self.extent = ExtentLine()
        self.question = MarkQuestion()
        self.question.accept_wanted.connect(lambda stake: self._on_answer(stake, accept=True))
        self.question.background_wanted.connect(lambda stake: self._on_answer(stake, accept=False))
        self.rows.addLayout(row)
        self.rows.addWidget(self.hint)
        self.rows.addWidget(self.question)
        self.rows.addWidget(self.extent)
        # Thumbnails are drawn a little after the stroke, not during it.
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(250)
        self._timer.timeout.connect(self._draw_all)
        # Many are drawn a few at a time, so that the viewer goes on meanwhile.
        self._row = 0
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.setInterval(0)
        self._more.timeout.connect(self._draw)
        self.set_session(None)

    def set_session(self, session: Session | None) -> None:
        """Show a session's references."""
        if self._session is not None:
            self._session.image.events.contrast_limits.disconnect(self._on_contrast)
        self._session = session
        self._seen, self._told = {}, None
        self.question.drop()
        self.extent.set_session(session)
        self.list.clear()
        self.empty.setVisible(session is not None)
        self._fit()
        if session is not None:
            session.image.events.contrast_limits.connect(self._on_contrast)
            self._draw_all()
        self.refresh()

    def tell(self, text: str) -> None:
        """Say something of all slices, until the state of one changes."""
        if self._session is not None:
            self._told = (self._session.references.states.tobytes(), text)
            self.refresh()

    def refresh(self) -> None:
        """Ink or the slice in view has changed."""
        session = self._session
        self.extent.refresh()
        if session is None:
            allow(self.mark, "start labelling a volume first.", "")
            allow(self.suggest, "start labelling a volume first.", "")
            say(self.hint, "")
            self.set_state("")
            return
        index = session.references.current_slice()
        name = f"{slice_word(session.image, session.project.axis)} {index}"
        state = SliceState(int(session.references.states[index]))
        whole, partial = session.references.references(), session.references.partial()
        asked = self.question.asked
        if asked is not None and (
            (asked.axis, asked.index) != (session.references.axis, index)
            or state is SliceState.WHOLE
        ):
            self.question.drop()
        if state is SliceState.WHOLE:
            self.mark.setText("Not a reference after all")
            tip = "Take back the background of this slice that you have not painted yourself"
            allow(self.mark, "", tip)
            text = f"{name} is a reference" + (
                "." if shows_object(session, index) else ": all of it is background."
            )
            text += _what_next(session, len(whole))
        else:
            self.mark.setText("Mark this slice as reference")
            tip = "All that you have not painted or corrected in this slice becomes background"
            allow(self.mark, "", tip + self._key("accept"))
            text = (
                f"{name} is outside of the object, as you said."
                if session.extent.outside()[index] and state is SliceState.EMPTY
                else f"{name}: {_how(session)}"
                if state is SliceState.EMPTY
                else f"{name} has some ink; mark it when it is complete, or leave it partial."
            )
        allow(
            self.suggest,
            "after a proposal exists, use Next slice in step 4." if session.proposals else "",
            f"Go to a slice that is worth labelling first{self._key('next_slice')}",
        )
        told = None if session.proposals else self._told
        if told is not None and told[0] == session.references.states.tobytes():
            text = f"{told[1]} {text}"
        say(self.hint, text)
        count = f"{len(whole)} whole" + (f", {len(partial)} partial" if partial else "")
        self.set_state(count if whole or partial else "none yet")
        self._timer.start()

    def _key(self, name: str) -> str:
        """Name a key that acts here until something is proposed."""
        proposed = self._session is not None and self._session.proposals
        return "" if proposed else f" (key {self._keys.by_name[name]})"

    def _on_mark(self) -> None:
        session = self._session
        if session is None:
            return
        index = session.references.current_slice()
        try:
            if session.references.states[index] == SliceState.WHOLE:
                session.references.unmark(index)
            elif (stake := at_stake(session, index)) is not None:
                # The picture would go on showing the object, and the reference be without it.
                say(self.hint, "")
                self.question.ask(stake)
            else:
                self._make_background(session, index)
        except NotNowError as error:
            say(self.hint, str(error))

    def _on_answer(self, stake: AtStake, accept: bool) -> None:
        session = self._session
        if session is None or session.references.axis != stake.axis:
            return
        try:
            if accept:
                session.accept_slice(stake.index)
            else:
                self._make_background(session, stake.index)
        except ValueError as error:
            say(self.hint, str(error))

    def _make_background(self, session: Session, index: int) -> None:
        """Make background of all that has no word, and say so where there is nothing else."""
        session.references.mark(index)
        if not shows_object(session, index):
            name = f"{slice_word(session.image, session.project.axis)} {index}"
            say(self.hint, f"{name}: all of it is background now. Undo: Ctrl+Z.")

    def _on_suggest(self) -> None:
        session = self._session
        if session is None:
            return
        project, axis = session.project, session.project.axis
        ends = session.extent.said.ends

        def done(content: Content) -> None:
            if session is self._session and axis == session.project.axis:
                self._go_to_first(session, content)

        # The project's own copy is mapped; a lazy image would be decoded as a whole.
        in_background(lambda: look_at(project.image(), axis, ends), done, self._tell, self)

    def _tell(self, error: Exception) -> None:
        say(self.hint, str(error))

    def _go_to_first(self, session: Session, content: Content) -> None:
        references = session.references
        inked = {*references.references(), *references.partial()}
        current = references.current_slice()
        strategy, wanted = create(), FIRST_REFERENCES
        todo: list[int] = []
        while not todo:
            chosen = (
                strategy.further(content, inked, wanted)
                if inked
                else strategy.first(content, wanted)
            )
            # Who asks again gets the next one of them; after the last it begins anew.
            after = chosen.index(current) + 1 if current in chosen else 0
            todo = [z for z in (*chosen[after:], *chosen[:after]) if z != current]
            if wanted >= content.depth:
                break
            wanted += 2
        if todo:
            session.go_to(todo[0])
        else:
            say(self.hint, "Nothing more to suggest: all others that show something have ink.")

    def _go(self, item: QListWidgetItem) -> None:
        if self._session is not None:
            self._session.go_to(int(item.data(_INDEX)))

    def _on_contrast(self, event: object = None) -> None:
        self._timer.start()

    def _fit(self) -> None:
        """Be as high as a row of pictures with their words in the font, and its scroll bar."""
        high = _PICTURE + self.list.fontMetrics().height() + 8
        size = QSize(_PICTURE + _BESIDE, high)
        for row in range(self.list.count()):
            if self.list.item(row).sizeHint() != size:
                self.list.item(row).setSizeHint(size)
        bar = self.list.horizontalScrollBar().sizeHint().height()
        self.list.setFixedHeight(high + 2 * _GAP + 2 * self.list.frameWidth() + bar)

    def _draw_all(self) -> None:
        """Draw from the first picture on: what is drawn already may look otherwise now."""
        self._row = 0
        self._draw()

    def _draw(self) -> None:
        session = self._session
        if session is None:
            return
        references = session.references
        shown = sorted([*references.references(), *references.partial()])[:200]
        accepted = set(session.accepted_slices())
        image = np.moveaxis(finest(session.image), session.project.axis, 0)
        limits = (float(session.image.contrast_limits[0]), float(session.image.contrast_limits[1]))
        if shown != [int(self.list.item(i).data(_INDEX)) for i in range(self.list.count())]:
            self.list.clear()
            self._seen = {}
            for index in shown:
                item = QListWidgetItem()
                item.setData(_INDEX, index)
                self.list.addItem(item)
            self._row = 0
        self.empty.setVisible(not shown)
        self._fit()
        look = (session.project.axis, limits, tuple((c.id, c.color) for c in session.classes))
        end = time.monotonic() + _DRAW_SECONDS
        while self._row < len(shown):
            if time.monotonic() > end:
                self._more.start()
                return
            row, index = self._row, shown[self._row]
            self._row += 1
            ink = references.slice_ink(index)
            item = self.list.item(row)
            words = {SliceState.WHOLE: "reference", SliceState.PARTIAL: "partly labelled"}
            word = words.get(SliceState(int(references.states[index])), "")
            if index in accepted:
                word = "accepted"
            mark = {"partly labelled": "◐", "accepted": "✓"}.get(word, "●")
            item.setText(f"{mark} {index}")
            name = f"{slice_word(session.image, session.project.axis)} {index}"
            item.setToolTip(f"{name}: {word}. Click to go there.")
            drawn_from = (*look, zlib.crc32(ink.tobytes()))
            if self._seen.get(index) != drawn_from:
                self._seen[index] = drawn_from
                rows = picture_rows(session.image, session.project.axis)
                picture = slice_picture(image[index][rows], ink[rows], session.classes, limits)
                item.setIcon(icon(picture))


def _what_next(session: Session, whole: int) -> str:
    """Say what follows the first references; later, step 4 says it."""
    if session.proposals:
        return ""
    if whole < FIRST_REFERENCES:
        more = "One more is" if FIRST_REFERENCES - whole == 1 else "Two more are"
        return f" {more} a good start: Suggest goes to one."
    return " Train in step 3, or label more."


def _how(session: Session) -> str:
    """Say how a slice without ink becomes a reference."""
    if session.shelf.in_view() is None:
        enough = len(session.references.references()) >= FIRST_REFERENCES
        how = "paint every class, then mark it as reference"
        return f"{how}, or train in step 3." if enough else f"{how}."
    return "accept what is proposed, in step 4, or paint every class and mark it."
