"""Whose time passes on the GUI thread: ours, napari's, or that of neither."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

BEAT_MS = 5
OURS, THEIRS = "ours", "napari"


class Watch:
    """Stack of timed calls on one thread; knows whose time passes."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.stack: list[list[Any]] = []
        self.calls: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        self.roots: list[tuple[str, float, float]] = []
        self.total = {OURS: 0.0, THEIRS: 0.0}
        self.phase = ""

    def timed(self, function: Callable[..., Any], owner: str, name: str) -> Callable[..., Any]:
        """Return `function`, timed."""
        most = _positional(function)

        @functools.wraps(function)
        def wrapper(*args: Any, **options: Any) -> Any:
            # Qt offers a slot more arguments than it may take, and looks at what is raised.
            args = args if most is None else args[:most]
            if threading.get_ident() != self.thread:
                return function(*args, **options)
            # Start, ours and theirs of the calls inside; the same in processor time.
            entry = [time.perf_counter(), 0.0, 0.0, time.thread_time(), 0.0, 0.0]
            self.stack.append(entry)
            try:
                return function(*args, **options)
            finally:
                self._leave(entry, owner, name)

        return wrapper

    def _leave(self, entry: list[Any], owner: str, name: str) -> None:
        self.stack.pop()
        held, held_cpu = time.perf_counter() - entry[0], time.thread_time() - entry[3]
        ours = held - entry[2] if owner == OURS else entry[1]
        cpu = held_cpu - entry[5] if owner == OURS else entry[4]
        if owner == OURS:
            self.calls[name].append((1e3 * held, 1e3 * ours, 1e3 * cpu))
        if self.stack:
            for place, part in ((1, ours), (2, held - ours), (4, cpu), (5, held_cpu - cpu)):
                self.stack[-1][place] += part
        else:
            self.total[OURS] += ours
            self.total[THEIRS] += held - ours
            self.roots.append((name, 1e3 * held, 1e3 * ours))


def _positional(function: Callable[..., Any]) -> int | None:
    count = 0
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return None
        count += parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return count


def watch_application(watch: Watch) -> None:
    """Time every function of the application, and what it calls in napari."""
    import napari_sslseg.app as package

    modules = [
        importlib.import_module(info.name)
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]
    replaced: dict[Any, Any] = {}
    for module in modules:
        for thing in list(vars(module).values()):
            if getattr(thing, "__module__", None) != module.__name__:
                continue
            if inspect.isclass(thing):
                _time_class(watch, thing)
            elif inspect.isfunction(thing):
                replaced[thing] = watch.timed(thing, OURS, thing.__qualname__)
    for module in modules:
        for name, thing in list(vars(module).items()):
            if inspect.isfunction(thing) and thing in replaced:
                setattr(module, name, replaced[thing])
        # What comes back from a thread arrives in a closure, which only its creator sees.
        if hasattr(module, "in_background"):
            module.in_background = _time_delivery(watch, module.in_background)
    _watch_napari(watch)


def _time_class(watch: Watch, cls: type) -> None:
    for name, member in list(vars(cls).items()):
        label = f"{cls.__name__}.{name}"
        if isinstance(member, property) and member.fget is not None:
            setattr(cls, name, property(watch.timed(member.fget, OURS, label), member.fset))
        elif isinstance(member, staticmethod):
            setattr(cls, name, staticmethod(watch.timed(member.__func__, OURS, label)))
        elif (
            inspect.isfunction(member)
            and not inspect.isgeneratorfunction(member)
            and (not name.startswith("__") or name in ("__init__", "__getitem__", "__array__"))
        ):
            setattr(cls, name, watch.timed(member, OURS, label))


def _time_delivery(watch: Watch, in_background: Callable[..., None]) -> Callable[..., None]:
    def timed(work: Any, done: Any, failed: Any) -> None:
        in_background(work, watch.timed(done, OURS, f"after thread: {done.__qualname__}"), failed)

    return timed


def _watch_napari(watch: Watch) -> None:
    import pyqtgraph
    from napari._qt.qt_main_window import Window
    from napari.components import Dims, LayerList, ViewerModel
    from napari.layers import Image, Labels
    from napari.utils.events import EventedModel
    from vispy.app.backends._qt import CanvasBackendDesktop

    for cls, names in (
        (CanvasBackendDesktop, ["paintGL"]),
        (Labels, ["data_setitem", "undo", "redo", "paint", "refresh", "data", "features"]),
        (Labels, ["colormap", "visible", "editable", "mode", "selected_label", "_load_slice"]),
        (Image, ["refresh"]),
        (LayerList, ["move", "remove", "insert"]),
        (Dims, ["set_point"]),
        (ViewerModel, ["add_labels", "add_image"]),
        (EventedModel, ["__setattr__"]),
        (Window, ["add_dock_widget"]),
    ):
        for name in names:
            owner = next((c for c in cls.__mro__ if name in vars(c)), None)
            if owner is None or getattr(vars(owner)[name], "__wrapped__", None):
                continue
            member, label = vars(owner)[name], f"napari {cls.__name__}.{name}"
            if isinstance(member, property):
                if member.fset is not None and not hasattr(member.fset, "__wrapped__"):
                    setter = watch.timed(member.fset, THEIRS, label)
                    setattr(owner, name, property(member.fget, setter, doc=member.__doc__))
            else:
                setattr(owner, name, watch.timed(member, THEIRS, label))
    plot = pyqtgraph.PlotWidget
    plot.paintEvent = watch.timed(plot.paintEvent, OURS, "chart: paint")


class Heartbeat:
    """Gaps between beats of a timer, and whose time they were."""

    def __init__(self, watch: Watch) -> None:
        from qtpy.QtCore import Qt, QTimer

        self._watch = watch
        self._last: tuple[float, float, float] | None = None
        self.gaps: list[tuple[float, float, float]] = []  # whole, ours, napari's; ms
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(BEAT_MS)

    def _beat(self) -> None:
        total = self._watch.total
        now = (time.perf_counter(), total[OURS], total[THEIRS])
        if self._last is not None:
            whole, ours, theirs = (1e3 * (a - b) for a, b in zip(now, self._last, strict=True))
            self.gaps.append((whole, ours, theirs))
        self._last = now

    def stop(self) -> None:
        """End the beats."""
        self._timer.stop()
