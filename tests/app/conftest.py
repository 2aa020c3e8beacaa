"""A real viewer with the panel, and a small volume whose truth is known."""

from __future__ import annotations

import copy
import functools
import gc
import time
from collections.abc import Callable, Iterator
from typing import ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import pytest
from napari._qt.widgets.qt_viewer_buttons import LayerCreationState, QtViewerPushButton
from napari._qt.widgets.qt_welcome import QtWelcomeWidget
from napari.components import ViewerModel
from napari.settings import get_settings
from napari.settings._base import EventedConfigFileSettings
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.events import EventEmitter
from npe2.manifest import _bases as manifests
from qtpy.QtCore import QThreadPool
from vispy.visuals.shaders import parsing
from vispy.visuals.shaders.function import Function

from napari_sslseg.app.image_source import HOME_VARIABLE

SHAPE = (12, 40, 44)


def make_volume() -> tuple[np.ndarray, np.ndarray]:
    """Return a bright cone in noise, and its mask."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    truth = ((y - 20) ** 2 + (x - 16 - z) ** 2 < (6 + 0.5 * z) ** 2).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 12, SHAPE)
    return (60 + 90 * truth + noise).clip(0, 255).astype(np.uint8), truth


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Give a folder of its own for projects."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def warm_trainer() -> None:
    """Ask for a trainer that is started when a project opens, as the application does."""


@pytest.fixture
def saved_soon(monkeypatch) -> None:
    """Ask for strokes that are saved at once, where that they are is what is looked at."""
    from napari_sslseg.app import autosave

    monkeypatch.setattr(autosave, "DELAY_MS", 50)


@pytest.fixture(autouse=True)
def _trainer_when_needed(request, monkeypatch):
    """Start trainers when training begins only: most tests need none, and each imports torch."""
    if "warm_trainer" not in request.fixturenames:
        from napari_sslseg.app.training_run import TrainingRun

        monkeypatch.setattr(TrainingRun, "warm_up", lambda run: None)


@pytest.fixture
def keeps_up() -> None:
    """Ask for proposals that are updated when a slice is accepted, as in the application."""


@pytest.fixture(autouse=True)
def _updates_when_asked_for(request, monkeypatch):
    """Leave proposals as they are: tests that accept slices look at what comes of that alone."""
    if "keeps_up" not in request.fixturenames:
        from napari_sslseg.app.keeping_up import KeepingUp

        monkeypatch.setattr(KeepingUp, "_look", lambda keeping_up: None)


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch):
    """Let windows close on work that cannot be saved: nobody is there to answer."""
    from qtpy.QtWidgets import QMessageBox

    from napari_sslseg.app import closing

    monkeypatch.setattr(closing, "_ask", lambda *given: QMessageBox.StandardButton.Discard)


@pytest.fixture(scope="session", autouse=True)
def _viewers_are_made_faster():
    """Spare each of several hundred viewers what is the same for all: a quarter of its time.

    The manifests of plugins are parsed once, as are shaders and the signatures of what listens to
    events; the settings that each viewer begins anew with are not written to a file; what nobody
    sees is not drawn up anew with each of 180 shortcuts, nor buttons that look as before; and
    garbage is looked for less often than every 700 objects. What napari collects with each layer
    that goes stays: without it the viewers of earlier tests live on, and slow all others down.
    """
    parsed: dict[str, object] = {}
    load = manifests._load_yaml_no_duplicates

    def load_once(stream):
        text = stream if isinstance(stream, str) else stream.read()
        if text not in parsed:
            parsed[text] = load(text)
        return copy.deepcopy(parsed[text])

    # By code, as many functions are made anew with each viewer; what wraps others shares it.
    accepted: dict[tuple[object, bool], bool] = {}
    wrapping: WeakKeyDictionary[object, dict[tuple[object, bool], bool]] = WeakKeyDictionary()
    look = EventEmitter._check_signature

    def look_once(listener):
        plain = getattr(listener, "__func__", listener)
        code = getattr(plain, "__code__", None)
        known = accepted
        if isinstance(listener, EventEmitter):
            code = type(listener)
        elif code is None:
            return look(listener)
        elif hasattr(plain, "__wrapped__") or hasattr(plain, "__signature__"):
            known = wrapping.setdefault(plain, {})
        key = code, plain is listener
        if key not in known:
            known[key] = look(listener)
        return known[key]

    welcome = QtWelcomeWidget.refresh

    def refresh_what_is_seen(widget, event=None):
        if not widget.isHidden():
            welcome(widget, event)

    change = QtViewerPushButton._change_selection_state

    def change_when_another(button, state):
        if button.property("creation_state") != LayerCreationState(state).value:
            change(button, state)

    clean_once = functools.cache(functools.partial(Function._clean_code, None))
    parse_once = functools.cache(parsing.parse_function_signature)
    usual = gc.get_threshold()
    gc.set_threshold(20_000, *usual[1:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifests, "_load_yaml_no_duplicates", load_once)
        patch.setattr(EventedConfigFileSettings, "_maybe_save", lambda settings: None)
        patch.setattr(EventEmitter, "_check_signature", staticmethod(look_once))
        patch.setattr(QtWelcomeWidget, "refresh", refresh_what_is_seen)
        patch.setattr(QtViewerPushButton, "_change_selection_state", change_when_another)
        patch.setattr(Function, "_clean_code", lambda function, code: clean_once(code))
        patch.setattr(parsing, "parse_function_signature", parse_once)
        yield
    gc.set_threshold(*usual)


@pytest.fixture(autouse=True)
def _spare_the_collector(request):
    """Set aside what outlives a test, such as modules and windows that Qt holds on to.

    napari collects garbage after each test with a viewer, over ever more objects otherwise.
    """
    yield
    if "make_napari_viewer" in request.fixturenames:
        gc.collect()
        gc.freeze()


@pytest.fixture
def until(qtbot) -> Callable[..., None]:
    """Let the application work until a condition holds."""

    def wait(condition: Callable[[], bool], seconds: float = 60, what: str = "it") -> None:
        qtbot.waitUntil(condition, timeout=int(seconds * 1000))

    return wait


@pytest.fixture
def all_read(qapp, until) -> Callable[[], None]:
    """Wait until nothing is read or worked on in threads, and all that came of it is told."""

    def wait() -> None:
        pool = QThreadPool.globalInstance()
        while True:
            until(lambda: not pool.activeThreadCount())
            qapp.processEvents()
            if not pool.activeThreadCount():  # nothing more was begun
                return

    return wait


class ViewerWithoutWindow(ViewerModel):
    """What napari's viewer is besides its window: layers, sliders, keys and selection."""

    window: ClassVar[None] = None

    def close(self) -> None:
        """Let all layers go, as a viewer that closes does."""
        self.layers.clear()


