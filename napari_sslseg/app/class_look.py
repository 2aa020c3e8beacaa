"""How the classes are drawn: opacity of each, filled or as contours, shown or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .session import Session

_SETTING = "look"

#: Width of contours, pixels; and of those that regions need, which must not hide thin regions.
CONTOUR, OVER_REGIONS = 2, 1


class ClassLook:
    """Keeps the look of a session's layers, and remembers it in the project.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        saved: dict[str, Any] = session.project.settings.get(_SETTING, {})
        self.opacity: dict[int, float] = {
            int(k): float(v) for k, v in saved.get("opacity", {}).items()
        }
        self.contour = bool(saved.get("contour", False))
        self.image_only = False
        self._hidden: list[Any] = []
        session.proposals_changed.connect(self._on_proposals)
        session.regions.on_changed.connect(self._apply_contour)
        self.apply()

    def set_opacity(self, class_id: int, opacity: float) -> None:
        """Draw a class more or less opaque, 0 to 1."""
        self.opacity[class_id] = min(max(float(opacity), 0.0), 1.0)
        self.apply()
        self._remember()

    def set_contour(self, on: bool) -> None:
        """Draw outlines instead of areas."""
        self.contour = bool(on)
        self.apply()
        self._remember()

    def toggle_image_only(self) -> bool:
        """Hide all that lies over the image, or show it again; returns whether it is hidden."""
        self.image_only = not self.image_only
        session = self._session
        if self.image_only:
            ours = [session.references.layer, *(p.layer for p in session.proposals.values())]
            if session.regions.layer is not None:
                ours.append(session.regions.layer)
            self._hidden = [layer for layer in ours if layer.visible]
            for layer in self._hidden:
                layer.visible = False
        else:
            for layer in self._hidden:
                layer.visible = True
            self._hidden = []
        return self.image_only

    def apply(self) -> None:
        """Draw all layers so; the class table may have changed."""
        session = self._session
        session.references.set_classes(session.classes, self.opacity)
        for proposal in session.proposals.values():
            proposal.set_classes(session.classes, self.opacity)
        self._apply_contour()

    def _apply_contour(self) -> None:
        width = CONTOUR if self.contour else 0
        session = self._session
        if session.references.layer.contour != width:
            session.references.layer.contour = width
        over = OVER_REGIONS if session.regions.on else 0
        for proposal in session.proposals.values():
            proposal.outline(width or over)

    def _on_proposals(self) -> None:
        if self.image_only:
            # Something new is there to see.
            self._hidden = [self._session.references.layer]
            if self._session.regions.layer is not None:
                self._hidden.append(self._session.regions.layer)
            self.toggle_image_only()
        for proposal in self._session.proposals.values():
            if proposal.opacity != self.opacity:
                proposal.set_classes(self._session.classes, self.opacity)
        self._apply_contour()

    def _remember(self) -> None:
        project = self._session.project
        look = {"opacity": {str(k): v for k, v in self.opacity.items()}, "contour": self.contour}
        # A new dictionary: the old one may just be written by the thread that saves.
        project.settings = {**project.settings, _SETTING: look}
        self._session.save_head()
