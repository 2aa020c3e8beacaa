"""Shortcuts: they work, can be changed, and none is one of napari's."""

from __future__ import annotations

import json

import numpy as np
import pytest
from app_model import Application
from napari._app_model import get_app_model
from napari.utils.shortcuts import default_shortcuts
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QApplication

from napari_sslseg.app.key_settings import ACTIONS, Keys, napari_keys, normal, settings_file
from napari_sslseg.app.keys import actions_of
from napari_sslseg.volume.annotation import SliceState

from .conftest import put_proposal

pytestmark = pytest.mark.usefixtures("without_window")

DEFAULTS = {action.name: action.key for action in ACTIONS}


@pytest.fixture(autouse=True)
def _usual_double_click(qapp):
    """Leave what counts as a double click as it was."""
    usual = QApplication.doubleClickInterval()
    yield
    QApplication.setDoubleClickInterval(usual)


def press(viewer, key: str) -> None:
    bound = {str(found): found for found in viewer.keymap}
    viewer.keymap[bound[key]](viewer)


def test_no_shortcut_is_one_of_napari(with_window, started):
    viewer, _ = started
    own = {*DEFAULTS.values(), *(f"Alt+{digit}" for digit in range(10))}
    assert len(own) == len(DEFAULTS) + 10
    assert own <= {str(key) for key in viewer.keymap}
    assert not own & napari_keys()
    assert not own & {normal(str(k)) for keys in default_shortcuts.values() for k in keys}
    # napari's actual key maps, of the viewer and of every layer that is there.
    for provider in (viewer, *viewer.layers):
        for cls in type(provider).__mro__:
            taken = {normal(str(k)) for k in getattr(cls, "class_keymap", {})}
            assert not own & taken, cls
    menus = {str(binding.keybinding) for binding in get_app_model().keybindings}
    assert "Ctrl+O" in menus
    assert not own & menus


def test_every_action_has_a_key_and_every_key_an_action(started):
    _, panel = started
    assert set(actions_of(panel)) == set(DEFAULTS)


def test_keys_accept_go_on_and_swap(with_proposal, until):
    viewer, panel = with_proposal
    session = panel.session
    put_proposal(session, 1 - panel.truth, until, name="Reference-guided")
    session.activate("semsim")
    press(viewer, DEFAULTS["swap"])
    assert session.active == "reference-guided"
    press(viewer, DEFAULTS["swap"])
    assert session.active == "semsim"
    session.go_to(3)
    press(viewer, DEFAULTS["accept"])
    assert session.references.states[3] == SliceState.WHOLE
    assert np.array_equal(session.references.ink[3], panel.truth[3])
    until(lambda: session.suggest() is not None)
    press(viewer, DEFAULTS["next_slice"])
    assert session.references.current_slice() == session.suggest().index
    session.go_to(8)
    press(viewer, DEFAULTS["accept_next"])
    assert 8 in session.accepted_slices()
    assert session.references.current_slice() == 4
    press(viewer, DEFAULTS["accept_sure"])
    assert "sure" in panel.review.hint.text()


def test_before_a_proposal_the_same_keys_mark_what_is_painted_and_go_on(started, paint, until):
    viewer, panel = started
    session, references = panel.session, panel.session.references
    assert f"key {DEFAULTS['accept']}" in panel.references.mark.toolTip()
    session.go_to(3)
    press(viewer, DEFAULTS["accept_next"])
    assert references.references() == []  # nothing is painted there
    assert references.current_slice() == 3
    paint(references.layer, 3, panel.truth[3] == 1, 1)
    for _ in range(2):
        press(viewer, DEFAULTS["accept"])
        assert references.references() == [3]
    press(viewer, DEFAULTS["next_slice"])
    until(lambda: references.current_slice() != 3)
    index = references.current_slice()
    paint(references.layer, index, panel.truth[index] == 1, 1)
    QApplication.setDoubleClickInterval(0)
    press(viewer, DEFAULTS["accept_next"])
    until(lambda: references.current_slice() != index)
    assert index in references.references()
    assert "train" not in panel.references.hint.text()
    references.mark(references.current_slice())
    press(viewer, DEFAULTS["next_slice"])
    until(lambda: "paint every class" in panel.references.hint.text())
    assert "train in step 3" in panel.references.hint.text()


