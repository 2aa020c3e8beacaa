"""The help overlay: all keys in one place, and the way to change them."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QKeySequenceEdit,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .key_settings import ACTIONS, FIXED, Keys
from .step import hint_label, say


class KeyHelp(QDialog):
    """Shows the keys; a click into a key and a press of another one changes it.

    Parameters
    ----------
    keys : Keys
    changed : callable
        Called after a key was changed.
    parent : QWidget, optional
    """

    def __init__(
        self, keys: Keys, changed: Callable[[], None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys")
        self._keys, self._changed = keys, changed
        self.edits: dict[str, QKeySequenceEdit] = {}
        grid = QGridLayout()
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(4)
        for row, action in enumerate(ACTIONS):
            edit = QKeySequenceEdit(QKeySequence(keys.by_name[action.name]))
            edit.setMaximumSequenceLength(1)
            edit.setFixedWidth(120)
            edit.setAccessibleName(action.text)
            edit.editingFinished.connect(lambda name=action.name: self._on_edited(name))
            grid.addWidget(edit, row, 0)
            grid.addWidget(QLabel(action.text), row, 1)
            self.edits[action.name] = edit
        for row, (key, text) in enumerate(FIXED, start=len(ACTIONS)):
            grid.addWidget(QLabel(key), row, 0)
            grid.addWidget(QLabel(text), row, 1)
        note = QLabel(
            "Click a key and press another one to change it. The keys work while the pointer is in "
            "the image; napari's own stay as they are (1–7: its tools, [ and ]: size of the brush)."
        )
        note.setWordWrap(True)
        self.hint = hint_label()
        self.defaults = QPushButton("Take the defaults")
        self.defaults.setAutoDefault(False)
        self.defaults.clicked.connect(self._on_defaults)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.addButton(self.defaults, QDialogButtonBox.ButtonRole.ResetRole)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addWidget(note)
        layout.addWidget(self.hint)
        layout.addWidget(buttons)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFocus()  # not in the first key, which any press would change
        say(self.hint, keys.trouble)

    def _on_edited(self, name: str) -> None:
        edit = self.edits[name]
        key = edit.keySequence().toString(QKeySequence.SequenceFormat.PortableText)
        if key == self._keys.by_name[name]:
            return
        try:
            self._keys.set(name, key)
        except ValueError as error:
            say(self.hint, str(error))
            edit.setKeySequence(QKeySequence(self._keys.by_name[name]))
            return
        say(self.hint, "Saved.")
        self._changed()

    def _on_defaults(self) -> None:
        self._keys.reset()
        for name, edit in self.edits.items():
            edit.setKeySequence(QKeySequence(self._keys.by_name[name]))
        say(self.hint, "These are the defaults.")
        self._changed()
