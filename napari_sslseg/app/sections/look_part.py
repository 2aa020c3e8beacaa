"""Part of step 4: how the classes are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QSlider, QWidget

from ..listening import Listening
from ..step import Step

if TYPE_CHECKING:
    from ..session import Session


class LookPart(Step):
    """Opacity of each class, contours, and the tooltip under the cursor."""

    def __init__(self) -> None:
        super().__init__(None, "Show: opacity and contours")
        self._session: Session | None = None
        self._listening = Listening()
        self._ids: list[tuple[int, str]] = []
        self.contour = QCheckBox("Outlines instead of areas")
        self.contour.setToolTip("Draw the edges of the classes only, so that the image shows")
        self.contour.toggled.connect(self._on_contour)
        self.tooltips = QCheckBox("Tooltips in the image")
        self.tooltips.setToolTip("Say what lies under the pointer, beside it")
        self.tooltips.setChecked(True)
        self.tooltips.toggled.connect(self._on_tooltips)
        self._sliders = QWidget()
        self.grid = QGridLayout(self._sliders)
        self.grid.setContentsMargins(0, 0, 0, 0)
        self.grid.setColumnStretch(1, 1)
        self.sliders: dict[int, QSlider] = {}
        for widget in (self._sliders, self.contour, self.tooltips):
            self.rows.addWidget(widget)

    def set_session(self, session: Session | None) -> None:
        """Show a session."""
        self._listening.end()
        self._session = session
        self._ids = []
        if session is not None:
            self._listening.to(session.classes_changed, self.refresh)
            self.contour.setChecked(session.look.contour)
            session.cursor.tooltips = self.tooltips.isChecked()
        self.refresh()

    def refresh(self) -> None:
        """Show the class table as it is now."""
        session = self._session
        ids = [(c.id, c.name) for c in session.classes] if session is not None else []
        if ids == self._ids:
            return
        self._ids = ids
        while self.grid.count():
            item = self.grid.takeAt(0)
            if item is not None and item.widget() is not None:
                item.widget().deleteLater()
        self.sliders = {}
        for row, (class_id, name) in enumerate(ids):
            assert session is not None
            slider = QSlider(Qt.Orientation.Horizontal)
            slider.setRange(0, 100)
            slider.setValue(round(100 * session.look.opacity.get(class_id, 1.0)))
            slider.setAccessibleName(f"Opacity of {name}")
            slider.setToolTip(f"How opaque {name} is drawn")
            slider.valueChanged.connect(lambda value, c=class_id: self._on_slide(c, value))
            label = QLabel(name if len(name) < 20 else f"{name[:18]}…")
            self.grid.addWidget(label, row, 0)
            self.grid.addWidget(slider, row, 1)
            self.sliders[class_id] = slider

    def _on_slide(self, class_id: int, value: int) -> None:
        if self._session is not None:
            self._session.look.set_opacity(class_id, value / 100)

    def _on_contour(self, on: bool) -> None:
        if self._session is not None:
            self._session.look.set_contour(on)

    def _on_tooltips(self, on: bool) -> None:
        if self._session is not None:
            self._session.cursor.tooltips = on