def test_a_key_that_is_hit_twice_accepts_one_slice(with_proposal, until):
    viewer, panel = with_proposal
    session = panel.session
    until(lambda: session.shelf.counts() is not None)
    session.go_to(4)
    QApplication.setDoubleClickInterval(60_000)
    for _ in range(2):
        press(viewer, DEFAULTS["accept_next"])
    assert session.accepted_slices() == [4]
    assert session.references.current_slice() != 4
    QApplication.setDoubleClickInterval(0)
    press(viewer, DEFAULTS["accept_next"])
    assert len(session.accepted_slices()) == 2


def test_the_image_alone_and_back(with_proposal):
    viewer, panel = with_proposal
    shown = {layer.name for layer in viewer.layers if layer.visible}
    press(viewer, DEFAULTS["image_only"])
    assert {layer.name for layer in viewer.layers if layer.visible} == {"cone"}
    assert panel.review.image_only.isChecked()
    press(viewer, DEFAULTS["image_only"])
    assert {layer.name for layer in viewer.layers if layer.visible} == shown


def test_flip_at_the_cursor(with_proposal, until):
    viewer, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    session.go_to(4)
    viewer.cursor.position = (8.0, 20.0, 20.0)  # slices are 2 mm apart
    press(viewer, DEFAULTS["flip"])
    until(lambda: not session.mender.busy)
    assert not layer.data[4].any()
    viewer.cursor.position = (-50.0, 0.0, 0.0)
    press(viewer, DEFAULTS["flip"])
    assert not session.mender.busy


def test_number_keys_choose_classes(with_window, started):
    viewer, panel = started
    session = panel.session
    session.add_class("Second")
    press(viewer, "Alt+1")
    assert session.references.layer.selected_label == 1
    press(viewer, "Alt+2")
    assert session.references.layer.selected_label == 2
    assert panel.volume.classes.current() == 2
    press(viewer, "Alt+0")
    assert session.references.layer.selected_label == 0
    press(viewer, "Alt+9")
    assert session.references.layer.selected_label == 0


def test_a_key_press_in_the_window_arrives(with_window, with_proposal, qtbot):
    viewer, panel = with_proposal
    panel.session.go_to(4)
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.keyClick(canvas, Qt.Key.Key_K)
    assert panel.session.accepted_slices() == [4]
    # Also when a button of the panel was pressed last.
    panel.session.go_to(5)
    qtbot.keyClick(panel.review.accept, Qt.Key.Key_K)
    assert panel.session.accepted_slices() == [4, 5]
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert panel.session.accepted_slices() == [4]
    viewer.layers.selection.active = viewer.layers["cone"]
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert panel.session.accepted_slices() == []
    qtbot.keyClick(
        canvas,
        Qt.Key.Key_Z,
        Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier,
    )
    assert panel.session.accepted_slices() == [4]
    for key, name in ((Qt.Key.Key_Period, "."), (Qt.Key.Key_Comma, ",")):
        assert DEFAULTS["next_place" if name == "." else "previous_place"] == name
        qtbot.keyClick(canvas, key)
    qtbot.keyClick(canvas, Qt.Key.Key_F1)
    assert panel.key_help.isVisible()


