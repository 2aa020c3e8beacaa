"""The References layer: marking, partial ink, background ink, undo."""

from __future__ import annotations

import numpy as np

from napari_sslseg.volume.annotation import NOT_ANNOTATED, SliceState


def test_marking_fills_with_background_and_one_undo_takes_it_back(started, paint):
    _, panel = started
    references = panel.session.references
    panel.session.go_to(3)
    paint(references.layer, 3, panel.truth[3] == 1, 1)
    assert references.states[3] == SliceState.PARTIAL
    before = references.ink.copy()
    references.mark(3)
    assert np.array_equal(references.ink[3], panel.truth[3])
    assert references.references() == [3]
    references.layer.undo()
    assert np.array_equal(references.ink, before)
    references.layer.redo()
    assert np.array_equal(references.ink[3], panel.truth[3])


def test_unmarking_keeps_the_painted_classes_as_partial_ink(started, paint):
    _, panel = started
    references = panel.session.references
    paint(references.layer, 3, panel.truth[3] == 1, 1)
    references.mark(3)
    references.unmark(3)
    assert references.partial() == [3]
    assert set(np.unique(references.ink[3])) == {1, NOT_ANNOTATED}


def test_background_can_be_painted_as_partial_ink(started):
    _, panel = started
    session = panel.session
    session.choose_class(0)
    layer = session.references.layer
    layer.paint((5, 20, 20), session.references.layer.selected_label)
    assert (session.references.ink[5] == 0).any()
    assert session.references.partial() == [5]


def test_the_state_of_the_slice_in_view_follows_each_stroke_and_undo(started, paint):
    _, panel = started
    session = panel.session
    session.go_to(7)
    assert session.references.current_slice() == 7
    paint(session.references.layer, 7, np.ones((40, 44), bool), 0)
    assert session.references.states[7] == SliceState.WHOLE
    session.references.layer.undo()
    assert session.references.states[7] == SliceState.EMPTY


def test_an_undo_of_a_slice_out_of_view_is_noticed_with_the_next_save(started, until):
    _, panel = started
    session = panel.session
    session.go_to(3)
    session.references.mark(3)
    session.go_to(9)
    session.references.layer.undo()
    until(lambda: session.references.states[3] == SliceState.EMPTY, 10)


def test_another_axis_has_other_references(started):
    viewer, panel = started
    session = panel.session
    session.set_axis(2)
    session.go_to(9)
    session.references.mark(9)
    assert session.references.references() == [9]
    assert (session.references.ink[:, :, 9] == 0).all()
    assert viewer.dims.order[0] == 2
    session.set_axis(0)
    assert session.references.references() == []
    assert len(session.references.partial()) == 12


def test_the_layer_lies_where_the_image_lies(started):
    viewer, panel = started
    layer = panel.session.references.layer
    image = viewer.layers["cone"]
    assert tuple(layer.scale) == (2, 1, 1)
    assert layer.units == image.units
    assert viewer.layers[-1] is layer


def test_slices_of_a_large_volume_are_looked_at_in_a_thread(started, until, monkeypatch):
    _, panel = started
    session = panel.session
    session.go_to(3)
    session.references.mark(3)
    monkeypatch.setattr("napari_sslseg.app.reference_layer._AT_ONCE", 0)
    session.set_axis(1)
    until(lambda: len(session.references.partial()) == 40)
    session.go_to(7)
    session.references.mark(7)
    assert session.references.references() == [7]
    session.set_axis(0)
    until(lambda: len(session.references.partial()) == 11)
    assert session.references.references() == [3]
