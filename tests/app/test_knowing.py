"""What the user is told: under the cursor, in the table, in the plot."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QToolTip

from napari_sslseg.app.cursor_facts import facts_at
from napari_sslseg.app.sections.measure_part import spoken_volume
from napari_sslseg.editing.agreement import dice_by_class
from napari_sslseg.training.events import Estimated
from napari_sslseg.training.facts import Basis

from .conftest import SHAPE

pytestmark = pytest.mark.usefixtures("without_window")


def status(viewer, layer) -> str:
    found = layer.get_status(
        viewer.cursor.position, view_direction=None, dims_displayed=[1, 2], world=True
    )
    return found["coordinates"]


def test_the_status_bar_says_class_region_and_confidence(with_proposal, paint):
    viewer, panel = with_proposal
    session = panel.session
    session.edit_class(1, name="Cone")
    layer = session.proposals["semsim"].layer
    session.go_to(4)
    viewer.cursor.position = (8.0, 20.0, 20.0)
    for any_layer in (layer, session.references.layer, session.regions.layer):
        text = status(viewer, any_layer)
        assert "Cone, proposed" in text
        assert "likely wrong: another class is likelier" in text
        assert "chance of being right: 24 %" in text
        assert text.count("Cone") == 1
    mask = np.zeros(SHAPE[1:], bool)
    mask[20, 20] = True
    paint(layer, 4, mask, 0)
    assert "Background, corrected by you" in status(viewer, layer)
    viewer.cursor.position = (12.0, 20.0, 22.0)
    assert "Cone, labelled by you" in status(viewer, layer)


def test_volumes_are_told_of_organs_and_of_cells():
    told = {230.7: "230.7 ml", 0.0: "0.000 ml", 0.02: "0.020 ml", 2e-4: "0.2 mm³"}
    told |= {4.2e-9: "4,200 µm³", 9e-6: "9,000,000 µm³"}
    assert {ml: spoken_volume(ml) for ml in told} == told


def test_facts_without_a_proposal(started):
    _, panel = started
    assert facts_at(panel.session, (3, 3, 3)) == ["not labelled"]


def test_a_tooltip_comes_where_the_cursor_rests(with_proposal, until, monkeypatch):
    viewer, panel = with_proposal
    session = panel.session
    said = []
    monkeypatch.setattr(QToolTip, "showText", lambda where, text, *rest: said.append(text))
    viewer.mouse_over_canvas = True
    viewer.cursor.position = (8.0, 20.0, 20.0)
    session.cursor._on_move(viewer, None)
    until(lambda: bool(said), 5)
    assert "another class is likelier" in said[0]
    panel.review.look.tooltips.setChecked(False)
    assert not session.cursor.tooltips


def test_opacity_and_contours_are_drawn_and_remembered(with_proposal, until):
    _, panel = with_proposal
    session, look = panel.session, panel.review.look
    look.sliders[1].setValue(30)
    look.contour.setChecked(True)
    for layer in (session.references.layer, session.proposals["semsim"].layer):
        assert layer.colormap.map(np.uint8(1))[..., 3] == pytest.approx(0.3)
        assert layer.contour == 2
    session.edit_class(1, color="#112233")
    layer = session.proposals["semsim"].layer
    assert layer.colormap.map(np.uint8(1))[..., 3] == pytest.approx(0.3)
    path = session.project.path
    panel.close_session()
    panel.open(path)
    until(lambda: panel.session is not None and bool(panel.session.proposals))
    layer = panel.session.proposals["semsim"].layer
    assert layer.colormap.map(np.uint8(1))[..., 3] == pytest.approx(0.3)
    assert layer.contour == 2
    assert look.sliders[1].value() == 30
    assert look.contour.isChecked()


def test_the_table_shows_dice_and_millilitres(with_proposal, until, paint):
    _, panel = with_proposal
    session, part = panel.session, panel.review.measure
    session.retraining.follow(
        Estimated(
            "semsim",
            {"Structure": 0.87},
            0.87,
            0.8,
            0.91,
            Basis("left out"),
            {"Structure": 0.034},
            ids={"Structure": 1},
        )
    )
    part.open()
    until(lambda: part.table.item(0, 2).text() != "–")
    assert part.table.item(0, 1).text() == "0.87 ± 0.03"
    ml = np.count_nonzero(session.final_labels()) * 2.0 / 1000
    assert part.table.item(0, 2).text() == f"{ml:.2f} ml"
    assert "0.80" in part.spread.text()
    assert "0.91" in part.spread.text()
    mask = np.zeros(SHAPE[1:], bool)
    mask[:10, :30] = True
    paint(session.proposals["semsim"].layer, 8, mask, 1)
    more = np.count_nonzero(session.final_labels()) * 2.0 / 1000
    until(lambda: part.table.item(0, 2).text() == f"{more:.2f} ml", 10)


def test_accepted_slices_score_what_was_proposed_against_what_was_accepted(with_proposal, paint):
    _, panel = with_proposal
    session, part = panel.session, panel.review.measure
    part.open()
    assert part.chart.isHidden()
    session.go_to(4)
    layer = session.proposals["semsim"].layer
    mask = np.zeros(SHAPE[1:], bool)
    mask[10:20, 10:20] = True
    paint(layer, 4, mask, 0)
    expected = dice_by_class(panel.truth[4], layer.data[4])[1]
    assert expected < 0.9
    panel.review.accept.click()
    session.go_to(8)
    panel.review.accept.click()
    scores = session.accepting.corrective_dice()
    assert [s.index for s in scores] == [4, 8]
    assert scores[0].mean == pytest.approx(expected, abs=1e-4)
    assert scores[1].mean == 1.0
    assert not part.chart.isHidden()
    points = part.chart.points.points()
    assert [p.pos().y() for p in points] == pytest.approx([expected, 1.0], abs=1e-4)
    part.chart.points.sigClicked.emit(part.chart.points, points[:1], None)
    assert session.references.current_slice() == 4
    session.history.undo()
    assert [s.index for s in session.accepting.corrective_dice()] == [4]
    assert len(part.chart.points.points()) == 1