def test_a_key_is_changed_in_the_help_and_remembered(with_window, with_proposal):
    viewer, panel = with_proposal
    panel.top.help.click()
    edit = panel.key_help.edits["accept"]
    edit.setKeySequence(QKeySequence("Shift+K"))
    edit.editingFinished.emit()
    assert panel.key_help.hint.text() == "Saved."
    assert "Shift+K" in panel.review.accept.toolTip()
    assert "K" not in {str(key) for key in viewer.keymap}
    panel.session.go_to(4)
    press(viewer, "Shift+K")
    assert panel.session.accepted_slices() == [4]
    assert json.loads(settings_file().read_text()) == {"accept": "Shift+K"}
    assert Keys(napari_keys()).by_name["accept"] == "Shift+K"
    panel.key_help.defaults.click()
    assert Keys().by_name == DEFAULTS
    assert edit.keySequence().toString() == "K"
    press(viewer, "K")


def test_a_key_that_is_taken_is_refused_with_the_reason(with_window, make_panel, monkeypatch):
    # napari's own tests give the application another name.
    monkeypatch.setattr(Application, "get_app", lambda name: get_app_model())
    _, panel = make_panel()
    panel.show_keys()
    edit = panel.key_help.edits["accept"]
    for key, reason in (
        ("P", "napari"),
        ("N", "in use"),
        ("Ctrl+Z", "napari"),
        ("Ctrl+O", "napari"),
        ("", "is not a key"),
    ):
        panel.key_help.hint.setText("")
        edit.setKeySequence(QKeySequence(key))
        edit.editingFinished.emit()
        assert reason in panel.key_help.hint.text(), key
        assert edit.keySequence().toString() == "K", key
        assert panel.keys.by_name["accept"] == "K", key
        assert not settings_file().exists(), key


def test_keys_that_cannot_be_saved_leave_the_old_ones_and_say_so(home, files_end_at):
    keys = Keys(napari_keys())
    keys.set("accept", "Shift+K")
    with files_end_at(30), pytest.raises(ValueError, match="could not be saved"):
        keys.set("flip", "Shift+U")
    assert keys.by_name["flip"] == DEFAULTS["flip"]
    assert json.loads(settings_file().read_text()) == {"accept": "Shift+K"}
    assert [path.name for path in home.iterdir()] == [settings_file().name]


def test_keys_that_were_moved_round_are_all_there_at_the_next_start(home):
    keys = Keys(napari_keys())
    moved = {"accept": "Shift+K", "accept_next": "K", "next_slice": "G", "flip": "Shift+U"}
    for name, key in moved.items():
        keys.set(name, key)
    again = Keys(napari_keys())
    assert again.by_name == DEFAULTS | moved
    assert again.trouble == ""


@pytest.mark.parametrize(
    ("saved", "kept", "reasons"),
    [
        # Neither napari's keys, nor what is no key, nor one that an action still has.
        (
            {"accept": "P", "swap": "?!", "flip": "N", "help": "F3"},
            {"help": "F3"},
            ["“?!” is not a key", "N is in use: Go to the next", "P is one of napari's own keys"],
        ),
        # Of two with one key the first one keeps it.
        (
            {"accept": "F4", "flip": "F4", "help": "F3"},
            {"accept": "F4", "help": "F3"},
            ["F4 is in"],
        ),
        # One that must take its default again takes it from the one that had it.
        ({"accept_next": "K", "accept": "P", "help": "F3"}, {"help": "F3"}, ["P is", "K is in"]),
    ],
)
def test_only_saved_keys_that_cannot_be_used_are_left_out(home, saved, kept, reasons):
    home.mkdir()
    settings_file().write_text(json.dumps(saved))
    keys = Keys(napari_keys())
    assert keys.by_name == DEFAULTS | kept
    assert all(reason in keys.trouble for reason in reasons), keys.trouble
    assert keys.trouble.count(";") == len(reasons), "one for each, and what to do"


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"accept": "P"}', '{"accept": 7, "x": "Y"}'])
def test_a_damaged_settings_file_leaves_the_defaults_and_says_so(home, text):
    home.mkdir()
    settings_file().write_text(text)
    keys = Keys(napari_keys())
    assert keys.by_name == DEFAULTS
    assert str(settings_file()) in keys.trouble
