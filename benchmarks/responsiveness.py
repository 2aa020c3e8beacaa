"""Measure how long the application holds the GUI thread while a user works in it.

    python benchmarks/responsiveness.py [--part sample|synthetic]... [--shape Z Y X]
                                        [--seconds N] [--json OUT]

Needs a screen (or Xvfb). ``sample`` trains for real on the sample volume while slices are
scrolled, layers painted on and regions switched; ``synthetic`` puts proposals into the project
of a large volume, as the trainer does, and scrolls, paints, accepts and undoes there.

Every function of ``napari_sslseg.app`` is timed on the GUI thread, and so are the calls it makes
into napari. A function's *own* time leaves napari's out; its *held* time has all of it. A timer of
the event loop shows whether anything escaped that count. Frames are timed on the same image with
as many plain labels layers instead of ours, then with the confidence layer hidden and shown.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import json
import os
import pkgutil
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LIMIT_MS = 50.0
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
            entry = [time.perf_counter(), 0.0, 0.0, time.thread_time()]  # start, ours, theirs, cpu
            self.stack.append(entry)
            try:
                return function(*args, **options)
            finally:
                self._leave(entry, owner, name)

        return wrapper

    def _leave(self, entry: list[Any], owner: str, name: str) -> None:
        self.stack.pop()
        held = time.perf_counter() - entry[0]
        ours = held - entry[2] if owner == OURS else entry[1]
        if owner == OURS:
            cpu = time.thread_time() - entry[3]
            self.calls[name].append((1e3 * held, 1e3 * ours, 1e3 * cpu))
        if self.stack:
            self.stack[-1][1] += ours
            self.stack[-1][2] += held - ours
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


def wait(seconds: float = 0.0, until: Callable[[], bool] | None = None) -> None:
    """Let the event loop run."""
    from qtpy.QtCore import QEventLoop, QTimer

    end = time.perf_counter() + seconds
    while True:
        loop = QEventLoop()
        QTimer.singleShot(15, loop.quit)
        loop.exec()
        if (until is not None and until()) or (until is None and time.perf_counter() >= end):
            return
        if until is not None and seconds and time.perf_counter() >= end:
            raise TimeoutError(f"nothing after {seconds:.0f} s")


class User:
    """Scrolls and paints in a viewer, and times each frame until it is drawn."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self.frames: dict[str, list[float]] = defaultdict(list)
        self._random = np.random.default_rng(0)

    def _frame(self, label: str, action: Callable[[], None]) -> None:
        from qtpy.QtWidgets import QApplication

        start = time.perf_counter()
        action()
        QApplication.processEvents()
        self.frames[label].append(1e3 * (time.perf_counter() - start))

    def scroll(self, label: str, steps: int, pause: float = 0.02) -> None:
        """Go through slices, a frame each."""
        axis = self.viewer.dims.order[0]
        last = int(self.viewer.dims.nsteps[axis]) - 1
        for k in range(steps):
            index = int(last * (0.1 + 0.8 * abs(((k / max(last, 1)) % 2) - 1)))
            self._frame(label, lambda index=index: self.viewer.dims.set_current_step(axis, index))
            wait(pause)

    def paint(self, layer: Any, label: str, moves: int = 10, pause: float = 0.01) -> None:
        """One stroke of the brush on the slice in view, a frame for each move of the mouse."""
        axis = self.viewer.dims.order[0]
        point = [self._random.integers(n // 4, 3 * n // 4) for n in layer.data.shape]
        point[axis] = self.viewer.dims.current_step[axis]
        layer.brush_size = max(layer.data.shape[-1] // 25, 4)
        along = 2 if axis != 2 else 1
        with layer.block_history():
            for _ in range(moves):
                point[along] = min(point[along] + 3, layer.data.shape[along] - 1)
                spot = tuple(int(p) for p in point)
                self._frame(label, lambda spot=spot: layer.paint(spot, layer.selected_label))
                wait(pause)

    def baseline(self, image: Any, rounds: int = 3) -> None:
        """Do the same without us, on as many plain labels layers."""
        shape = image.data.shape
        blobs = synthetic_classes(shape)
        place = {"scale": image.scale, "translate": image.translate, "units": image.units}
        plain = [
            self.viewer.add_labels(blobs.copy(), name=f"plain {k}", opacity=0.5, **place)
            for k in range(3)
        ]
        wait(0.5)
        for _ in range(rounds):
            self.scroll("scroll: plain napari", 15)
            self.paint(plain[1], "paint: plain napari")
        for layer in plain:  # a hidden layer is neither sliced nor drawn
            layer.visible = False
        wait(0.3)


def synthetic_image(shape: tuple[int, ...]) -> np.ndarray:
    """Return bright ellipsoids in noise, 16 bit."""
    noise = np.random.default_rng(0).integers(200, 600, shape, dtype=np.uint16)
    return noise + 900 * synthetic_classes(shape).astype(np.uint16)


def synthetic_classes(shape: tuple[int, ...], shift: float = 0.0) -> np.ndarray:
    """Masks of two ellipsoids."""
    z, y, x = np.ogrid[tuple(slice(-1, 1, 1j * n) for n in shape[:3])]
    classes = np.zeros(shape[:3], dtype=np.uint8)
    classes[(z / 0.9) ** 2 + ((y + shift) / 0.5) ** 2 + ((x + 0.3) / 0.4) ** 2 < 1] = 1
    classes[(z / 0.7) ** 2 + (y / 0.3) ** 2 + ((x - 0.5 - shift) / 0.25) ** 2 < 1] = 2
    return classes


def put_proposal(session: Any, name: str, shift: float) -> None:
    """Write a proposal as the trainer would, off the GUI thread, and let the session show it."""
    from napari_sslseg.training.events import ProposalReady
    from napari_sslseg.volume.proposal import Proposal

    written: list[tuple[str, int]] = []

    def write() -> None:
        classes = synthetic_classes(session.project.info.shape, shift)
        other = synthetic_classes(session.project.info.shape, shift + 0.03)
        regions = np.where(classes != other, 3, 1).astype(np.uint8)
        regions[::3] += regions[::3] == 3
        proposal = Proposal(name, classes, regions, np.full_like(classes, 200), {"shares": {}})
        written.append((proposal.slug, session.project.write_proposal(proposal)))

    thread = threading.Thread(target=write)
    thread.start()
    wait(300, lambda: not thread.is_alive())
    slug, version = written[0]
    session._on_event(ProposalReady(slug, name, version))
    wait(120, lambda: slug in session.proposals and session.proposals[slug].version == version)


def begin(viewer: Any, panel: Any, truth: np.ndarray) -> Any:
    """Start labelling with the panel's button and ink three references."""
    panel.volume.start.click()
    wait(300, lambda: panel.session is not None)
    session = panel.session
    count = truth.shape[session.project.axis]
    while len(session.classes) < int(truth.max()):
        panel.volume.classes.add_button.click()
    panel.references.suggest.click()
    wait(1)
    for index in (count // 6, count // 2, 5 * count // 6):
        session.go_to(index)
        mask = np.moveaxis(truth, session.project.axis, 0)[index]
        for value in range(1, int(truth.max()) + 1):
            where = list(np.nonzero(mask == value))
            where.insert(session.project.axis, np.full_like(where[0], index))
            with session.references.layer.block_history():
                session.references.layer.data_setitem(tuple(where), value)
            wait(0.05)
        panel.references.mark.click()
        wait(0.1)
    wait(20, lambda: not session.autosave.pending)
    return session


def compare_confidence(user: User, session: Any, rounds: int = 3) -> None:
    """Frames with the confidence layer hidden and shown, taking turns."""
    layer = session.proposals[session.active].layer
    for _ in range(rounds):
        for shown in (False, True):
            session.regions.layer.visible = shown
            wait(0.2)
            word = "shown" if shown else "hidden"
            user.scroll(f"scroll: ours, confidence {word}", 15)
            user.paint(layer, f"paint: proposal, confidence {word}")
            user.paint(session.references.layer, f"paint: References, confidence {word}")


def sample_part(viewer: Any, panel: Any, user: User, seconds: float) -> None:
    """Train for real and work meanwhile."""
    from napari_sslseg.app.readers import labels_layer
    from napari_sslseg.sample import load

    truth = np.asarray(labels_layer(load()[1])[0])
    session = begin(viewer, panel, truth)
    panel.train.budget.choices = [("chosen", seconds)]
    panel.train.budget.value = seconds
    panel.train.train.click()
    boxes = panel.review.legend.boxes
    turn = 0
    while session.training.busy:
        turn += 1
        user.scroll("scroll: while training", 5)
        if session.active in session.proposals:
            user.paint(session.proposals[session.active].layer, "paint: proposal while training", 5)
            boxes[1 + turn % 4].toggle()
        user.paint(session.references.layer, "paint: References while training", 5)
        session.references.layer.undo()
        wait(0.1)
    wait(2)
    panel.review.next.click()
    wait(0.2)
    panel.review.accept.click()
    wait(1)
    compare_confidence(user, session)


def synthetic_part(viewer: Any, panel: Any, user: User, image: Any) -> None:
    """Work on a large volume with proposals that come in."""
    truth = synthetic_classes(image.data.shape)
    session = begin(viewer, panel, truth)
    put_proposal(session, "Reference-guided", 0.02)
    wait(1)
    put_proposal(session, "SemSim", 0.04)
    wait(3)
    compare_confidence(user, session)
    layer = session.proposals[session.active].layer
    boxes = panel.review.legend.boxes
    for turn in range(4):
        panel.review.next.click()
        wait(0.2)
        user.paint(layer, "paint: proposal, then accept")
        layer.undo()
        wait(0.2)
        boxes[1 + turn % 4].toggle()
        panel.review.accept.click()
        wait(1.2)
    session.references.layer.undo()
    wait(0.3)
    put_proposal(session, session.proposals[session.active].name, 0.06)
    wait(2)
    for button in list(panel.review.buttons.values()):
        button.click()
        wait(0.5)
    for axis in (1, 2, 0):
        panel.volume.axis.setCurrentIndex(axis)
        panel.volume.axis.activated.emit(axis)
        wait(1)
        user.scroll(f"scroll: axis {axis}", 8)
        panel.references.suggest.click()
        wait(0.5)
    session.edit_class(1, name="Organ", color="#22aa88")
    wait(0.5)
    panel.volume.classes.add_button.click()
    panel._remove_class(session.classes.ids[-1])
    wait(0.5)
    panel.train.train.click()
    wait(60, lambda: panel.train.cancel.isEnabled() and session.training.pid is not None)
    wait(3)
    panel.train.cancel.click()
    wait(10, lambda: not session.training.busy)
    target = Path(session.project.path) / "out.nii.gz"
    panel.export.export_to(target)
    wait(300, lambda: "Exported to" in panel.export.hint.text())


def leave_and_return(panel: Any) -> None:
    """Close the project with the panel's button, and continue it."""
    panel.volume.leave.click()
    wait(60, lambda: panel.session is None)
    wait(1)
    panel.volume.recent_button.click()
    wait(300, lambda: panel.session is not None and len(panel.session.proposals) > 0)
    wait(2)


def long_run(panel: Any) -> None:
    """Curves of a run of an hour, drawn with every new point."""
    from napari_sslseg.training.events import Loss

    panel.train.open()
    wait(0.3)
    for k in range(20_000):
        panel.train.chart.losses.append((0.2 * k, 1 / (1 + k)))
    for k in range(5):
        panel.train.follow(Loss(k, 4000.0 + k, 0.1, {}))
        wait(0.1)


def report(name: str, watch: Watch, beat: Heartbeat, user: User) -> dict[str, Any]:
    """Print the tables of a part and return them."""
    rows = []
    for label, calls in watch.calls.items():
        held, own, cpu = (np.array(column) for column in zip(*calls, strict=True))
        rows.append(
            {
                "function": label,
                "calls": len(calls),
                "held_max": round(float(held.max()), 1),
                "own_max": round(float(own.max()), 1),
                "own_p99": round(float(np.percentile(own, 99)), 1),
                "cpu_max": round(float(cpu.max()), 1),
                "held_over": int((held > LIMIT_MS).sum()),
                "own_over": int((own > LIMIT_MS).sum()),
            }
        )
    rows.sort(key=lambda row: (-row["own_max"], -row["held_max"]))
    print(f"\n== {name}: time on the GUI thread, ms (over = calls above {LIMIT_MS:.0f} ms)")
    head = ("calls", "own max", "p99", "over", "held max", "over")
    widths = (6, 9, 7, 5, 10, 5)
    print(f"{'function':56}" + "".join(f"{h:>{w}}" for h, w in zip(head, widths, strict=True)))
    for row in rows:
        if row["own_max"] >= 8 or row["held_over"]:
            print(
                f"{row['function'][:55]:56}{row['calls']:6d}{row['own_max']:9.1f}"
                f"{row['own_p99']:7.1f}{row['own_over']:5d}{row['held_max']:10.1f}"
                f"{row['held_over']:5d}"
            )
    gaps = np.array(beat.gaps)
    rest = gaps[:, 0] - gaps[:, 1] - gaps[:, 2]
    beats = {
        "beats": len(gaps),
        "gap_max": round(float(gaps[:, 0].max()), 1),
        "gap_p99": round(float(np.percentile(gaps[:, 0], 99)), 1),
        "ours_max": round(float(gaps[:, 1].max()), 1),
        "ours_p99": round(float(np.percentile(gaps[:, 1], 99)), 1),
        "ours_over": int((gaps[:, 1] > LIMIT_MS).sum()),
        "napari_max": round(float(gaps[:, 2].max()), 1),
        "rest_max": round(float(rest.max()), 1),
        "rest_over": int((rest > LIMIT_MS).sum()),
    }
    print(f"event loop, gaps between beats: {beats}")
    frames = {}
    for label, values in user.frames.items():
        quantiles = np.percentile(values, [50, 99])
        frames[label] = [round(float(v), 1) for v in (*quantiles, max(values))]
    print(f"{'frames, ms until drawn':50}{'median':>8}{'p99':>8}{'max':>8}{'x plain':>9}")
    for label, (median, high, most) in frames.items():
        plain = frames.get(label.split(":")[0] + ": plain napari", [float("nan")])[0]
        print(f"{label:50}{median:8.1f}{high:8.1f}{most:8.1f}{median / plain:9.2f}")
    return {"part": name, "functions": rows, "event_loop": beats, "frames_ms": frames}


def measure(part: str, shape: tuple[int, ...], seconds: float) -> dict[str, Any]:
    """Run one part in a viewer of its own."""
    import napari

    from napari_sslseg.app.panel import LoopPanel

    watch = Watch()
    watch_application(watch)
    viewer = napari.Viewer(show=True)
    user = User(viewer)
    if part == "sample":
        viewer.open_sample("napari-sslseg", "brain")
    else:
        viewer.add_image(synthetic_image(shape), name="synthetic", scale=(1.5, 1, 1))
    image = viewer.layers[0]
    panel = LoopPanel(viewer)
    viewer.window.add_dock_widget(panel, name="Segment a volume")
    wait(1)
    # The panel is idle until labelling starts; it is there so that the canvas has one size.
    user.baseline(image)
    watch.calls.clear()
    beat = Heartbeat(watch)
    if part == "sample":
        sample_part(viewer, panel, user, seconds)
    else:
        synthetic_part(viewer, panel, user, image)
    long_run(panel)
    leave_and_return(panel)
    beat.stop()
    result = report(part, watch, beat, user)
    panel.close_session()
    viewer.close()
    return result


def main() -> None:
    """Run the parts, each in a process of its own, and write what they found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=["sample", "synthetic"])
    parser.add_argument("--shape", nargs=3, type=int, default=(200, 512, 512), metavar="N")
    parser.add_argument("--seconds", type=float, default=30.0, help="of training on the sample")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for part in options.part or ["sample", "synthetic"]:
        with tempfile.TemporaryDirectory() as home:
            os.environ["NAPARI_SSLSEG_HOME"] = home
            results.append(measure(part, tuple(options.shape), options.seconds))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
