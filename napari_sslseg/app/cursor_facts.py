"""What is under the cursor, in words: class, whose word it is, region, confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtGui import QCursor
from qtpy.QtWidgets import QApplication, QToolTip

from ..volume.annotation import NOT_ANNOTATED
from ..volume.proposal import REGION_REASONS, REGION_WORDS

if TYPE_CHECKING:
    from napari.layers import Labels

    from .session import Session

#: Milliseconds that the cursor rests before a tooltip comes.
_REST_MS = 600


def facts_at(session: Session, point: tuple[int, ...]) -> list[str]:
    """Return what is known of a voxel, a few words a line.

    Parameters
    ----------
    session : Session
    point : tuple of int
        Inside of the volume.
    """
    ink = int(session.references.ink[point])
    labelled = [f"{session.classes.name(ink)}, labelled by you"] if ink != NOT_ANNOTATED else []
    proposal = session.shelf.in_view()
    if proposal is None:
        return labelled or ["not labelled"]
    value = int(proposal.layer.data[point])
    if value != ink and proposal.corrections()[point] != NOT_ANNOTATED:
        since = [f"labelled {session.classes.name(ink)} before"] if labelled else []
        return [f"{session.classes.name(value)}, corrected by you", *since]
    if labelled:
        return labelled
    lines = [f"{session.classes.name(value)}, proposed"]
    region = int(proposal.regions[point])
    if region:
        lines.append(f"{REGION_WORDS[region]}: {REGION_REASONS[region]}")
    confidence = int(proposal.confidence[point])
    if region or confidence:  # of labels that were imported neither is known
        lines.append(f"chance of being right: {round(100 * confidence / 255)} %")
    return lines


class CursorFacts(QObject):
    """Puts the facts into napari's status bar, and into a tooltip where the cursor rests.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.tooltips = True
        self._told: list[Labels] = []
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST_MS)
        self._timer.timeout.connect(self._show)
        session.viewer.mouse_move_callbacks.append(self._on_move)
        session.proposals_changed.connect(self._tell_layers)
        self._tell_layers()

    def close(self) -> None:
        """Say nothing more."""
        self._timer.stop()
        if self._on_move in self._session.viewer.mouse_move_callbacks:
            self._session.viewer.mouse_move_callbacks.remove(self._on_move)

    def text(self) -> str:
        """Return what the tooltip says now, empty outside of the volume."""
        point = self._session.tools.point()
        return "\n".join(facts_at(self._session, point)) if point is not None else ""

    # -- inside ---------------------------------------------------------------------------

    def _tell_layers(self) -> None:
        session = self._session
        layers = [session.references.layer, *(p.layer for p in session.proposals.values())]
        if session.regions.layer is not None:
            layers.append(session.regions.layer)
        for layer in layers:
            if not any(layer is other for other in self._told):
                self._told.append(layer)
                self._tell(layer)

    def _tell(self, layer: Labels) -> None:
        """Let a layer's status say more; napari asks for it in a thread of its own."""
        plain = layer.get_status

        def status(*args: Any, **options: Any) -> dict[str, str]:
            found: dict[str, str] = dict(plain(*args, **options))
            point = self._session.tools.point()
            if point is not None:
                more = "; ".join(facts_at(self._session, point))
                for key in ("coordinates", "value"):
                    # The facts say more than the layer's own table of names.
                    plainly = found.get(key, "").split("; ")[0]
                    found[key] = f"{plainly}; {more}"
            return found

        layer.get_status = status

    def _on_move(self, viewer: Any, event: Any) -> None:
        QToolTip.hideText()
        if self.tooltips:
            self._timer.start()

    def _show(self) -> None:
        pressed = (
            QApplication.mouseButtons().value
            if hasattr(QApplication.mouseButtons(), "value")
            else int(QApplication.mouseButtons())
        )
        if self.tooltips and not pressed and self._session.viewer.mouse_over_canvas:
            QToolTip.showText(QCursor.pos(), self.text())
