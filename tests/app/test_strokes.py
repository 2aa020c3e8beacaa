"""Where strokes went, also where they changed nothing."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_sslseg.app import strokes
from napari_sslseg.app.strokes import Strokes, stroke_positions


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("how", ["paint", "fill", "polygon", "indices"])
def test_places_of_a_stroke_are_those_that_changed(how, dimensions):
    layer = Labels(np.zeros((6, 12, 14), np.uint8))
    layer.data[2:5, 4:9, 3:8] = 3
    layer.n_edit_dimensions = dimensions
    layer.brush_size = 5
    before, said = layer.data.copy(), []
    layer.events.paint.connect(lambda event: said.append(event.value))
    with layer.block_history():
        if how == "paint":
            layer.paint((3, 5, 5), 1)
            layer.paint((3, 6, 9), 1)
        elif how == "fill":
            layer.fill((3, 5, 5), 2)
        elif how == "polygon":
            layer.n_edit_dimensions = 2
            layer.paint_polygon([(0, 1, 1), (0, 8, 1), (0, 8, 9), (0, 1, 9)], 2)
        else:
            layer.data_setitem((np.array([1, 3]), np.array([2, 5]), np.array([3, 5])), 1)
    changed = np.flatnonzero(layer.data != before)
    assert changed.size
    assert np.array_equal(stroke_positions(said[0], layer.data.shape), changed)


def test_places_that_are_told_in_another_way_are_not_guessed():
    assert stroke_positions([object()], (2, 3, 4)) is None
    assert stroke_positions([], (2, 3, 4)).size == 0


class Listener:
    """Takes each stroke as it ends, as the history does."""

    def __init__(self, layer: Labels) -> None:
        self.told, self.silent = [], []
        self.strokes = Strokes(layer, lambda: self.silent.append(self.strokes.take()))
        layer.events.paint.connect(lambda e: self.told.append(self.strokes.take(e.value)))


@pytest.fixture
def half_painted() -> Labels:
    """Give a layer whose left half is of class 1, and a brush of five."""
    layer = Labels(np.zeros((6, 20, 20), np.uint8))
    layer.data[:, :, :10] = 1
    layer.brush_size = 5
    return layer


def covered(layer: Labels, *dabs: tuple[int, int, int]) -> np.ndarray:
    """Return where dabs of the brush go, painted on a blank layer."""
    blank = Labels(np.zeros_like(layer.data))
    blank.n_edit_dimensions = layer.n_edit_dimensions
    blank.brush_size = layer.brush_size
    for dab in dabs:
        blank.paint(dab, 1)
    return np.flatnonzero(blank.data)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("box", [10**9, 0])
def test_a_stroke_is_all_that_it_covers(half_painted, dimensions, box, monkeypatch):
    monkeypatch.setattr(strokes, "_BOX", box)
    half_painted.n_edit_dimensions = dimensions
    heard = Listener(half_painted)
    dabs = (3, 9, 9), (3, 12, 11)
    with half_painted.block_history():
        for dab in dabs:
            half_painted.paint(dab, 1)
    assert len(heard.told) == 1
    assert not heard.silent
    assert np.array_equal(heard.told[0], covered(half_painted, *dabs))


@pytest.mark.parametrize("how", ["paint", "indices", "polygon", "block"])
def test_a_stroke_that_changes_nothing_is_told_of_too(half_painted, how):
    heard = Listener(half_painted)
    if how == "paint":
        half_painted.paint((3, 9, 4), 1)
    elif how == "indices":
        half_painted.data_setitem((np.array([3, 3]), np.array([2, -1]), np.array([1, 2])), 1)
    elif how == "polygon":
        half_painted.paint_polygon([(3, 2, 2), (3, 6, 2), (3, 6, 6), (3, 2, 6)], 1)
    else:
        with half_painted.block_history():
            half_painted.paint((3, 9, 4), 1)
            half_painted.paint((3, 9, 5), 1)
    assert not heard.told
    assert len(heard.silent) == 1
    assert heard.silent[0].size >= 2
    assert (half_painted.data.ravel()[heard.silent[0]] == 1).all()


def test_a_single_call_is_told_of_when_its_voxels_are_there(half_painted):
    seen = []
    heard = Listener(half_painted)
    half_painted.events.paint.connect(lambda event: seen.append(half_painted.data.copy()))
    half_painted.paint_polygon([(3, 2, 8), (3, 6, 8), (3, 6, 14), (3, 2, 14)], 2)
    assert (seen[0][3, 2:7, 8:15] == 2).all()
    assert np.array_equal(heard.told[0], np.flatnonzero(half_painted.data == 2))


def test_what_may_not_be_painted_over_is_not_covered(half_painted):
    half_painted.preserve_labels = True
    half_painted.data[3, :, :10] = 2
    heard = Listener(half_painted)
    half_painted.paint((3, 9, 9), 1)
    assert heard.told[0].size
    assert np.array_equal(heard.told[0], np.flatnonzero(half_painted.data[3] == 1) + 3 * 400)


def test_an_aborted_stroke_and_one_that_fails_leave_nothing(half_painted):
    heard = Listener(half_painted)
    half_painted._begin_stroke()
    half_painted.paint((3, 9, 9), 2)
    half_painted._abort_stroke()
    with pytest.raises(OverflowError):
        half_painted.data_setitem((np.array([1]), np.array([1]), np.array([1])), 300)
    half_painted.paint((5, 9, 4), 1)
    assert not heard.told
    assert (heard.silent[0] // 400 == 5).all()
