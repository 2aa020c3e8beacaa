"""The user says where the object begins and ends: strip, panel, proposals, suggestions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qtpy.QtCore import QPoint

from napari_sslseg.app.emptying import Emptying, emptied
from napari_sslseg.volume import inkstore
from napari_sslseg.volume.extent import Extent
from napari_sslseg.volume.proposal import Proposal

from .conftest import SHAPE

pytestmark = pytest.mark.usefixtures("without_window")


def entries(strip, index: int) -> dict:
    return {a.text(): a for a in strip.menu_at(index).actions() if a.isEnabled() and a.text()}


def test_what_lies_outside_is_empty_from_the_moment_it_is_said(with_proposal, paint, until):
    _, panel = with_proposal
    session, strip, line = panel.session, panel.top.strip, panel.references.extent
    layer = session.proposals["semsim"].layer
    until(lambda: strip.facts.regions is not None)
    whole = layer.data.copy()
    mask = np.zeros(SHAPE[1:], bool)
    mask[5:8, 5:8] = True
    paint(layer, 4, mask, 1)  # a correction, which is not touched

    assert list(entries(strip, 3)) == ["Object begins here", "Object ends here"]
    entries(strip, 3)["Object begins here"].trigger()
    until(lambda: not layer.data[2].any())
    assert session.project.extent == Extent(3, None)
    assert "from slice 3 on" in line.label.text()
    session.go_to(8)
    line.ends.click()
    until(lambda: not layer.data[9].any())
    assert "slices 3 to 8" in line.label.text()
    corrected = whole[4].copy()
    corrected[mask] = 1
    assert np.array_equal(layer.data[4], corrected)
    assert np.array_equal(layer.data[5:9], whole[5:9])
    # Slices 1 and 10 are references that show the object: ink stands above what is said.
    assert session.references.references() == [1, 6, 10]
    assert np.flatnonzero(strip.facts.outside).tolist() == [0, 2, 9, 11]
    assert np.array_equal(layer.data[[1, 10]], whole[[1, 10]])
    assert line.hint.text().startswith("2 slices (1 to 10) lie outside of that")
    assert strip.facts.describe(9).endswith("outside of the object, as you said")
    strip.grab()  # has a panel that is not shown laid out
    image = strip.grab().toImage()
    ground = {image.pixelColor(QPoint(int(strip.middle_of(5)), y)).name() for y in range(4, 30)}
    hatched = {image.pixelColor(QPoint(int(strip.middle_of(11)), y)).name() for y in range(4, 30)}
    assert len(hatched - ground) > 1

    until(lambda: session.shelf.counts().doubt[2] == 0)
    assert set(entries(strip, 9)) == {"Object ends here", "Forget where it begins and ends"}
    assert set(entries(strip, 8)) == {"Object begins here", "Forget where it begins and ends"}
    session.go_to(9)
    assert not line.begins.isEnabled()
    assert "ends in slice 8" in line.begins.toolTip()
    for _ in range(20):
        suggestion = session.suggest()
        if suggestion is None or len(session.references.references()) == 8:
            break
        assert 3 <= suggestion.index <= 8
        session.references.mark(suggestion.index)
    session.autosave.flush()
    head = json.loads((session.project.path / "project.json").read_text())
    assert head["extents"] == {"0": [3, 8]}
    assert session.new_ink

    line.label.linkActivated.emit("forget")
    until(lambda: bool(layer.data[9].any()))
    assert np.array_equal(layer.data[[0, 2, 9, 11]], whole[[0, 2, 9, 11]])
    assert not strip.facts.outside.any()
    assert line.hint.text() == ""
    assert line.label.text() == ""


def test_corrections_that_were_not_read_yet_count_and_their_files_stay_as_they_are(
    with_proposal, paint, monkeypatch
):
    _, panel = with_proposal
    session = panel.session
    project = session.project
    mask = np.zeros(SHAPE[1:], bool)
    mask[5:8, 5:8] = True
    paint(session.proposals["semsim"].layer, 9, mask, 1)
    session.autosave.flush()
    files = {p: p.read_bytes() for p in project.path.glob("proposals/*/corrections.*")}
    assert files
    # As a large volume, of which `load` makes another file.
    monkeypatch.setattr(inkstore, "MAPPED", 0)
    project.extent = Extent(3, 7)
    emptying = Emptying(project, session.references, lambda: [])
    made = emptying.take("semsim", 1, project.read_proposal("semsim"))
    assert np.flatnonzero(emptying.corrected_objects()).tolist() == [9]
    assert np.array_equal(made.classes[9], panel.truth[9])
    assert not made.classes[8].any()
    now = {p: p.read_bytes() for p in project.path.glob("proposals/*/corrections.*")}
    assert now == files


def test_what_was_said_of_one_axis_waits_while_it_is_another(started):
    _, panel = started
    session = panel.session
    session.extent.say(Extent(2, 5))
    session.set_axis(1)
    assert session.extent.said == Extent()
    assert not panel.top.strip.facts.outside.any()
    session.set_axis(0)
    assert session.extent.said == Extent(2, 5)


def test_a_proposal_is_emptied_along_any_axis_and_left_as_it_was():
    classes = np.random.default_rng(0).integers(0, 3, (4, 5, 6), np.uint8)
    proposal = Proposal("P", classes, np.full_like(classes, 4), np.full_like(classes, 9))
    for axis in range(3):
        outside = np.zeros(classes.shape[axis], bool)
        outside[-2:] = True
        found = emptied(proposal, outside, axis)
        for name, value in (("classes", 0), ("regions", 1), ("confidence", 255)):
            made = np.moveaxis(getattr(found, name), axis, 0)
            kept = np.moveaxis(getattr(proposal, name), axis, 0)
            assert (made[outside] == value).all()
            assert np.array_equal(made[~outside], kept[~outside])
            assert not np.shares_memory(made, kept)
    assert emptied(proposal, np.zeros(4, bool), 0) is proposal
