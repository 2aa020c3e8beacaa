"""From one volume of a project to another: saved first, then its layers are replaced."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer

from ..volume.cohort import Cohort
from ..volume.project import ProjectError
from .background import in_background
from .cohort_view import TRAINING
from .first_labels import prepare_labels
from .image_source import open_project
from .slice_index import SliceIndex, index_slices

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    import numpy.typing as npt

    from ..volume.project import Project
    from .panel import LoopPanel
    from .session import Session

#: Milliseconds until the trainer of a volume is started: the user may only leaf through.
_WARM_UP_AFTER_MS = 4000


@dataclass(frozen=True)
class LoadedVolume:
    """All that is read from disk before a volume can be shown.

    Parameters
    ----------
    project : Project
    image : ndarray
        Memory-mapped.
    ink : ndarray of uint8
    index : SliceIndex
        Of the ink, along the project's axis.
    trouble : str
        Why it is shown in place of another one, and what could not be read of its labels; empty
        when there is nothing to tell.
    """

    project: Project
    image: npt.NDArray[Any]
    ink: npt.NDArray[np.uint8]
    index: SliceIndex
    trouble: str = ""


def load_volume(path: Path) -> LoadedVolume:
    """Read a volume; takes time, so use a thread.

    Parameters
    ----------
    path : Path
        Folder of a volume; of a project with several volumes, the one shown last is read, and where
        that is damaged another one: from there all are within reach.

    Raises
    ------
    ProjectError
        When it is no project, or damaged.
    """
    cohort = Cohort(path)
    if Path(path) != cohort.path:
        return load_exactly(Path(path))
    shown = cohort.shown
    try:
        return load_exactly(cohort.folder(shown))
    except ProjectError as error:
        for key in cohort.keys:
            with contextlib.suppress(ProjectError):
                found = load_exactly(cohort.folder(key))
                instead = f"“{found.project.info.name}” is shown instead."
                return replace(found, trouble=f"{error} {instead} {found.trouble}".rstrip())
        raise


def load_exactly(folder: Path) -> LoadedVolume:
    """Read the volume in a folder, whichever of its project was shown last."""
    colouring = prepare_labels()
    project, image, ink = open_project(folder)
    colouring.join()  # it is waited for here, and not by the window, which would stand still
    index = index_slices(ink, project.axis)
    return LoadedVolume(project, image, ink, index, project.ink_store.trouble)


@dataclass(frozen=True)
class Hand:
    """How the user was painting: goes on in the next volume.

    Parameters
    ----------
    label : int
        Chosen class.
    brush : float
    mode : str
        Tool of the References layer.
    on_references : bool
        Whether References was the selected layer.
    """

    label: int
    brush: float
    mode: str
    on_references: bool

    @classmethod
    def of(cls, session: Session) -> Hand:
        """Remember the tools of a session."""
        layer = session.references.layer
        active = session.viewer.layers.selection.active
        return cls(int(layer.selected_label), layer.brush_size, str(layer.mode), active is layer)

    def take_up(self, session: Session) -> None:
        """Use the same tools in another session."""
        layer = session.references.layer
        if self.label in session.classes or self.label in (0, 255):
            # Moving the view stays moving the view: a drag must not paint.
            session.class_editing.choose(self.label, take_brush=False)
        layer.brush_size = self.brush
        if self.on_references:
            layer.mode = self.mode


class Switching:
    """Takes the panel from one volume to another.

    The other one is read first; only when it is there, and all of the one in view is saved, are the
    layers replaced. If either fails everything stays as it is.

    Parameters
    ----------
    panel : LoopPanel
    """

    def __init__(self, panel: LoopPanel) -> None:
        self._panel = panel
        #: Whether the session that is being closed makes room for another volume.
        self.under_way = False
        self._wanted: Path | None = None

    def to(self, path: Path) -> None:
        """Show the volume in a folder of the project."""
        panel, session = self._panel, self._panel.session
        if session is None:
            panel.open(path)
            return
        if Path(path) == self._wanted or Path(path) == session.project.path:
            return
        if self._wanted is not None:
            panel.cohort.stay("One moment: another volume is being opened.")
            return
        if session.training.asked_for:
            show_info(TRAINING)
            panel.cohort.stay(TRAINING)
            panel.volumes.refresh()
            return
        self._wanted = Path(path)
        panel.volumes.set_switching(Cohort(path).key_of(path))

        def read(volume: LoadedVolume) -> None:
            if panel.session is session:
                session.save_then(lambda: self._replace(session, volume), self._stay)
            else:
                self._stay()

        def failed(error: Exception) -> None:
            self._stay()
            panel.cohort.look(Cohort(path).key_of(path))
            show_warning(f"The volume could not be opened: {error}")

        in_background(lambda: load_exactly(path), read, failed)

    def _stay(self) -> None:
        self._wanted = None
        self._panel.cohort.stay()
        self._panel.volumes.set_switching(None)

    def _replace(self, session: Session, volume: LoadedVolume) -> None:
        panel = self._panel
        if panel.session is not session or session.training.asked_for:
            self._stay()
            return
        hand = Hand.of(session)
        opened = {step: step.is_open for step in panel.steps}
        # One table for all volumes: a class may have been added since the file was read.
        volume.project.classes = session.classes

        def over() -> None:
            self.under_way = False
            self._stay()
            if panel.session is not None:
                for step, was_open in opened.items():
                    step.open() if was_open else step.close_step()
                if volume.project.proposal_slugs():
                    panel.review.open()
                hand.take_up(panel.session)
                panel.session.saving.read_only_told = session.saving.read_only
                QTimer.singleShot(_WARM_UP_AFTER_MS, panel.session.training.warm_up)
            panel.setUpdatesEnabled(True)

        show = panel.show_volume
        # In turns of the event loop, between which the window is drawn; the panel meanwhile stays
        # as it is, with a row that says "opening".
        self.under_way = True
        panel.setUpdatesEnabled(False)
        try:
            panel.cohort.leave()
            panel.close_session(saved=True, image_stays=False)
        finally:
            QTimer.singleShot(0, lambda: over() if panel.closing.over else show(volume, over))
