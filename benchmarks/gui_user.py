"""Someone who scrolls and paints in a viewer, a volume to do it in, and proposals that come in."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np


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
        #: Milliseconds, and those of them on the processor.
        self.frames: dict[str, list[tuple[float, float]]] = defaultdict(list)
        #: Layers of nobody's, for comparison.
        self.plain: list[Any] = []
        #: Says after a frame what else was going on, if it knows; such frames are counted twice.
        self.meanwhile: Callable[[], str] = lambda: ""
        self._random = np.random.default_rng(0)

    def act(self, label: str, action: Callable[[], Any]) -> None:
        """Do something, and time it until it is drawn."""
        from qtpy.QtWidgets import QApplication

        start, cpu = time.perf_counter(), time.thread_time()
        action()
        QApplication.processEvents()
        took = time.perf_counter() - start, time.thread_time() - cpu
        frame = (1e3 * took[0], 1e3 * took[1])
        self.frames[label].append(frame)
        if more := self.meanwhile():
            self.frames[f"{label} ({more})"].append(frame)

    def scroll(self, label: str, steps: int, pause: float = 0.02) -> None:
        """Go through slices, a frame each."""
        axis = self.viewer.dims.order[0]
        last = int(self.viewer.dims.nsteps[axis]) - 1
        for k in range(steps):
            index = int(0.9 * last) - k % max(int(0.8 * last), 1)
            self.act(label, lambda index=index: self.viewer.dims.set_current_step(axis, index))
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
                self.act(label, lambda spot=spot: layer.paint(spot, layer.selected_label))
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
        self.plain = plain

    def toggle_plain(self, image_only: Callable[[], object], times: int = 6) -> None:
        """Hide and show the plain layers in the place of ours, among as many layers."""
        image_only()
        _show(self.plain, True)
        for _ in range(times):
            for shown in (False, True):
                wait(0.05)
                self.act("image only: plain napari", lambda shown=shown: _show(self.plain, shown))
        _show(self.plain, False)
        image_only()
        wait(0.3)


def _show(layers: list[Any], shown: bool) -> None:
    for layer in layers:
        layer.visible = shown


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
    session.rounds.follow(ProposalReady(slug, name, version))
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