@pytest.fixture
def without_window() -> None:
    """Ask `make_panel` for viewers without a window, a canvas and napari's controls of layers.

    They take most of the time of a test that is about layers, ink and what is kept of them.
    """


@pytest.fixture
def with_window() -> None:
    """Ask for a window where the other tests of a file do without."""


@pytest.fixture
def make_viewer(request) -> Iterator[Callable[..., ViewerModel]]:
    """Give what viewers are made by."""
    if "without_window" not in request.fixturenames or "with_window" in request.fixturenames:
        yield request.getfixturevalue("make_napari_viewer")
        return
    request.getfixturevalue("mock_app_model")
    get_settings().reset()  # as for those with a window; what a test changes ends with the next
    yield ViewerWithoutWindow


@pytest.fixture
def make_panel(make_viewer, home, qtbot):
    """Build viewers with the panel docked; ends their sessions afterwards."""
    from napari_sslseg.app.panel import LoopPanel

    panels = []

    def build(**options):
        viewer = make_viewer(**options)
        panel = LoopPanel(PublicOnlyProxy(viewer))  # what napari hands to plugins
        if viewer.window is not None:
            viewer.window.add_dock_widget(panel, name="Segment a volume")
        panels.append(panel)
        return viewer, panel

    yield build
    for panel in panels:
        if panel.session is not None:
            panel.session.close()
        if panel.viewer.window is None:
            panel.deleteLater()


@pytest.fixture
def started(make_panel, until):
    """Give a viewer, its panel and a session on the small volume, nothing inked yet."""
    viewer, panel = make_panel()
    image, truth = make_volume()
    viewer.add_image(image, name="cone", scale=(2, 1, 1), units=("mm",) * 3)
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    panel.truth = truth
    return viewer, panel


@pytest.fixture
def paint():
    """Paint a mask into one slice of a labels layer, as one stroke."""

    def stroke(layer, index: int, mask: np.ndarray, value: int) -> None:
        rows, columns = np.nonzero(mask)
        with layer.block_history():
            layer.data_setitem((np.full_like(rows, index), rows, columns), value)

    return stroke


@pytest.fixture
def with_proposal(started, paint, until):
    """Give a session with three references and a proposal written by hand into the project."""
    viewer, panel = started
    session = panel.session
    for index in (1, 6, 10):
        paint(session.references.layer, index, panel.truth[index] == 1, 1)
        session.references.mark(index)
    session.autosave.flush()
    put_proposal(session, panel.truth, until)
    return viewer, panel


def put_proposal(session, classes: np.ndarray, until, name: str = "SemSim") -> None:
    """Write a proposal as the trainer would, and let the session show it."""
    from napari_sslseg.training.events import ProposalReady
    from napari_sslseg.volume.proposal import Proposal

    regions = np.full(SHAPE, 1, dtype=np.uint8)
    regions[:, ::2] = 2
    regions[4] = 4
    confidence = np.full(SHAPE, 200, dtype=np.uint8)
    confidence[4] = 60  # as the regions say
    proposal = Proposal(name, classes.astype(np.uint8), regions, confidence, {"shares": {}})
    version = session.project.write_proposal(proposal)
    session.rounds.follow(ProposalReady(proposal.slug, name, version))
    until(
        lambda: (
            proposal.slug in session.proposals
            and session.proposals[proposal.slug].version == version
        )
    )
    time.sleep(0)
