"""A volume's layers come and go, in turns of the event loop between which the window is drawn.

Each layer keeps napari busy for a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

from .channels import channels_of
from .image_layers import bring_into_view, remove
from .session import Session

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
                begin(session, over is not None)
                if volume.trouble:
                    show_warning(volume.trouble)
        finally:
            ended()

    try:
        image = bring_into_view(viewer, volume.image, volume.project)
    except BaseException:
        ended()
        raise
    QTimer.singleShot(0, show_labels)


def take_away(session: Session, image_stays: bool) -> None:
    """Take the layers of a closed session out of its viewer, but not the user's copies of them."""
    layers = session.viewer.layers
    made = [proposal.layer for proposal in session.proposals.values()]
    image = [] if image_stays else channels_of(layers, session.image)
    remove(layers, (*made, session.regions.layer, session.references.layer, *image))
