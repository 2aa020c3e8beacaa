"""A volume's layers come and go, in turns of the event loop between which the window is drawn.

Each layer keeps napari busy for a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

from .background import in_background
from .channels import channels_of
from .image_layers import bring_into_view, remove
from .rewritten_source import SourceLook, look_at_source, source_of_project
from .session import Session
from .shown_slice import remembered_slice

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from .switching import LoadedVolume


def show_in_turns(
    viewer: ViewerModel,
    volume: LoadedVolume,
    begin: Callable[[Session, bool], object],
    wanted: Callable[[], bool],
    over: Callable[[], object] | None = None,
) -> None:
    """Show the image of a volume now, and its labels in the next turn.

    Parameters
    ----------
    viewer : ViewerModel
    volume : LoadedVolume
    begin : callable
        Given the session, and whether it takes the place of another one.
    wanted : callable
        Tells in each turn whether there still is a window to show it in.
    over : callable, optional
        Given where the volume takes the place of another one; called in the end, whether all could
        be shown or not.
    """
    ended = over or (lambda: None)

    def show_labels() -> None:
        try:
            if wanted():
                session = Session(viewer, image, volume.project, volume.ink, volume.index)
                if (index := remembered_slice(session.project)) is not None:
                    session.go_to(index)
                begin(session, over is not None)  # which may have to show another slice
                if volume.trouble:
                    show_warning(volume.trouble)
                _tell_of_source(session)
        finally:
            ended()

    try:
        image = bring_into_view(viewer, volume.image, volume.project)
    except BaseException:
        ended()
        raise
    QTimer.singleShot(0, show_labels)


def _tell_of_source(session: Session) -> None:
    """Look in a thread whether the file of the image holds another one by now, and say so."""
    project = session.project
    if not source_of_project(project):
        return

    def looked(found: SourceLook) -> None:
        found.remember(project)
        if found.trouble and not session.saving.closed:
            show_warning(found.trouble)

    # What cannot be told about the file is no reason to disturb who works on the project's image.
    in_background(lambda: look_at_source(project), looked, lambda error: None)


def take_away(session: Session, image_stays: bool) -> None:
    """Take the layers of a closed session out of its viewer, but not the user's copies of them."""
    layers = session.viewer.layers
    made = [proposal.layer for proposal in session.proposals.values()]
    image = [] if image_stays else channels_of(layers, session.image)
    remove(layers, (*made, session.regions.layer, session.references.layer, *image))
