"""Whether the user goes through slices, so that what can wait does.

A step of the slider is a frame, and each frame has a thirtieth of a second. A line of text that
changes lays out the whole panel anew, and has the window put together a second time. So does
napari's list of layers, which is painted whatever happens to a layer, and each layer gets a new
small picture with each slice. Where the window is drawn by software that takes half a frame.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QAbstractItemView, QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel

#: Milliseconds after a step in which none follows: scrolling rests.
REST_MS = 150

#: Milliseconds of scrolling after which what waits is shown all the same, as a film may play.
MOST_MS = 600

_LAYER_LIST = "QtLayerList"


class Scrolling(QObject):
    """Tells that another slice is in view: at once of a single step, of many when they rest.

    Meanwhile napari's list of layers is not painted.

    Parameters
    ----------
    viewer : ViewerModel
    panel : QWidget
        In the viewer's window, sooner or later.
    """

    arrived = Signal()
    """Another slice is in view, and may be looked at for a while."""

    def __init__(self, viewer: ViewerModel, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel, self._viewer = panel, viewer
        self._on = False
        self._list: QWidget | None = None
        self._held = False
        self._missed = False
        self._rest, self._most = QTimer(self), QTimer(self)
        for timer, milliseconds in ((self._rest, REST_MS), (self._most, MOST_MS)):
            timer.setSingleShot(True)
            timer.setInterval(milliseconds)
            timer.timeout.connect(self._catch_up)

    @property
    def under_way(self) -> bool:
        """Whether the last step was just now."""
        return self._rest.isActive()

    def set_on(self, on: bool) -> None:
        """Listen from now on, or no more."""
        point = self._viewer.dims.events.point
        if on and not self._on:
            point.connect(self._on_step)
        elif self._on and not on:
            with contextlib.suppress(ValueError, RuntimeError):
                point.disconnect(self._on_step)
            self._rest.stop()
            self._most.stop()
            self._release()
        self._on = on

    def _on_step(self, event: Any = None) -> None:
        first = not self.under_way
        self._rest.start()
        if not self._most.isActive():
            self._most.start()
        if not self._held:
            self._hold()
        if first:
            self.arrived.emit()
        else:
            self._missed = True

    def _catch_up(self) -> None:
        if not self.under_way:
            self._most.stop()
        self._release()
        missed, self._missed = self._missed, False
        if missed:
            self.arrived.emit()

    def _hold(self) -> None:
        if self._list is None:  # to look for it takes some milliseconds
            self._list = self._layer_list()
        self._held = self._enable(False)

    def _release(self) -> None:
        if self._held:
            self._held = False
            self._enable(True)

    def _enable(self, enable: bool) -> bool:
        """Have the list of layers painted or not; returns whether there is one."""
        if self._list is None:
            return False
        try:
            self._list.setUpdatesEnabled(enable)
        except RuntimeError:  # its window is no more
            self._list = None
        return self._list is not None

    def _layer_list(self) -> QWidget | None:
        window = self._panel
        while (above := window.parentWidget()) is not None:  # a dock may be a window too
            window = above
        for view in window.findChildren(QAbstractItemView):
            if type(view).__name__ == _LAYER_LIST:
                return view.viewport()
        return None
