"""Drawing planes of a session in a thread, the newest wish first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal

from ..volume.project import ProjectError
from .channels import channels_of
from .cross_section import GreyLook, LabelsLook, draw_image, draw_labels, plane
from .head_up import picture_rows
from .layer_roles import REFERENCES, role_of
from .plane_view import PlanePicture

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.layers import Image

    from .session import Session

#: Most pixels that one is drawn as, for outlines to be thin beside thick slices.
_FINEST = 8

#: Milliseconds from a change to the picture of it.
_SOON_MS = 40


@dataclass(frozen=True)
class Frame:
    """Which way a plane is drawn: the axes of its rows and columns, and which are turned round.

    Parameters
    ----------
    across : int
        Axis that the plane lies across.
    row, column : int
        Axes that run downwards and to the right.
    flips : tuple of two bool
        Whether each of them runs upwards, or to the left, instead.
    finer : tuple of two int
        Rows and columns of about square pixels in each pixel.
    """

    across: int
    row: int
    column: int
    flips: tuple[bool, bool]
    finer: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, image: Image, across: int) -> Frame:
        """Return the plane as napari shows it when the slider goes along its axis."""
        row, column = (axis for axis in range(3) if axis != across)
        head_up = picture_rows(image, across).step == -1
        scale = image.scale[-3:]
        flips = (head_up != bool(scale[row] < 0), bool(scale[column] < 0))
        ratio = abs(float(scale[row] / scale[column]))
        finer = (
            (min(round(ratio), _FINEST), 1) if ratio > 1 else (1, min(round(1 / ratio), _FINEST))
        )
        return cls(across, row, column, flips, finer)

    def section(self, array: Any, index: int) -> npt.NDArray[Any]:
        """Return a plane of an array as it is drawn."""
        turned = tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)
        return plane(array, self.across, index)[turned]

    def place(self, row: float, column: float, shape: tuple[int, ...]) -> tuple[float, float]:
        """Turn row and column of the array into those of the screen, or back."""
        return (
            shape[self.row] - 1 - row if self.flips[0] else row,
            shape[self.column] - 1 - column if self.flips[1] else column,
        )


class PlaneDrawer(QObject):
    """Draws planes in a thread, not while a stroke is being drawn.

    Parameters
    ----------
    wanted : callable
        Returns the frame and the plane of a view.
    """

    drawn = Signal(int, object)
    """Number of the view, and its `PlanePicture`."""
    trouble = Signal(str)
    """Why nothing is drawn, once until it is again: every stroke asks for pictures."""
    _over = Signal(object, object)

    def __init__(self, wanted: Callable[[int], tuple[Frame, int]]) -> None:
        super().__init__()
        self._wanted = wanted
        self._session: Session | None = None
        self._image: Any = None
        self._stale: set[int] = set()
        self._running = self._failing = self.awake = False
        self._pool: ThreadPoolExecutor | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_SOON_MS)
        self._soon.timeout.connect(self._draw)
        self._over.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def idle(self) -> bool:
        """Whether all that was asked for is drawn."""
        return not self._stale and not self._running

    def set_session(self, session: Session | None) -> None:
        """Draw this session's planes from now on."""
        self._session = session
        self._image = None
        self._failing = False
        if session is not None:
            with contextlib.suppress(ProjectError):  # without its file there is nothing to show
                self._image = session.project.image()
        self._stale.clear()

    def want(self, *numbers: int) -> None:
        """Draw views anew: soon, or when they are looked at again."""
        self._stale.update(numbers)
        self.wake(self.awake)

    def wake(self, awake: bool) -> None:
        """Start or stop drawing."""
        self.awake = awake
        if awake and self._stale and not self._soon.isActive():
            self._soon.start()

    def close(self) -> None:
        """End the thread; what is drawn after all has another one."""
        self.set_session(None)
        self._soon.stop()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    # -- inside ---------------------------------------------------------------------------

    def _draw(self) -> None:
        session, image = self._session, self._image
        if session is None or image is None or not self.awake or not self._stale:
            return
        if self._running or session.history.drawing:
            self._soon.start()
            return
        jobs = [(number, *self._wanted(number)) for number in self._stale]
        greys, labels = _greys(session), _labels(session)
        self._stale.clear()
        self._running = True

        def work() -> list[tuple[int, PlanePicture]]:
            return [(n, _picture(image, greys, labels, frame, i)) for n, frame, i in jobs]

        def over(future: Future[Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the window may be gone
                self._over.emit(session, future)

        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sslseg-planes")
        self._pool.submit(work).add_done_callback(over)

    def _deliver(self, session: Session, future: Future[list[tuple[int, PlanePicture]]]) -> None:
        self._running = False
        if session is not self._session or future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._failing = False
            for number, picture in future.result():
                self.drawn.emit(number, picture)
        elif not self._failing:
            self._failing = True
            reason = str(error).rstrip(".") or type(error).__name__
            self.trouble.emit(f"The other planes cannot be drawn: {reason}.")


def _greys(session: Session) -> list[GreyLook]:
    info = session.project.info
    if info.rgb:
        return []
    layers = channels_of(session.viewer.layers, session.image)[: info.channels]
    numbers = range(info.channels) if info.channels > 1 else (None,)
    looks = [GreyLook.of(*pair) for pair in zip(layers, numbers, strict=False) if pair[0].visible]
    return looks or [GreyLook.nothing(numbers[0])]


def _labels(session: Session) -> list[LabelsLook]:
    # By role: seen through the viewer that napari hands to a plugin, no layer is itself.
    looks = []
    for layer in session.viewer.layers:
        if layer.visible and (role := role_of(layer)):
            proposal = session.proposals.get(role)
            seen = session.known.seen(proposal) if proposal is not None else None
            seen = session.known.seen_ink() if role == REFERENCES else seen
            looks.append(LabelsLook.of(layer, seen))
    return looks


def _picture(
    image: Any, greys: list[GreyLook], labels: list[LabelsLook], frame: Frame, index: int
) -> PlanePicture:
    """Draw a plane; reads nothing else of the arrays."""
    picture = draw_image(frame.section(image, index), greys)
    if not labels:
        return PlanePicture(picture)
    sections = [frame.section(look.data, index) for look in labels]
    return PlanePicture(picture, draw_labels(sections, labels, frame.finer))
