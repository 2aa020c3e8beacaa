"""Part of step 4: mending by more than strokes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QPushButton

from ..click_tools import TOOLS
from ..listening import Listening
from ..mending import NO_PROPOSAL
from ..step import Step, allow, narrow

if TYPE_CHECKING:
    from ..session import Session

_NO_OTHER = "there is only one proposal."
_TOOL_NAMES = {
    "flip": "Flip part",
    "take": "Take part",
    "grow": "Grow to edges",
    "shrink": "Shrink to edges",
}


class CorrectPart(Step):
    """Smooth, fill, keep the largest, take from the other, interpolate; tools for the image."""

    def __init__(self) -> None:
        super().__init__(None, "Correct: more than the brush")
        self._session: Session | None = None
        self._listening = Listening()
        self.scope, self.class_box = narrow(QComboBox()), narrow(QComboBox())
        for box in (self.scope, self.class_box):
            box.setMinimumContentsLength(6)
        self.scope.addItem("This slice", False)
        self.scope.addItem("Whole volume", True)
        self.scope.setToolTip("Where the three buttons below, and a click on a part, work")
        self.class_box.setToolTip("Which class the three buttons below change")
        self.scope.currentIndexChanged.connect(self._on_scope)
        self.smooth = QPushButton("Smooth")
        self.fill = QPushButton("Fill holes")
        self.largest = QPushButton("Largest part")
        self.take_slice = QPushButton("Slice from other")
        self.interpolate = QPushButton("Interpolate")
        self.smooth.clicked.connect(lambda: self._improve("smooth"))
        self.fill.clicked.connect(lambda: self._improve("fill"))
        self.largest.clicked.connect(lambda: self._improve("largest"))
        self.take_slice.clicked.connect(self._on_take_slice)
        self.interpolate.clicked.connect(self._on_interpolate)
        self.tools: dict[str, QPushButton] = {}
        choice = QHBoxLayout()
        choice.addWidget(self.scope, 1)
        choice.addWidget(self.class_box, 1)
        grid = QGridLayout()
        grid.setSpacing(4)
        for column, button in enumerate((self.smooth, self.fill, self.largest)):
            grid.addWidget(button, 0, 2 * column, 1, 2)
        grid.addWidget(self.take_slice, 1, 0, 1, 3)
        grid.addWidget(self.interpolate, 1, 3, 1, 3)
        grid.addWidget(QLabel("In the image:"), 2, 0, 1, 6)
        for place, (name, text) in enumerate(_TOOL_NAMES.items()):
            button = QPushButton(text)
            button.setCheckable(True)
            button.clicked.connect(lambda checked, name=name: self._choose(name, checked))
            grid.addWidget(button, 3 + place // 2, 3 * (place % 2), 1, 3)
            self.tools[name] = button
        self.rows.addLayout(choice)
        self.rows.addLayout(grid)

    @property
    def volume(self) -> bool:
        """Whether to work on the whole volume."""
        return bool(self.scope.currentData())

    def set_session(self, session: Session | None) -> None:
        """Show a session."""
        self._listening.end()
        self._session = session
        if session is not None:
            self._listening.to(session.tools.changed, self._show_tool)
            self._listening.to(session.classes_changed, self._show_classes)
            session.tools.volume = self.volume
        self._show_classes()
        self._show_tool("")

    def refresh(self) -> None:
        """Proposals have come or gone."""
        session = self._session
        reason = NO_PROPOSAL if session is None or not session.proposals else ""
        other = session.mender.other() if session is not None else None
        alone = reason or ("" if other is not None else _NO_OTHER)
        name = other.name if other is not None else "the other proposal"
        allow(self.smooth, reason, "Smooth the outlines")
        allow(self.fill, reason, "Fill holes that a class encloses")
        allow(self.largest, reason, "Keep the largest connected part of a class, drop the others")
        allow(self.take_slice, alone, f"Take this slice from “{name}”")
        allow(
            self.interpolate,
            reason,
            "Fill the slices between the nearest two that you corrected or accepted",
        )
        for tool, button in self.tools.items():
            allow(button, alone if tool == "take" else reason, TOOLS[tool])
        for box in (self.scope, self.class_box):
            box.setEnabled(not reason)

    def _improve(self, operation: str) -> None:
        if self._session is not None:
            class_id = int(self.class_box.currentData() or 0)
            self._session.mender.improve(operation, class_id, self.volume)

    def _on_take_slice(self) -> None:
        if self._session is not None:
            self._session.mender.take_slice()

    def _on_interpolate(self) -> None:
        if self._session is not None:
            self._session.mender.interpolate()

    def _choose(self, tool: str, checked: bool) -> None:
        if self._session is not None:
            self._session.tools.choose(tool if checked else "")

    def _show_tool(self, tool: str) -> None:
        for name, button in self.tools.items():
            button.setChecked(name == tool)

    def _on_scope(self) -> None:
        if self._session is not None:
            self._session.tools.volume = self.volume

    def _show_classes(self) -> None:
        chosen = self.class_box.currentData()
        self.class_box.blockSignals(True)
        self.class_box.clear()
        self.class_box.addItem("All classes", 0)
        for item in self._session.classes if self._session is not None else ():
            self.class_box.addItem(item.name, item.id)
        self.class_box.setCurrentIndex(max(self.class_box.findData(chosen), 0))
        self.class_box.blockSignals(False)
