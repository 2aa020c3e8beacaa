"""The dock panel: the loop in five steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_warning
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QApplication, QVBoxLayout, QWidget

from ..training.events import (
    Event,
    Failed,
    Finished,
    Loss,
    MadeWay,
    Progress,
    ProposalReady,
    Quality,
)
from ..training.request import TrainRequest
from .after_import import follow_imports
from .background import in_background
from .calm_keys import CalmKeys
from .channels import channels_of
from .class_wishes import ClassWishes
from .closing import WindowClosing
from .cohort_view import CohortView
from .dropping import DroppedFiles
from .first_labels import prepare_labels, prepare_labels_soon
from .image_layers import claim
from .key_help import KeyHelp
from .key_settings import Keys, napari_keys
from .keys import bind_keys
from .orthogonal_views import OrthogonalViews
from .panel_column import PanelColumn
from .panel_style import PanelStyle
from .project_lock import ProjectLock
from .scrolling import Scrolling
from .sections.export_section import ExportSection
from .sections.references_section import ReferencesSection
from .sections.review_section import ReviewSection
from .sections.train_section import TrainSection
from .sections.volume_section import VolumeSection
from .sections.volumes_section import VolumesSection
from .session import Session
from .software_rendering import keep_shader_programs
from .starting import adoptable, start_first_project
from .step import say
from .switching import LoadedVolume, Switching, load_volume
from .top_bar import TopBar
from .volume_showing import show_in_turns, take_away

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from napari.layers import Image


class LoopPanel(QWidget):
    """Volume, References, Train, Review, Export.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer that the panel works in; napari passes it.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        keep_shader_programs()
        prepare_labels_soon()
        # napari hands plugins a proxy, none of whose layers is one that its events tell of.
        self.viewer = viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.session: Session | None = None
        self.volume = VolumeSection(viewer)
        self.cohort = CohortView(self)
        self.volumes = VolumesSection(self.cohort)
        self.switching = Switching(self)
        self.lock = ProjectLock()
        self.closing = WindowClosing(self, self._end)
        self.keys = Keys(napari_keys())
        self.references = ReferencesSection(self.keys)
        self.train = TrainSection()
        self.bound_keys: list[str] = []
        self.key_help: KeyHelp | None = None
        self.top = TopBar()
        self.planes = OrthogonalViews(viewer)
        self.scrolling = Scrolling(viewer, self)
        self.review = ReviewSection(self.keys)
        self.export = ExportSection()
        loop = (self.references, self.train, self.review, self.export)
        self.steps = (self.volume, self.volumes, *loop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.top)
        self.column = PanelColumn(self.steps)
        layout.addWidget(self.column, 1)
        PanelStyle(viewer, self)
        CalmKeys(self)
        DroppedFiles(viewer, self, self.volume.take)
        self._connect()
        self._follow_theme()
        self.volume.open()

    # -- opening and closing --------------------------------------------------------------

    def start(self, image: Image, axis: int) -> None:
        """Make a project for an image layer and begin; a References layer in view is adopted."""
        if self.session is not None or self.switching.under_way or image is None:
            return
        layers = self.viewer.layers
        adopted, channels = adoptable(layers, image), channels_of(layers, image)
        self.volume.set_busy("Making the project…")

        def done(made: tuple[Any, ...]) -> None:
            if adopted is not None and adopted in layers:
                layers.remove(adopted)
            claim(layers, image, made[0].path)
            self._begin(Session(self.viewer, image, *made))

        start_first_project(image, channels, axis, adopted, done, self._not_started)

    def open(self, path: Path) -> None:
        """Open a project folder and go on where it stopped."""
        if self.session is not None or self.switching.under_way:
            return
        self.volume.set_busy("Opening the project…")
        prepare_labels()  # which begins in this thread

        def read() -> LoadedVolume:
            self.lock.take(path)
            return load_volume(path)

        in_background(read, self.show_volume, self._not_started, self)

    def show_volume(self, volume: LoadedVolume, over: Callable[[], object] | None = None) -> None:
        """Begin a session on what was read from disk.

        Parameters
        ----------
        volume : LoadedVolume
        over : callable, optional
            Called in the end. It takes the place of another volume then, the panel stays as it is.
        """
        show_in_turns(self.viewer, volume, self._begin, lambda: not self.closing.over, over)

    def leave(self) -> None:
        """Save in a thread, then close the project; what cannot be saved stays in the viewer."""
        session = self.session
        if session is None:
            return

        def saved() -> None:
            if self.session is session:
                self.close_session(saved=True)

        self.volume.leave.setEnabled(False)
        session.save_then(saved, lambda: self.volume.leave.setEnabled(True))

    def close_session(self, saved: bool = False, image_stays: bool = True) -> None:
        """Save and leave the project; its layers go.

        Parameters
        ----------
        saved : bool
            Everything has just been saved.
        image_stays : bool
            No other volume takes its place.
        """
        session, self.session = self.session, None
        if session is None:
            return
        session.close(saved)
        self.volume.leave.setEnabled(True)
        take_away(session, image_stays)
        self._show_session(None)

    # -- inside ---------------------------------------------------------------------------

    def _begin(self, session: Session, again: bool = False) -> None:
        self.session = session
        self.lock.take(session.project.path)
        self.cohort.show(session)
        session.slices_changed.connect(self._refresh)
        session.classes_changed.connect(self.volume.show_classes)
        session.classes_changed.connect(self._refresh)
        session.proposals_changed.connect(self._refresh)
        session.trouble.connect(show_warning)
        session.class_editing.chosen.connect(self.volume.classes.choose)
        session.class_editing.refused.connect(self.volume.classes.refuse)
        session.training.said.connect(self._on_event)
        session.training.state_changed.connect(lambda state: self._refresh())
        self.viewer.layers.selection.active = session.references.layer
        self.viewer.reset_view()  # the panel may have taken some of the canvas since
        self._show_session(session)
        self.closing.watch()  # the panel may never have been shown, behind another tab
        bind_keys(self)
        if self.keys.trouble:
            show_warning(self.keys.trouble)
        if again:
            return
        session.training.warm_up()
        ready = not session.why_not_train()
        self.volume.close_step() if ready else self.volume.open()
        if session.proposals or session.project.proposal_slugs():
            self.review.open()
            self.export.open()
        else:
            self.references.open()
            self.train.open()
            session.choose_class(session.class_editing.current())  # a drag paints, from the start

    def _show_session(self, session: Session | None) -> None:
        if session is None and not self.switching.under_way:
            self.cohort.end()
            self.lock.release()
            for step in self.steps[1:]:  # there is nothing to do in them
                step.close_step()
            self.volume.open()
            self.column.verticalScrollBar().setValue(0)
        self.scrolling.set_on(session is not None)
        self.top.set_session(session)
        self.planes.set_session(session)
        for step in self.steps:
            step.set_session(session)

    def show_keys(self) -> None:
        """Show the help overlay with all keys."""
        if self.key_help is not None:
            self.key_help.close()
            self.key_help.deleteLater()
        self.key_help = KeyHelp(self.keys, self._on_keys, self)
        self.key_help.show()

    def _on_keys(self) -> None:
        bind_keys(self)
        self._refresh()

    def _refresh(self) -> None:
        self.top.refresh()
        self.references.refresh()
        self.train.refresh()
        self.review.refresh()
        self.export.refresh()

    def _on_train(self, request: TrainRequest) -> None:
        if self.session is None:
            return
        try:
            self.column.fold(self.volume)
            if not self.review.is_open:  # what is clicked there must not move away
                self.train.open()
            say(self.train.hint, "")  # it is of what was done before
            self.session.train(request)
        except (RuntimeError, OSError) as error:
            show_warning(str(error))

    def _on_restart(self, request: TrainRequest) -> None:
        if self.session is None:
            return
        try:
            self.session.restart(request)
        except (RuntimeError, OSError) as error:
            show_warning(str(error))

    def _on_event(self, event: Event) -> None:
        self.train.follow(event)
        if isinstance(event, Finished) and self.session is not None and self.session.proposals:
            self.column.fold(self.train)
        if isinstance(event, Failed):
            show_error(event.message)
        elif isinstance(event, ProposalReady) and not self.review.is_open:
            self.column.fold(self.references)
            self.review.open()
            self.export.open()
        # These are many, and they allow nothing new.
        if not isinstance(event, Loss | MadeWay | Progress | Quality):
            self._refresh()

    def _not_started(self, error: Exception) -> None:
        self.volume.set_busy("")
        self.lock.release()
        reason = getattr(error, "strerror", None) or str(error)
        show_warning(f"The project could not be opened: {reason}")

    def _connect(self) -> None:
        volume = self.volume
        volume.start_wanted.connect(self.start)
        volume.open_wanted.connect(self.open)
        volume.close_wanted.connect(self.leave)
        volume.done.connect(lambda: self.column.fold(volume))
        self._class_wishes = ClassWishes(volume.classes, lambda: self.session)
        follow_imports(self)
        self.volumes.switch_wanted.connect(self.switching.to)
        self.volumes.propose_wanted.connect(lambda: self.cohort.propose(self.train.request()))
        self.volumes.trouble.connect(show_warning)
        self.cohort.working_changed.connect(self.train.refresh)
        self.train.others_teach = self.volumes.teach.isChecked
        self.train.train_wanted.connect(self._on_train)
        self.train.restart_wanted.connect(self._on_restart)
        self.top.training.clicked.connect(self.train.open)
        self.top.help_wanted.connect(self.show_keys)
        self.top.planes.clicked.connect(self.planes.set_shown)
        self.planes.shown_changed.connect(self.top.planes.setChecked)
        self.review.retrain_wanted.connect(self._on_retrain)
        self.review.trouble.connect(show_warning)
        self.planes.drawer.trouble.connect(show_warning)
        self.viewer.dims.events.point.connect(self._on_step)
        self.scrolling.arrived.connect(self._on_slice)
        self.viewer.events.theme.connect(self._follow_theme)
        if (application := QApplication.instance()) is not None:
            application.aboutToQuit.connect(self._end)

    def _on_retrain(self) -> None:
        if self.session is not None and self.session.training.asked_for:
            self.train.open()  # the question is asked there
        self.train.train.click()

    def _on_step(self, event: Any = None) -> None:
        self.top.show_slice()

    def _on_slice(self) -> None:
        if self.session is not None:
            self.references.refresh()
            self.review.refresh_slice()

    def _follow_theme(self, event: Any = None) -> None:
        theme = get_theme(self.viewer.theme)
        for chart in (self.train.chart, self.review.measure.chart):
            chart.set_colors(theme.background.as_hex(), theme.text.as_hex())

    def _end(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            session.close()
        self.planes.drawer.close()
        self.cohort.end()
        self.lock.release()

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Watch the window that holds the panel, to save and end the trainer when it closes."""
        super().showEvent(event)
        self.closing.watch()
