"""Colours of new classes: the usual ones over grey, and such as stand out from coloured images."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_sslseg.app.ink_colors import color_new, new_color, shown_colors
from napari_sslseg.volume.classes import DEFAULT_COLORS, ClassTable

TEAL, PURPLE, LIME = DEFAULT_COLORS[:3]


def shown(*colormaps: str):
    images = [Image(np.zeros((2, 3, 4)), colormap=name) for name in colormaps]
    return [colors for image in images for colors in shown_colors([image], image)]


@pytest.mark.parametrize("colormap", ["gray", "gray_r"])
def test_over_grey_each_class_has_its_usual_colour(colormap):
    table = ClassTable.from_ids(range(1, 13))
    before = table.to_json()
    color_new(table, table.ids, shown(colormap))
    assert table.to_json() == before


@pytest.mark.parametrize("colormap", ["green", "cyan", "viridis", "#00ffff"])
def test_teal_is_not_drawn_over_green(colormap):
    table = ClassTable.from_ids([1, 2, 3])
    color_new(table, table.ids, shown(colormap))
    colors = [item.color for item in table]
    assert colors[0] == PURPLE
    assert TEAL not in colors
    assert len(set(colors)) == 3


def test_of_several_channels_each_counts():
    assert new_color(1, [], shown("blue")) == TEAL
    assert new_color(2, [], shown("blue")) != PURPLE
    assert new_color(1, [], shown("blue", "green")) not in (TEAL, PURPLE, LIME)
    assert new_color(1, [], shown("gray", "blue")) == TEAL


def test_a_colour_is_given_once_while_there_are_others():
    assert new_color(2, [PURPLE], []) == TEAL
    assert new_color(2, DEFAULT_COLORS, []) == PURPLE


@pytest.mark.usefixtures("without_window")
def test_classes_of_a_new_project_stand_out(make_panel, until):
    viewer, panel = make_panel()
    viewer.add_image(np.random.default_rng(0).random((4, 20, 20)), colormap="green")
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    session = panel.session
    assert session.classes[1].color == PURPLE
    assert session.add_class().color not in (TEAL, PURPLE, LIME)
    session.edit_class(1, color=TEAL)
    session.save_head()
    viewer.layers[0].colormap = "cyan"
    path = session.project.path
    panel.close_session()
    panel.open(path)
    until(lambda: panel.session is not None)
    assert panel.session.classes[1].color == TEAL, "who chose it wants it"
