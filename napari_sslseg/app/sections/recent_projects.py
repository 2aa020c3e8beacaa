"""The projects that were worked on last: one of them can be continued."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ...volume.folders import list_projects
from ..image_source import projects_folder
from ..known_projects import KnownProject, ago
from ..step import hint_label, narrow, say

#: Projects that are listed.
_MOST = 8


class RecentProjects(QWidget):
    """A list of projects, the newest first, and a button that opens the chosen one."""

    open_wanted = Signal(object)
    """Folder of the project."""

    def __init__(self) -> None:
        super().__init__()
        self.box = narrow(QComboBox())
        self.button = QPushButton("Continue")
        self.button.setToolTip("Open this project with its labels, proposals and model")
        self.button.clicked.connect(lambda: self.open_wanted.emit(self.box.currentData()))
        self._hint = hint_label()
        row = QHBoxLayout()
        row.addWidget(self.box, 1)
        row.addWidget(self.button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addWidget(self._hint)
        layout.addLayout(row)

    def refresh(self, wanted: bool) -> None:
        """List the projects anew; without any, or when they are not wanted, nothing is shown."""
        projects = list_projects(projects_folder())[:_MOST] if wanted else []
        self.box.clear()
        for path, name, saved in projects:
            self._add(path, name, saved)
        self._show()

    def choose(self, known: Sequence[KnownProject]) -> None:
        """Choose the first of some projects; those that the list lacks come into it."""
        for project in known:
            if project.home not in self._listed:
                self._add(project.home, project.name, project.saved)
        self.box.setCurrentIndex(self._listed.index(known[0].home) if known else 0)
        self._show(offered=bool(known))

    def _show(self, offered: bool = False) -> None:
        # The project of the image in view is offered beside that image; once is enough.
        there = self.box.count() > int(offered)
        self.setVisible(there)
        say(self._hint, "Continue where you stopped:" if there else "")

    @property
    def _listed(self) -> list[Path]:
        return [self.box.itemData(row) for row in range(self.box.count())]

    def _add(self, path: Path, name: str, saved: float) -> None:
        self.box.addItem(f"{name}, {ago(saved)}", path)
        self.box.setItemData(self.box.count() - 1, str(path), Qt.ItemDataRole.ToolTipRole)
