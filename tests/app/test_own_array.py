"""The array of References and proposals stays ours, whatever is put in its place."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from napari.layers import _layer_actions
from napari.utils.key_bindings import KeymapHandler
from qtpy.QtWidgets import QPushButton

from napari_sslseg.app import own_array, proposal_layer
from napari_sslseg.volume.project import Project

pytestmark = pytest.mark.usefixtures("without_window")

MASK = np.zeros((40, 44), bool)
MASK[3:8, 3:8] = True


@pytest.fixture
def warned(monkeypatch):
    """Give what the user was told."""
    heard = []
    for module in (own_array, proposal_layer):
        monkeypatch.setattr(module, "show_warning", heard.append)
    return heard


@pytest.mark.parametrize("name", ["References", "SemSim"])
def test_a_converted_layer_is_converted_back_and_goes_on_being_saved(
    with_proposal, paint, warned, name
):
    viewer, panel = with_proposal
    session = panel.session
    layer = viewer.layers[name]
    array, before = layer.data, layer.data.copy()
    viewer.layers.selection = {layer}
    _layer_actions._convert_dtype(viewer.layers, "int16")
    assert layer.data is array
    assert np.array_equal(array, before)
    assert len(warned) == 1
    assert f"“{name}” keeps its data type" in warned[0]
    paint(layer, 5, MASK, 1)
    assert (session.final_labels()[5][MASK] == 1).all()
    session.autosave.flush()
    assert (Project.open(session.project.path).all_ink()[5][MASK] == 1).all()
    session.history.undo()
    assert np.array_equal(layer.data, before)
    session.references.mark(5)


def test_labels_that_do_not_fit_leave_what_was_there(with_proposal, paint, warned):
    viewer, panel = with_proposal
    session = panel.session
    layer = viewer.layers["References"]
    paint(layer, 4, MASK, 2)
    other = layer.data.astype(np.int32)
    other[4, 3, 3], other[4, 3, 4], other[8, 1, 1] = 300, -1, 2
    layer.selected_label = 1
    layer.data = other
    assert layer.data.dtype == np.uint8
    assert (layer.data[4][MASK] == 2).all()
    assert layer.data[8, 1, 1] == 2
    assert "2 voxels of “References” stay as they were" in warned[0]
    assert layer.selected_label <= 255
    session.autosave.flush()
    assert Project.open(session.project.path).ink_store.read()[8, 1, 1] == 2


def test_an_array_of_the_right_kind_is_taken_without_a_word(with_proposal, warned):
    viewer, panel = with_proposal
    session = panel.session
    for name in ("References", "SemSim"):
        layer = viewer.layers[name]
        array, other = layer.data, layer.data.copy()
        other[4, 1, 1] = 1
        layer.data = other
        assert layer.data is array
        assert array[4, 1, 1] == 1
    assert not warned
    session.autosave.flush()
    assert session.project.all_ink()[4, 1, 1] == 1


def test_what_a_plugin_puts_in_is_the_last_word(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    ink, proposal = session.references.layer, session.proposals["semsim"]
    paint(proposal.layer, 4, MASK, 1)
    other = ink.data.copy()
    other[4][MASK] = 0
    ink.data = other
    assert not session.final_labels()[4][MASK].any()
    assert not proposal.layer.data[4][MASK].any()
    session.references.mark(4)
    session.references.unmark(4)
    assert (ink.data[4][MASK] == 0).all(), "it was there before the slice was marked"
    other = proposal.layer.data.copy()
    other[4][MASK] = 2
    proposal.layer.data = other
    assert (session.final_labels()[4][MASK] == 2).all()
    session.autosave.flush()
    assert (session.project.all_ink()[4][MASK] == 2).all()


def test_a_proposal_takes_no_label_that_means_not_annotated(with_proposal, paint, warned):
    viewer, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    layer.selected_label = 2
    layer.selected_label = 255
    assert layer.selected_label == 2
    assert len(warned) == 1
    assert "“SemSim” cannot be painted with label 255" in warned[0]
    before, other = layer.data.copy(), layer.data.copy()
    other[4][MASK], other[5][MASK] = 255, 1
    layer.data = other
    assert np.array_equal(layer.data[4], before[4])
    assert (layer.data[5][MASK] == 1).all()
    assert "25 voxels of “SemSim” stay as they were" in warned[1]
    viewer.layers["References"].selected_label = 255  # there it takes ink back
    paint(viewer.layers["References"], 4, MASK, 1)
    other = viewer.layers["References"].data.copy()
    other[4] = 255
    viewer.layers["References"].data = other
    assert (session.references.ink[4] == 255).all()
    assert len(warned) == 2


def test_labels_of_another_shape_are_refused(with_proposal, warned):
    viewer, _ = with_proposal
    layer = viewer.layers["References"]
    array, before = layer.data, layer.data.copy()
    layer.data = np.zeros((3, 4, 5), np.uint8)
    assert layer.data is array
    assert np.array_equal(array, before)
    assert "another shape" in warned[0]


@pytest.mark.parametrize("name", ["References", "SemSim"])
def test_the_key_for_a_new_label_adds_a_class(with_proposal, warned, name):
    viewer, panel = with_proposal
    session, before = panel.session, panel.session.classes.ids
    handler = KeymapHandler()
    handler.keymap_providers = [viewer.layers[name], viewer]
    handler.press_key("M")
    (added,) = set(session.classes.ids) - set(before)
    assert viewer.layers["References"].selected_label == added
    assert viewer.layers["SemSim"].selected_label == added
    for key, label in (("-", added - 1), ("-", 0), ("-", 0), ("=", 1), ("=", added), ("=", added)):
        handler.press_key(key)
        assert viewer.layers[name].selected_label == label
    assert not warned


def test_the_button_for_a_new_label_adds_a_class(with_window, with_proposal, warned, until):
    viewer, panel = with_proposal
    other = viewer.add_labels(np.zeros((4, 4), np.uint8))
    for layer in (viewer.layers["References"], viewer.layers["SemSim"], other):
        viewer.layers.selection.active = layer
        before = panel.session.classes.ids
        (button,) = (
            b
            for b in panel.window().findChildren(QPushButton, "newLabelButton")
            if b.isVisibleTo(panel.window())
        )
        if layer is not other:
            until(partial(lambda button: bool(button.toolTip()), button))
        button.click()
        added = set(panel.session.classes.ids) - set(before)
        assert added == (set() if layer is other else {layer.selected_label})
    assert not warned


def test_a_copy_of_the_confidence_layer_can_be_painted_on(with_proposal, paint):
    viewer, panel = with_proposal
    regions = panel.session.regions.layer
    before = np.asarray(regions.data)
    viewer.layers.selection.active = regions
    _layer_actions._duplicate_layer(viewer.layers)
    copy = viewer.layers["Confidence copy"]
    assert np.array_equal(copy.data, before)
    paint(copy, 4, MASK, 3)
    assert (copy.data[4][MASK] == 3).all()
    assert np.array_equal(np.asarray(regions.data), before)
