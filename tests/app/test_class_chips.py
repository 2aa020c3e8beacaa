"""The classes in sight: which colour is which, which one is painted with, and a click for each."""

from __future__ import annotations

import pytest

from napari_sslseg.app.class_chips import ClassChips
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.classes import ClassTable


@pytest.fixture
def chips(qtbot):
    widget = ClassChips()
    qtbot.addWidget(widget)
    widget.resize(330, 60)
    widget.show()
    return widget


def table(*names: str) -> ClassTable:
    classes = ClassTable()
    for name in names:
        classes.add(name)
    return classes


def shown(chips: ClassChips) -> list[int]:
    """Return the classes whose chips are in sight, as they lie."""
    seen = [(chip.y(), chip.x(), i) for i, chip in chips.chips.items() if chip.isVisible()]
    return [i for *_, i in sorted(seen)]


def marked(chips: ClassChips) -> list[int]:
    return [i for i, chip in chips.chips.items() if chip.isChecked()]


def test_each_class_has_a_chip_with_its_key_and_the_current_one_is_marked(chips):
    chips.show_classes(table("Ventricle", "Wall"), 2)
    assert shown(chips) == [1, 2, 0]
    assert [chips.chips[i].text() for i in (1, 2, 0)] == ["1 Ventricle", "2 Wall", "0 Background"]
    assert marked(chips) == [2]
    assert "Alt+2" in chips.chips[2].toolTip()


def test_a_long_name_is_cut_off_and_told_by_the_tooltip(chips):
    name = "Posterior papillary muscle & chordae"
    chips.show_classes(table(name), 1)
    assert "…" in chips.chips[1].text()
    assert name in chips.chips[1].toolTip()
    assert chips.chips[1].width() < 200


def test_a_click_asks_for_the_class_and_does_not_mark_it(chips, qtbot):
    chips.show_classes(table("Ventricle", "Wall"), 1)
    with qtbot.waitSignal(chips.wanted) as heard:
        chips.chips[2].click()
    assert heard.args == [2]
    assert chips.chips[1].isChecked()
    assert not chips.chips[2].isChecked()


def test_of_many_classes_those_without_room_are_in_a_menu(chips, qtbot):
    names = [f"Structure {n}" for n in range(1, 41)]
    chips.show_classes(table(*names), 40)
    seen = shown(chips)
    assert 40 in seen  # what is painted with is always in sight
    assert seen[:2] == [1, 2]
    rows = {chips.chips[i].y() for i in seen}
    assert len(rows) == 2
    assert all(chips.chips[i].geometry().right() <= chips.width() for i in seen)
    chips.menu.aboutToShow.emit()
    actions = chips.menu.actions()
    assert len(actions) + len(seen) == 41
    with qtbot.waitSignal(chips.wanted) as heard:
        actions[0].trigger()
    assert heard.args[0] not in seen


def test_what_is_no_class_has_a_chip_while_it_is_painted_with(chips):
    classes = table("Ventricle")
    chips.show_classes(classes, NOT_ANNOTATED)
    assert chips.chips[NOT_ANNOTATED].isChecked()
    assert chips.chips[NOT_ANNOTATED].text() == "Take ink away"
    chips.show_classes(classes, 1)
    assert shown(chips) == [1, 0]


def test_the_bar_follows_the_layer_whoever_chose(without_window, with_proposal):
    viewer, panel = with_proposal
    session, top = panel.session, panel.top
    session.add_class("Vessel")
    references, proposal = session.references.layer, session.proposals["semsim"].layer
    viewer.layers.selection.active = references
    assert marked(top.chips) == [panel.volume.classes.current()] == [2]
    references.selected_label = 1  # napari's own control
    assert marked(top.chips) == [panel.volume.classes.current()] == [1]
    assert proposal.selected_label == 1
    top.chips.chips[2].click()
    assert references.selected_label == proposal.selected_label == 2
    assert panel.volume.classes.current() == 2
    assert references.mode == "paint"
    panel.review.close_step()
    panel.volume.close_step()
    assert not top.chips.isHidden()
