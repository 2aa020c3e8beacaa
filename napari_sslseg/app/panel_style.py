"""What the panel looks like where napari's own style says nothing: sizes follow napari's font."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from napari.utils.theme import get_theme
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: Dynamic properties that the style sheet knows.
STEP, PART, CHIP = "sslseg-step", "sslseg-part", "sslseg-chip"
SMALL, LINE, ROWS, FIRST = "sslseg-small", "sslseg-line", "sslseg-rows", "sslseg-first"


def name_role(widget: QWidget, role: str) -> None:
    """Say what a widget is, for the style sheet."""
    widget.setProperty(role, True)


def style_sheet(points: float, text: str) -> str:
    """Return the style sheet of the panel.

    Parameters
    ----------
    points : float
        napari's font size. Its buttons and labels are one point larger, as ours are.
    text : str
        Colour of napari's text, which marks what has the focus.
    """
    usual, small = points + 1, 0.83 * points
    return f"""
        QToolButton {{ font-size: {usual}pt; border: 1px solid transparent; border-radius: 2px; }}
        QToolButton:focus {{ border-color: {text}; }}
        QToolButton[{STEP}="true"], QToolButton[{PART}="true"] {{
            text-align: left; padding: 3px 5px;
        }}
        QToolButton[{STEP}="true"] {{ font-weight: bold; }}
        QToolButton[{CHIP}="true"] {{ font-size: {points}pt; padding: 1px 3px; }}
        QToolButton[{CHIP}="true"]:checked {{
            border: 2px solid {text}; padding: 0px 2px;
            background-color: rgba(128, 128, 128, 90);
        }}
        QToolButton[{CHIP}="true"]:checked:focus {{ border-style: double; }}
        QToolButton[{CHIP}="true"]::menu-indicator {{ image: none; }}
        QPushButton[{FIRST}="true"] {{ font-weight: bold; border: 1px solid {text}; }}
        QListView[{ROWS}="true"]::item {{ padding: 2px 1px; }}
        QListView[{ROWS}="true"] QLineEdit {{ padding: 0px; margin: 0px; border: 0px; }}
        QWidget[{LINE}="true"] {{ font-size: {points}pt; }}
        QWidget[{SMALL}="true"] {{ font-size: {small}pt; }}
    """


class PanelStyle(QObject):
    """Styles a panel, and follows napari's font size and theme.

    Parameters
    ----------
    viewer : ViewerModel
    panel : QWidget
    """

    def __init__(self, viewer: ViewerModel, panel: QWidget) -> None:
        super().__init__(panel)
        self._viewer, self._panel = viewer, panel
        self._points = float(get_settings().appearance.font_size)
        self._size = get_settings().appearance.events.font_size
        self._size.connect(self._on_size)
        viewer.events.theme.connect(self._apply)
        panel.destroyed.connect(self._end)
        self._apply()

    def _on_size(self, event: Any) -> None:
        self._points = float(event.value)
        self._apply()

    def _apply(self, event: Any = None) -> None:
        text = get_theme(self._viewer.theme).text.as_hex()
        self._panel.setStyleSheet(style_sheet(self._points, text))

    def _end(self) -> None:
        for signal, slot in (
            (self._size, self._on_size),
            (self._viewer.events.theme, self._apply),
        ):
            with contextlib.suppress(ValueError, RuntimeError):
                signal.disconnect(slot)
