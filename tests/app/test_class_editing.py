"""Classes that are removed while voxels of them are somewhere, and label values without a class."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.app import class_wishes
from napari_sslseg.app.tool_in_hand import first_brush
from napari_sslseg.volume.classes import ClassTable

from .conftest import put_proposal

pytestmark = pytest.mark.usefixtures("without_window")

MASK = np.zeros((40, 44), bool)
MASK[3:8, 3:8] = True


@pytest.fixture
def refused(with_proposal):
    """Give a session, what was refused in it, and a way to ask for a class to be removed."""
    _, panel = with_proposal
    heard = []
    panel.session.class_editing.refused.connect(heard.append)
    return panel.session, heard, panel.volume.classes.remove_wanted.emit


def test_a_class_that_a_correction_uses_stays_and_the_number_is_told(refused, paint, until):
    session, heard, remove = refused
    tumour = session.add_class("Tumour").id
    paint(session.proposals["semsim"].layer, 4, MASK, tumour)
    paint(session.references.layer, 5, MASK, tumour)
    remove(tumour)
    until(lambda: bool(heard))
    assert "“Tumour” is painted on 50 voxels" in heard[0]
    assert tumour in session.classes
    session.history.undo()
    remove(tumour)
    until(lambda: len(heard) == 2)
    assert "25 voxels" in heard[1]


def test_corrections_of_a_proposal_that_is_not_there_count(with_proposal, paint, until):
    viewer, panel = with_proposal
    session = panel.session
    tumour = session.add_class("Tumour").id
    paint(session.proposals["semsim"].layer, 4, MASK, tumour)
    session.autosave.flush()
    heard = []
    session.class_editing.refused.connect(heard.append)
    viewer.layers.remove("SemSim")
    session.remove_class(tumour)
    until(lambda: bool(heard))
    session.shelf._away.clear()
    session.shelf.unread.awaited.add("semsim")  # as while it is being read
    session.remove_class(tumour)
    until(lambda: len(heard) == 2)
    assert "25 voxels" in heard[1]


def test_the_id_of_a_removed_class_is_not_given_to_another_and_a_redo_brings_it_back(
    refused, paint, until
):
    session, _, remove = refused
    tumour = session.add_class("Tumour").id
    for layer in (session.references.layer, session.proposals["semsim"].layer):
        session.go_to(4)
        paint(layer, 4, MASK, tumour)
        session.history.undo()
        remove(tumour)
        until(lambda: tumour not in session.classes)
        vessel = session.add_class("Vessel")
        assert vessel.id != tumour
        session.history.redo()
        assert session.classes.name(tumour) == "Tumour"
        assert not (session.final_labels() == vessel.id).any()
        assert (session.final_labels()[4][MASK] == tumour).all()
        session.history.undo()


def test_ids_stay_taken_when_the_project_is_opened_again(refused, until, with_proposal):
    session, _, remove = refused
    _, panel = with_proposal
    last = session.add_class("Tumour").id
    remove(last)
    until(lambda: last not in session.classes)
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    panel.open(path)
    until(lambda: panel.session is not None)
    assert last not in panel.session.classes
    assert panel.session.add_class("Vessel").id == last + 1


@pytest.mark.parametrize("where", ["ink", "proposal"])
def test_a_label_of_naparis_own_box_becomes_a_class_at_once(with_proposal, paint, where):
    _, panel = with_proposal
    session = panel.session
    layer = session.references.layer if where == "ink" else session.proposals["semsim"].layer
    layer.selected_label = 2
    paint(layer, 4, MASK, 2)  # in a slice that is not in view
    assert [(c.id, c.name) for c in session.classes][-1] == (2, "Class 2")
    vessel = session.add_class("Vessel").id
    assert not (session.references.ink == vessel).any()
    assert not (session.final_labels() == vessel).any()


@pytest.mark.parametrize("where", ["ink", "proposal"])
def test_labels_of_an_earlier_session_without_a_class_become_classes(
    with_proposal, paint, until, where
):
    _, panel = with_proposal
    session = panel.session
    layer = session.references.layer if where == "ink" else session.proposals["semsim"].layer
    paint(layer, 4, MASK, 7)
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    head = path / "project.json"
    head.write_text(head.read_text().replace('"id": 7', '"id": 9'))  # as if nobody knew of 7
    panel.open(path)
    until(lambda: panel.session is not None and "semsim" in panel.session.proposals)
    assert panel.session.classes.name(7) == "Class 7"
    assert 7 in panel.session.classes


def test_a_full_table_is_one_sentence(started, monkeypatch):
    _, panel = started
    heard = []
    monkeypatch.setattr(class_wishes, "show_warning", heard.append)
    panel.session.project.classes = ClassTable.from_ids(range(1, 255))
    panel.volume.classes.add_wanted.emit()
    assert len(heard) == 1
    assert "254" in heard[0]


def test_a_class_that_is_only_proposed_is_exported_when_it_was_removed(refused, until, tmp_path):
    from napari_sslseg.formats import export
    from napari_sslseg.formats.registry import read

    session, _, remove = refused
    tumour = session.add_class("Tumour").id
    put_proposal(session, np.full(session.references.ink.shape, tumour), until)
    remove(tumour)
    until(lambda: tumour not in session.classes)
    np.save(tmp_path / "image.npy", np.zeros(session.references.ink.shape, np.uint8))
    like = read(tmp_path / "image.npy")
    files = export(
        tmp_path / "a.nii.gz", session.final_labels(), like, session.classes, per_class=True
    )
    assert "a_Tumour.nii.gz" in [file.name for file in files]


def test_what_takes_ink_away_goes_to_the_references(with_proposal):
    viewer, panel = with_proposal
    session = panel.session
    proposal, references = session.proposals["semsim"].layer, session.references.layer
    viewer.layers.selection.active = proposal
    proposal.mode, proposal.brush_size = "polygon", 7
    session.choose_class(255)
    assert viewer.layers.selection.active is references
    assert (references.selected_label, str(references.mode)) == (255, "polygon")
    assert references.brush_size == 7
    viewer.layers.selection.active = proposal
    proposal.mode = "pan_zoom"
    session.choose_class(255)
    assert viewer.layers.selection.active is references
    assert str(references.mode) == "paint"
    # A class is painted where the user is.
    viewer.layers.selection.active = proposal
    session.choose_class(1)
    assert viewer.layers.selection.active is proposal
    assert str(proposal.mode) == "paint"


def test_whoever_chooses_a_class_paints_with_it_whatever_layer_was_looked_at(with_proposal):
    viewer, panel = with_proposal
    layer = panel.session.proposals["semsim"].layer
    for looked_at in ("cone", "Confidence"):
        viewer.layers.selection.active = viewer.layers[looked_at]
        panel.top.chips.chips[1].click()
        assert viewer.layers.selection.active is layer
        assert layer.mode == "paint"
    layer.visible = False
    viewer.layers.selection.active = viewer.layers["cone"]
    panel.top.chips.chips[1].click()
    assert viewer.layers.selection.active is viewer.layers["cone"]  # nobody paints unseen


def test_the_first_brush_is_no_larger_than_what_is_painted_in_a_small_image(with_proposal):
    _, panel = with_proposal
    session = panel.session
    assert session.references.layer.brush_size == 4  # of 40 pixels
    assert session.proposals["semsim"].layer.brush_size == 4
    assert first_brush((88, 576, 576)) == 10
