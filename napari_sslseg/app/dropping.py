"""Files dropped on the window: read here, with their geometry, without a question before.

napari asks which plugin shall read a file that several say they can. What it proposes is its own
reader, which fails on most formats of volumes, and does not know where a volume lies.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from napari.plugins.utils import get_preferred_reader
from napari.utils.notifications import show_warning
from npe2 import PluginManager
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QDragLeaveEvent
from qtpy.QtWidgets import QApplication, QDockWidget, QWidget

from ..formats import FormatError
from ..formats.registry import can_read
from .readers import read_layers

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: How napari knows this plugin.
_PLUGIN = "napari-sslseg"


class DroppedFiles(QObject):
    """Opens what is dropped on the image or on the panel, if it can be read here.

    Who holds Alt or Shift (napari: choose the plugin, stack), or has told napari which plugin reads
    such files, gets what napari does.

    Parameters
    ----------
    viewer : ViewerModel
    panel : QWidget
    take_one : callable
        Given a single file or folder, and what adds it as layers, if it is nothing else.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        panel: QWidget,
        take_one: Callable[[Path, Callable[[], None]], None],
    ) -> None:
        super().__init__(panel)
        self._viewer, self._panel, self._take_one = viewer, panel, take_one
        panel.setAcceptDrops(True)
        panel.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Take a drop that is ours, and find the image's window when the panel is shown."""
        if event is None:
            return False
        kind, drop = event.type(), event
        if watched is self._panel and kind == QEvent.Type.Show:
            self._watch_window()
        elif watched is self._panel and kind == QEvent.Type.DragEnter and _ours(drop):
            _take(drop)
            return True
        elif kind == QEvent.Type.Drop and self._panel.parentWidget() and (paths := _ours(drop)):
            _take(drop)
            if watched is not self._panel:  # it looks otherwise while something is above it
                QApplication.sendEvent(watched, QDragLeaveEvent())
            # Later: the program that it was dragged from waits until the drop is over.
            QTimer.singleShot(0, lambda: self._open(paths))
            return True
        return False

    def _watch_window(self) -> None:
        window: Any = self._panel.window()
        if isinstance(window, QDockWidget):  # it floats
            window = window.parentWidget()
        middle = getattr(window, "centralWidget", lambda: None)()
        for widget in middle.findChildren(QWidget) if middle is not None else ():
            if widget.acceptDrops():
                widget.removeEventFilter(self)  # or it would be asked twice
                widget.installEventFilter(self)

    def _open(self, paths: list[Path]) -> None:
        if len(paths) == 1:
            self._take_one(paths[0], lambda: self._show(paths))
        else:
            self._show(paths)

    def _show(self, paths: list[Path]) -> None:
        try:
            layers = read_layers([str(path) for path in paths])
        except FormatError as error:
            show_warning(str(error))
            return
        for data in layers:
            if data[0] is not None:  # a slice whose series is there already
                self._viewer.add_layer(Layer.create(*data))


def _ours(drop: Any) -> list[Path]:
    """Return the files of a drop; none if any of them is not for us."""
    if drop.modifiers() != Qt.KeyboardModifier.NoModifier:
        return []
    urls = drop.mimeData().urls()
    paths = [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
    if len(paths) < len(urls):
        return []
    return paths if all(map(_is_ours, paths)) else []


def _is_ours(path: Path) -> bool:
    """Whether napari would ask about a file, or does not know a folder for what it is."""
    if get_preferred_reader(path) or not can_read(path):
        return False
    readers = PluginManager.instance().iter_compatible_readers([str(path)])
    return path.is_dir() or any(reader.plugin_name == _PLUGIN for reader in readers)


def _take(drop: Any) -> None:
    drop.setDropAction(Qt.DropAction.CopyAction)
    drop.accept()
