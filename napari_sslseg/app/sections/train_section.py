"""Step 3: train, and watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QWidget,
)

from ...training import wording
from ...training.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Loss,
    MadeWay,
    NetworkBroken,
    NetworkUnsaved,
    Planned,
    Progress,
    ProposalReady,
    Quality,
    Started,
)
from ...training.request import DEVICES, PRESETS, TrainRequest
from ..chart import TrainingChart
from ..keeping_up import KeepingUp
from ..place_choice import PlaceChoice
from ..spoken_training import brief_plan, spoken_left, spoken_start
from ..step import Step, allow, hint_label, narrow, once, say, spoken_duration
from ..training_run import RunState

if TYPE_CHECKING:
    from ..session import Session

BUDGETS = {
    "30 seconds": 30.0,
    "1 minute": 60.0,
    "2 minutes": 120.0,
    "5 minutes": 300.0,
    "15 minutes": 900.0,
    "1 hour": 3600.0,
}
_DEVICE_WORDS = {"auto": "Automatic", "cpu": "Processor (CPU)", "cuda": "GPU", "mps": "Apple GPU"}


class TrainSection(Step):
    """Form, buttons, progress and live plot."""

    train_wanted = Signal(object)
    restart_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__(3, "Train")
        self._session: Session | None = None
        self._keeping_up: KeepingUp | None = None
        self._now, self._makes_way = "", False
        #: What is said to be missing for training.
        self._missing = ""
        #: Whether the references of the project's other volumes shall teach as well.
        self.others_teach: Callable[[], bool] = lambda: True
        self.method = ComboBox(
            label="Method",
            choices=[(text, name) for name, text in PRESETS.items()],
            value="auto",
            tooltip="How the unlabelled slices are used",
        )
        self.budget = ComboBox(
            label="Time",
            choices=list(BUDGETS.items()),
            value=60.0,
            tooltip="First proposals come within seconds; training makes them better",
        )
        self.device = ComboBox(
            label="Device",
            choices=[(_DEVICE_WORDS[name], name) for name in DEVICES],
            value="auto",
            tooltip="Automatic takes a GPU when there is one",
        )
        self.computer = PlaceChoice()
        self.computer.said.connect(self._tell)
        self.computer.changed.connect(self._on_computer)
        # Not magicgui's own container, whose boxes begin at different places.
        self.form = QWidget()
        form = QFormLayout(self.form)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        for widget in (self.method, self.budget, self.device):
            form.addRow(widget.label, narrow(widget.native))
        form.insertRow(2, "Computer", self.computer)
        self.train = QPushButton("Train")
        self.pause = QPushButton("Pause")
        self.cancel = QPushButton("Cancel")
        self.train.clicked.connect(self._on_train)
        once(self.train)
        self.pause.clicked.connect(self._on_pause)
        self.cancel.clicked.connect(self._on_cancel)
        row = QHBoxLayout()
        row.addWidget(self.train, 2)
        row.addWidget(self.pause, 1)
        row.addWidget(self.cancel, 1)
        self.again = hint_label()
        self.restart = QPushButton("Restart")
        self.go_on = QPushButton("Go on")
        self.restart.setToolTip("Stop this run and start again with all that you painted")
        self.go_on.setToolTip("Let this run come to its end")
        self.restart.clicked.connect(self._on_restart)
        self.go_on.clicked.connect(self._leave_it)
        answer = QHBoxLayout()
        answer.addWidget(self.restart)
        answer.addWidget(self.go_on)
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(True)
        self.bar.setFormat("")
        self.hint = hint_label()
        self.keep_up = QCheckBox("Update proposals after each reference")
        self.keep_up.setToolTip(
            "When you accept or mark a slice, the others are proposed anew within seconds.\n"
            "The network is not trained for that; Retrain does."
        )
        self.keep_up.toggled.connect(self._on_keep_up)
        self.chart = TrainingChart()
        self.rows.addLayout(row)  # first: it is in sight on a small screen, and stays in its place
        self.rows.addWidget(self.again)
        self.rows.addLayout(answer)
        self.rows.addWidget(self.bar)
        self.rows.addWidget(self.hint)
        self.rows.addWidget(self.form)
        self.rows.addWidget(self.keep_up)
        self.rows.addWidget(self.chart)
        self.set_session(None)

    def set_session(self, session: Session | None) -> None:
        """Show a session."""
        self._session = session
        self.bar.setValue(0)
        self.bar.setFormat("")
        self.bar.setToolTip("")
        say(self.hint, "")
        self.chart.clear()
        self._leave_it()
        if self._keeping_up is not None:
            self._keeping_up.end()
            self._keeping_up = None
        if session is not None:
            self._keeping_up = KeepingUp(session, self.request, self)
            self._keeping_up.said.connect(self._tell)
            self.keep_up.setChecked(self._keeping_up.on)
        self.refresh()

    def request(self) -> TrainRequest:
        """Return what the form asks for."""
        return TrainRequest(
            preset=str(self.method.value),
            seconds=float(self.budget.value),
            device=str(self.device.value),
            others=self.others_teach(),
        )

    def refresh(self) -> None:
        """Enable what makes sense now."""
        session = self._session
        state = session.training.state if session is not None else RunState.IDLE
        # An update comes and goes beside all the rest, and makes room for it.
        updating = session is not None and session.training.updating
        busy = state is not RunState.IDLE and not updating
        reason = "start labelling a volume first." if session is None else session.why_not_train()
        self.train.setText("Retrain" if session is not None and session.proposals else "Train")
        tip = "Train in the background; you can go on painting"
        allow(self.train, reason, "Training is running; press to restart it" if busy else tip)
        if not busy or (session is not None and session.new_ink and self.restart.isHidden()):
            self._leave_it()
        idle = "" if busy or updating else "nothing is running."
        allow(self.cancel, idle, "Stop within a second; the last good model and proposals stay")
        self.pause.setText("Resume" if state is RunState.PAUSED else "Pause")
        allow(self.pause, idle or _wait(state), "Training waits; nothing is lost")
        # Choices that cannot be changed now only take room from the plot and the review.
        self.form.setVisible(not busy)
        self.keep_up.setVisible(not busy and session is not None)
        self.chart.setVisible(busy or bool(self.chart.losses))
        if not busy and session is not None and not session.proposals:
            missing = reason or _unpainted(session)
            # Why a run stopped is still to be read.
            if missing or self.hint.text() == self._missing:
                say(self.hint, missing)
            self._missing = missing
        words = {
            RunState.STARTING: "starting",
            RunState.RUNNING: "running",
            RunState.PAUSED: "paused",
            RunState.CANCELLING: "stopping",
        }
        self.set_state("updating" if updating else words.get(state, ""))
        if busy and state is RunState.STARTING:
            self.bar.setFormat("Starting…")
        elif busy and state is RunState.PAUSED:
            self.bar.setFormat("Paused")
        self.bar.setVisible(busy or bool(self.bar.format()))

    def follow(self, event: Event) -> None:
        """Show what the trainer says."""
        if self._session is not None and self._session.training.update:
            if isinstance(event, Failed):
                say(self.hint, event.message)
            return
        if isinstance(event, Started):
            self._now, self._makes_way = "", False
            say(self.hint, spoken_start(event, self._host()))
            self.bar.setToolTip("")
        elif isinstance(event, Planned):
            say(self.hint, brief_plan(event, self._host()))
            self.bar.setToolTip(wording.plan(event))
        elif isinstance(event, NetworkBroken | NetworkUnsaved):
            say(self.hint, wording.said(event))
        elif isinstance(event, Progress):
            self.bar.setValue(int(1000 * event.fraction))
            when = spoken_left(event.seconds_left)
            doing = wording.phase(event)
            self._now = f"{doing}, {when}" if when else doing
            self._show_progress()
        elif isinstance(event, MadeWay):
            self._makes_way = event.waiting
            self._show_progress()
        elif isinstance(event, Loss):
            self.chart.add_loss(event.seconds, event.total)
        elif isinstance(event, Quality):
            self.chart.add_quality(event.seconds, event.dice, event.baseline)
        elif isinstance(event, ProposalReady):
            say(self.hint, f"New proposal: {event.name}. {self._where_to_look()}")
        elif isinstance(event, Finished):
            self.bar.setValue(1000)
            self.bar.setFormat(f"Done in {spoken_duration(event.seconds)}")
        elif isinstance(event, Cancelled):
            self.bar.setFormat("Cancelled")
            say(self.hint, "Stopped. The last good model and the proposals so far are kept.")
        elif isinstance(event, Failed):
            self.bar.setFormat("Stopped")
            say(self.hint, event.message)

    def _where_to_look(self) -> str:
        """Say where a proposal is seen: not on a reference, which shows ink alone."""
        references = self._session.references if self._session is not None else None
        if references is None or references.current_slice() not in references.references():
            return "Look at it in step 4."
        return "Look at it in step 4, on a slice that is no reference."

    def _show_progress(self) -> None:
        """Say what the trainer does, or why it does nothing."""
        self.bar.setFormat("Makes way while you work" if self._makes_way else self._now)

    def _on_train(self) -> None:
        if self._session is not None and self._session.why_not_train():
            self.refresh()
            return
        if self._session is not None and self._session.training.asked_for:
            self._ask()
            return
        self.chart.clear()
        self.bar.setValue(0)
        self.train_wanted.emit(self.request())

    def _ask(self) -> None:
        assert self._session is not None
        new = self._session.new_ink
        running = "Training is running with all that you painted."
        asked = "Training is running without what you painted since. Restart it with that?"
        say(self.again, asked if new else running)
        self.restart.setVisible(new)
        self.go_on.setVisible(new)

    def _leave_it(self) -> None:
        say(self.again, "")
        self.restart.hide()
        self.go_on.hide()

    def _on_restart(self) -> None:
        self._leave_it()
        self.chart.clear()
        self.bar.setValue(0)
        self.restart_wanted.emit(self.request())

    def _on_pause(self) -> None:
        if self._session is None:
            return
        if self._session.training.state is RunState.PAUSED:
            self._session.training.resume()
        else:
            self._session.training.pause()

    def _host(self) -> str:
        return self._session.training.host if self._session is not None else ""

    def _on_computer(self) -> None:
        if self._session is not None:
            self._session.training.warm_up()

    def _tell(self, text: str) -> None:
        say(self.hint, text)

    def _on_keep_up(self, wanted: bool) -> None:
        if self._keeping_up is not None and self._keeping_up.on != wanted:
            self._keeping_up.on = wanted

    def _on_cancel(self) -> None:
        if self._session is not None:
            self._session.training.cancel()


def _unpainted(session: Session) -> str:
    """Name the classes of which nothing can be learned here; other volumes may teach them."""
    painted = set(session.references.index.painted())
    names = ", ".join(item.name for item in session.classes if item.id not in painted)
    return f"Not painted in this volume yet: {names}." if names else ""


def _wait(state: RunState) -> str:
    return "" if state in (RunState.RUNNING, RunState.PAUSED) else "a moment, please."
