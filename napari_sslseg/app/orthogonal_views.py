"""The two other planes beside the slice: image, labels and doubt through the point looked at.

Everything is drawn by hand from single planes of the arrays, in a thread. Further viewers of
napari's would each slice, upload and redraw every layer on the GUI thread with every stroke.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, QTimer
from qtpy.QtWidgets import QBoxLayout

from .canvas_dock import CanvasDock
from .cross_section import plane
from .orientation_letters import plane_letters
from .plane_drawing import Frame, PlaneDrawer
from .plane_view import PlanePicture, PlaneView

if TYPE_CHECKING:
    import napari

    from .session import Session

#: Milliseconds for which the cursor rests before the planes follow it.
_REST_MS = 120

#: Of both views together, pixels.
_SIZE = QSize(420, 210)

#: Part of the canvas, around its middle, that the point may be in without being centred.
_INNER = 0.8

#: Zoom, as a part of that at which the slice fills the canvas, from which the planes are shown
#: nearer too.
_NEAR = 1.3

#: Planes by the letter of the axis that they lie across.
_NAMES = dict.fromkeys("SI", "axial") | dict.fromkeys("AP", "coronal")
_NAMES |= dict.fromkeys("RL", "sagittal") | {"t": "time point"}

#: What changes the picture of a layer without changing its voxels.
_LOOKS = ("visible", "opacity", "colormap", "contour", "contrast_limits", "gamma", "data")


def _looks(layer: Any) -> list[Any]:
    """Return the emitters that tell of them."""
    found = (getattr(layer.events, name, None) for name in _LOOKS)
    return [emitter for emitter in found if emitter is not None]


class OrthogonalViews(CanvasDock):
    """Two linked views of the planes across the slice, in a dock of the viewer's window.

    They go through the point that the cursor rests on in the slice. A click in one of them goes
    to its slice, and the wheel goes through its planes.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__(viewer.window, "Other planes", _SIZE)
        self._viewer = viewer
        self._session: Session | None = None
        self._heard: WeakSet[Any] = WeakSet()
        self._frames: list[Frame] = []
        self.point: tuple[int, ...] = (0, 0, 0)
        self.views = (PlaneView(), PlaneView())
        self._box = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(3)
        for number, view in enumerate(self.views):
            self._box.addWidget(view)
            view.pointed.connect(partial(self._on_pointed, number))
            view.stepped.connect(partial(self._on_stepped, number))
        self.drawer = PlaneDrawer(self._plane)
        self.drawer.drawn.connect(self._show)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._follow_cursor)
        self.shown_changed.connect(self._on_shown)
        viewer.events.theme.connect(self._follow_theme)
        self._follow_theme()

    def set_session(self, session: Session | None) -> None:
        """Show the planes of a session."""
        if self._session is not None:
            self._leave(self._session)
        self._session = session
        self.drawer.set_session(session)
        if session is None:
            for view in self.views:
                view.clear()
        else:
            self._join(session)
            self._set_up()
        self.set_allowed(session is not None)

    # -- the point ------------------------------------------------------------------------

    def set_point(self, point: tuple[int, ...]) -> None:
        """Let the planes go through a voxel; the one along the slider is that of the slice."""
        if self._session is None:
            return
        before, self.point = self.point, tuple(int(i) for i in point)
        for number, frame in enumerate(self._frames):
            if self.point[frame.across] != before[frame.across]:
                self.drawer.want(number)
        self._place()

    def go_to(self, point: tuple[int, ...]) -> None:
        """Show a voxel here and in the slice, in its middle unless it is well in view."""
        session = self._session
        if session is None:
            return
        axis = session.project.axis
        if point[axis] != session.references.current_slice():
            session.go_to(int(point[axis]))
        self.set_point(point)
        self._centre()

    # -- inside: following ----------------------------------------------------------------

    def _join(self, session: Session) -> None:
        viewer = self._viewer
        session.history.changed.connect(self._want_all)
        session.proposals_changed.connect(self._on_layers)
        session.classes_changed.connect(self._want_all)
        session.tour.arrived.connect(self.set_point)
        viewer.dims.events.point.connect(self._on_slice)
        viewer.dims.events.order.connect(self._on_order)
        viewer.scene.camera.events.zoom.connect(self._on_zoom)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._want_all)
        viewer.layers.events.reordered.connect(self._want_all)
        viewer.mouse_move_callbacks.append(self._on_move)
        self._on_layers()

    def _leave(self, session: Session) -> None:
        viewer = self._viewer
        for signal, slot in (
            (session.history.changed, self._want_all),
            (session.proposals_changed, self._on_layers),
            (session.classes_changed, self._want_all),
            (session.tour.arrived, self.set_point),
            (viewer.dims.events.point, self._on_slice),
            (viewer.dims.events.order, self._on_order),
            (viewer.scene.camera.events.zoom, self._on_zoom),
            (viewer.layers.events.inserted, self._on_layers),
            (viewer.layers.events.removed, self._want_all),
            (viewer.layers.events.reordered, self._want_all),
        ):
            with contextlib.suppress(ValueError, RuntimeError):
                signal.disconnect(slot)
        if self._on_move in viewer.mouse_move_callbacks:
            viewer.mouse_move_callbacks.remove(self._on_move)
        for layer in list(self._heard):
            for emitter in _looks(layer):
                with contextlib.suppress(ValueError):
                    emitter.disconnect(self._want_all)
        self._heard.clear()

    def _on_layers(self, event: Any = None) -> None:
        for layer in self._viewer.layers:
            if layer not in self._heard:  # each connection takes a while
                self._heard.add(layer)
                for emitter in _looks(layer):
                    emitter.connect(self._want_all)
        self._want_all()

    def _on_move(self, viewer: Any, event: Any) -> None:
        if self.shown:
            self._rest.start()

    def _follow_cursor(self) -> None:
        session = self._session
        if session is None or not self.shown or not self._viewer.mouse_over_canvas:
            return
        point = session.tools.point()
        if point is not None and self._viewer.dims.ndisplay == 2:
            self.set_point(point)

    def _on_slice(self, event: Any = None) -> None:
        session = self._session
        if session is not None:
            point = list(self.point)
            point[session.project.axis] = session.references.current_slice()
            self.set_point(tuple(point))

    def _on_order(self, event: Any = None) -> None:
        if self._session is not None and self._session.project.axis in (
            frame.across for frame in self._frames
        ):
            self._set_up()

    def _on_shown(self, shown: bool) -> None:
        """Draw only while someone looks."""
        self._on_zoom()
        self.drawer.wake(shown)

    def _on_zoom(self, event: Any = None) -> None:
        if self._session is None or not self.shown:
            return
        layer, shown = self._session.references.layer, self._displayed()
        if min(shown) < 0:
            return
        extent = np.ptp(np.asarray(layer.extent.world), axis=0)[shown]
        fit = _NEAR * float((np.asarray(self._viewer.canvas.size) / extent).min())
        for view in self.views:
            view.set_nearness(float(self._viewer.scene.camera.zoom) / max(fit, 1e-9))

    def _follow_theme(self, event: Any = None) -> None:
        theme = get_theme(self._viewer.theme)
        for view in self.views:
            view.set_colors(theme.canvas.as_hex(), theme.text.as_hex())

    # -- inside: places -------------------------------------------------------------------

    def _set_up(self) -> None:
        """Take the planes across the slicing axis as it is now."""
        session = self._session
        assert session is not None
        axis = session.project.axis
        self._frames = [Frame.of(session.image, a) for a in range(3) if a != axis]
        self.point = self._first_point(session)
        for frame, view in zip(self._frames, self.views, strict=True):
            view.letters = plane_letters(session.image, frame.row, frame.column, frame.flips)
        self._place()
        self._on_zoom()
        self._want_all()

    def _first_point(self, session: Session) -> tuple[int, ...]:
        """Return the middle of what is labelled in the slice, or of the volume."""
        axis, index = session.project.axis, session.references.current_slice()
        found = [n // 2 for n in session.project.info.shape]
        found[axis] = index
        proposal = session.shelf.in_view()
        sections = [session.references.slice_ink(index)]
        if proposal is not None:
            sections.append(plane(proposal.layer.data, axis, index))
        for section in sections:
            inside = np.argwhere((section > 0) & (section < 255))
            if len(inside):
                middle = inside[np.abs(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
                rest = [a for a in range(3) if a != axis]
                found[rest[0]], found[rest[1]] = int(middle[0]), int(middle[1])
                break
        return tuple(found)

    def _place(self) -> None:
        """Move the crosshairs and say which planes these are."""
        session = self._session
        assert session is not None
        shape = session.project.info.shape
        for frame, view in zip(self._frames, self.views, strict=True):
            place = frame.place(self.point[frame.row], self.point[frame.column], shape)
            view.set_cross(*place)
            letter = str(session.image.axis_labels[frame.across])
            name = _NAMES.get(letter, f"axis {letter.removeprefix('-')}")
            view.title = f"{name} {self.point[frame.across]}"

    def _on_pointed(self, number: int, row: float, column: float) -> None:
        session = self._session
        if session is None:
            return
        frame, point = self._frames[number], list(self.point)
        place = frame.place(round(row), round(column), session.project.info.shape)
        point[frame.row], point[frame.column] = int(place[0]), int(place[1])
        self.go_to(tuple(point))

    def _on_stepped(self, number: int, steps: int) -> None:
        session = self._session
        if session is None:
            return
        across, point = self._frames[number].across, list(self.point)
        last = session.project.info.shape[across] - 1
        point[across] = int(np.clip(point[across] + steps, 0, last))
        self.go_to(tuple(point))

    def _displayed(self) -> list[int]:
        """Axes of the volume that the canvas shows."""
        dims = self._viewer.dims
        return [axis - (dims.ndim - 3) for axis in dims.displayed]

    def _centre(self) -> None:
        session, shown = self._session, self._displayed()
        if session is None or len(shown) != 2 or min(shown) < 0:
            return
        camera = self._viewer.scene.camera
        world = np.asarray(session.references.layer.data_to_world(self.point))[shown]
        half = np.asarray(self._viewer.canvas.size) / float(camera.zoom) / 2
        centre = np.array(camera.center, dtype=float)
        if (np.abs(world - centre[-2:]) > _INNER * half).any():
            centre[-2:] = world
            camera.center = tuple(centre)

    # -- inside: drawing ------------------------------------------------------------------

    def _plane(self, number: int) -> tuple[Frame, int]:
        frame = self._frames[number]
        return frame, self.point[frame.across]

    def _want_all(self, *args: Any) -> None:
        self.drawer.want(0, 1)

    def _show(self, number: int, picture: PlanePicture) -> None:
        session, frame = self._session, self._frames[number]
        if session is not None:
            scale = np.abs(session.image.scale[-3:])
            pixel = (float(scale[frame.row]), float(scale[frame.column]))
            self.views[number].show_picture(picture, pixel)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Put the views beside each other, or one below the other in a narrow dock."""
        direction = QBoxLayout.Direction
        wide = self.width() >= self.height()
        self._box.setDirection(direction.LeftToRight if wide else direction.TopToBottom)
        self._on_zoom()
        super().resizeEvent(event)
