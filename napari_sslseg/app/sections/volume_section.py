"""Step 1: which image, sliced along which axis, with which classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
)

from ...volume.annotation import SliceState
from ..axis_words import axis_word, is_time
from ..channel_list import ChannelList
from ..channels import VOLUME, channels_of, leaders
from ..class_list import ClassList
from ..contrast import follow
from ..head_up import HeadUp
from ..image_opening import OpenImage
from ..image_source import default_axis, finest, projects_folder, spacing_of, suitable
from ..label_importing import LabelImport
from ..label_offer import offer_labels, say_how_to_import
from ..layer_roles import METADATA
from ..listening import Listening
from ..orientation_letters import OrientationLetters
from ..step import Step, allow, brief_path, hint_label, narrow, say
from .axis_question import AxisQuestion
from .known_image import KnownImage
from .recent_projects import RecentProjects

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image

    from ..known_projects import KnownProject
    from ..session import Session

#: What the button says that makes a project, and where the image has one.
_START, _START_ANEW = "Start labelling", "Start a new one"


class VolumeSection(Step):
    """Choose the image and start, or open an earlier project."""

    start_wanted = Signal(object, int)
    open_wanted = Signal(object)
    close_wanted = Signal()
    done = Signal()
    """There is a first reference: the classes are named, and the volume is being labelled."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(1, "Volume")
        self._viewer = viewer
        self._session: Session | None = None
        self._listening = Listening()
        self._busy = False
        #: Whether any slice is a reference.
        self._begun = False

        self.recent = RecentProjects()
        self.recent.open_wanted.connect(self.open_wanted)

        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        self.image = narrow(QComboBox())
        self.image.setToolTip("The volume to segment")
        self.image.currentIndexChanged.connect(self._on_image)
        self.axis = narrow(QComboBox())
        self.axis.setToolTip("Slices are looked at and labelled along this axis")
        self.axis.activated.connect(self._on_axis)
        self.axis_question = AxisQuestion()
        self.axis_question.answered.connect(self._turn)
        self.open_image = OpenImage(viewer)
        self.open_image.busy.connect(self.set_busy)
        self.open_image.opened.connect(self._choose_image)
        images = QHBoxLayout()
        images.addWidget(self.image, 1)
        images.addWidget(self.open_image)
        self.channels = ChannelList(viewer)
        self.channels.busy.connect(self.set_busy)
        self.channels.changed.connect(self.refresh_images)
        self.remarks = hint_label()
        form.addRow("Image", images)
        form.addRow(self.remarks)
        form.addRow("Channels", self.channels)
        self._channels_label = form.labelForField(self.channels)
        form.addRow("Slices", self.axis)
        form.addRow(self.axis_question)

        self.classes = ClassList()
        self.label_import = LabelImport()
        self.label_import.said.connect(self.open)
        self.label_import.axis_taken.connect(self.axis.setCurrentIndex)
        self.known = KnownImage()
        self.known.continue_wanted.connect(self.open_wanted)
        self.known.found.connect(self._on_known)
        self.start = QPushButton(_START)
        self.start.clicked.connect(self._on_start)
        self.other = QPushButton("Open project…")
        self.other.setToolTip("Open a project folder")
        self.other.clicked.connect(self._choose_folder)
        self.leave = QPushButton("Close project")
        self.leave.setToolTip("Everything is saved; the project can be continued later")
        self.leave.clicked.connect(self.close_wanted)
        self.leave.hide()
        buttons = QHBoxLayout()
        buttons.addWidget(self.start, 1)
        buttons.addWidget(self.other)
        self.label_import.row.addWidget(self.leave, 1)
        self.hint = hint_label()

        self.rows.addWidget(self.recent)
        self.rows.addLayout(form)
        self.rows.addWidget(self.classes)
        self.rows.addWidget(self.label_import)
        self.rows.addWidget(self.known)
        self.rows.addLayout(buttons)
        self.rows.addWidget(self.hint)
        self.classes.hide()
        follow(viewer)
        self.letters = OrientationLetters(viewer)
        self.head_up = HeadUp(viewer)
        self.destroyed.connect(self.letters.remove)
        self.destroyed.connect(self.head_up.remove)
        viewer.layers.events.inserted.connect(self.refresh_images)
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self.refresh_images)
        self.recent.refresh(wanted=True)
        self.refresh_images()

    # -- what the panel calls -------------------------------------------------------------

    def set_session(self, session: Session | None) -> None:
        """Show a session, or the way to one."""
        self._listening.end()
        self._session = session
        self._busy = False
        self._begun = session is None or bool(session.references.references())
        self.axis_question.hide()
        self.classes.setVisible(session is not None)
        self.label_import.set_session(session)
        self.start.setVisible(session is None)
        self.open_image.setVisible(session is None)
        self.other.setVisible(session is None)
        self.leave.setVisible(session is not None)
        self.image.setEnabled(session is None)
        self.image.setToolTip(
            "The volume to segment"
            if session is None
            else "Not now: close the project to choose another image."
        )
        if session is not None:
            self._listening.to(session.slices_changed, self._on_slices)
            self._list_axes(session.image, session.project.axis)
            self.show_classes()
            self._say_how(session)
        self.hint.setToolTip("" if session is None else str(session.project.path))
        self.recent.refresh(wanted=session is None)
        self.known.look_for(None)  # the project that is left now may be that of the image
        self.refresh_images()

    def take(self, path: Path, show: Callable[[], None]) -> None:
        """Take what was dropped: the image to start with, or labels of the one that is labelled.

        Parameters
        ----------
        path : Path
        show : callable
            Adds it as layers; called where it is neither.
        """
        if self._session is not None:
            offer_labels(path, self.label_import, lambda: self._show_beside(show))
        elif not self.open_image.take(path):
            show()

    def set_busy(self, text: str) -> None:
        """Say that a project is being made or opened; empty when that is over."""
        self._busy = bool(text)
        say(self.hint, text)
        self._allow()

    def show_classes(self) -> None:
        """Show the session's class table."""
        if self._session is not None:
            self.classes.show_table(self._session.classes, self._session.class_editing.current())

    def refresh_images(self, event: object = None) -> None:
        """List the image layers."""
        chosen = self._session.image if self._session is not None else self.image.currentData()
        self.image.blockSignals(True)
        self.image.clear()
        for layer in leaders(self._viewer.layers):
            channels = channels_of(self._viewer.layers, layer)
            more = f" and {len(channels) - 1} more" if len(channels) > 1 else ""
            if name := layer.metadata.get(METADATA, {}).get(VOLUME):  # one file holds them all
                self.image.addItem(f"{name}, {len(channels)} channels", layer)
            else:
                self.image.addItem(f"{layer.name}{more}", layer)
            if chosen in channels:
                self.image.setCurrentIndex(self.image.count() - 1)
        self.image.blockSignals(False)
        self._on_image()

    # -- inside ---------------------------------------------------------------------------

    def _show_beside(self, show: Callable[[], None]) -> None:
        """Add layers, and leave the brush with the layer that it paints on."""
        selection = self._viewer.layers.selection
        active = selection.active
        show()
        selection.active = active

    def _on_inserted(self, event: Any) -> None:
        if self._session is not None:
            say_how_to_import(event.value)

    def _say_how(self, session: Session) -> None:
        path = brief_path(self.hint, session.project.path)
        begin = "The brush is ready: draw on a slice. Hold Space to move the picture.\n"
        begun = bool((session.references.states != SliceState.EMPTY).any())
        begun |= bool(session.proposals or session.project.proposal_slugs())
        say(self.hint, f"{'' if begun else begin}Saved as you work in\n{path}")

    def _on_slices(self) -> None:
        session = self._session
        if self._begun or session is None:
            return
        self._say_how(session)
        if session.references.references():
            self._begun = True
            self.done.emit()

    def _on_image(self, index: int = 0) -> None:
        layer = self.image.currentData()
        if self._session is None:
            reason = suitable(layer) if layer is not None else ""
            if layer is not None and not reason:
                self._list_axes(layer, default_axis(spacing_of(layer)))
            else:
                self.axis.clear()
            self.known.look_for(None if reason else layer)
        shown = self._session.image if self._session is not None else layer
        self.channels.set_image(shown, fixed=self._session is not None)
        # Of a single channel that was taken into a project there is nothing to say.
        told = self._session is None or len(self.channels.members()) > 1
        self._channels_label.setVisible(told)
        self.channels.setVisible(told)
        self.letters.show(shown)
        self.head_up.show(shown)
        said = layer.metadata.get(METADATA, {}).get("remarks", ()) if layer is not None else ()
        say(self.remarks, "" if self._session is not None else "\n".join(said))
        self._allow()

    def _on_known(self, known: list[KnownProject]) -> None:
        self.recent.choose(known)
        self.start.setText(_START_ANEW if known else _START)

    def _choose_image(self, layer: Image) -> None:
        shown = channels_of(self._viewer.layers, layer)
        row = self.image.findData(shown[0]) if shown else -1
        if self._session is None and row >= 0:
            self.image.setCurrentIndex(row)

    def _list_axes(self, layer: Image, chosen: int) -> None:
        unit = str(layer.units[-1]) if layer.units else ""
        unit = {"millimeter": "mm", "micrometer": "µm", "pixel": "px"}.get(unit, unit)
        shape, steps = finest(layer).shape, spacing_of(layer)
        self.axis.clear()
        for axis in range(3):
            word, step = axis_word(layer, axis), f"{steps[axis]:.3g} {unit}".strip()
            many = "time points" if is_time(layer, axis) else f"slices of {step}"
            self.axis.addItem(f"{word}: {shape[axis]} {many}", axis)
        self.axis.setCurrentIndex(chosen)

    def _on_axis(self, index: int) -> None:
        if self._session is None:
            return
        # Scribbles are as much worth along any axis; references are none along another one.
        labelled = len(self._session.references.references())
        if int(self.axis.currentData()) == self._session.project.axis:
            self.axis_question.hide()
        elif labelled:
            self.axis_question.ask(labelled)
        else:
            self._turn(True)

    def _turn(self, turn: bool) -> None:
        """Slice along the chosen axis, or choose the one again that is in use."""
        session = self._session
        if session is None:
            return
        if turn:
            session.set_axis(int(self.axis.currentData()))
        else:
            self.axis.setCurrentIndex(self.axis.findData(session.project.axis))

    def _on_start(self) -> None:
        self.start_wanted.emit(self.image.currentData(), int(self.axis.currentData() or 0))

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open project", str(projects_folder()))
        if chosen:
            self.open_wanted.emit(Path(chosen))

    def _allow(self) -> None:
        layer = self.image.currentData()
        if self._busy:
            reason = "a moment, please."
        elif layer is None:
            reason = "open an image first (or drop a file on the window, or File ▸ Open Sample)."
        else:
            reason = suitable(layer)
            reason = f"{reason}." if reason else ""
        allow(self.start, reason, "Make a project for this image and a layer to label it on")
        self.recent.button.setEnabled(not self._busy)
        self.known.button.setEnabled(not self._busy)
        self.other.setEnabled(not self._busy)
        self.open_image.setEnabled(not self._busy)
        self.channels.setEnabled(not self._busy)
        if self._session is None and not self._busy:
            told = f"To start, {reason}" if layer is None else reason
            say(self.hint, told[:1].upper() + told[1:])
        if self._session is not None:
            image = self._session.image
            self.set_state(image.metadata.get(METADATA, {}).get(VOLUME) or image.name)
        else:
            self.set_state("")
