"""Edits are told from slicing: going through slices must cost nothing but the slices."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_sslseg.app.proposal_layer import ProposalLayer
from napari_sslseg.volume.project import Project
from napari_sslseg.volume.proposal import Proposal

from .conftest import SHAPE

pytestmark = pytest.mark.usefixtures("saved_soon", "without_window")

SQUARE, HOLE = np.zeros((2, *SHAPE[1:]), bool)
SQUARE[5:30, 5:30] = True
HOLE[10:12, 10:12] = True


def test_slicing_is_no_edit_and_every_edit_is_one(with_window, with_proposal, paint):
    viewer, panel = with_proposal
    session = panel.session
    references, proposal = session.references, session.proposals["semsim"]
    session.go_to(3)
    told = []
    session.slices_changed.connect(lambda: told.append("ink"))
    proposal.edited.connect(lambda: told.append("proposal"))

    before = references.serial, proposal.serial
    for index in (4, 5, 2):
        session.go_to(index)
    viewer.dims.order = (1, 0, 2)
    viewer.dims.order = (0, 1, 2)
    assert told == []
    assert (references.serial, proposal.serial) == before

    paint(references.layer, 2, panel.truth[2] == 1, 1)
    assert "ink" in told
    paint(proposal.layer, 2, panel.truth[2] == 1, 0)
    assert "proposal" in told
    for layer, word in ((references.layer, "ink"), (proposal.layer, "proposal")):
        told.clear()
        layer.data[2, 0, 0] = 1  # as a script does
        layer.refresh()
        assert word in told
        told.clear()
        session.go_to(7)
        session.go_to(2)
        assert told == []
    # An undo is one too, in a layer that is not seen.
    proposal.layer.visible = False
    before = proposal.serial
    session.history.undo()
    assert proposal.serial > before


def test_hiding_and_showing_is_no_edit(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    until(lambda: not session.autosave.pending)
    references, proposal = session.references, session.proposals["semsim"]
    before = references.serial, proposal.serial
    for _ in range(4):
        panel.review.image_only.click()
    assert references.layer.visible
    assert proposal.layer.visible
    assert (references.serial, proposal.serial) == before
    assert not session.autosave.pending
    proposal.layer.contour = 3 - proposal.layer.contour
    references.layer.contour = 3
    assert (references.serial, proposal.serial) == before
    proposal.layer.data[3, 0, 0] = 1
    proposal.layer.refresh()
    assert proposal.serial > before[1]


@pytest.fixture
def hidden(with_proposal, paint, until):
    """Give a session whose proposal, with a hole in what the user has painted, is out of sight."""
    _, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    session.go_to(4)
    paint(layer, 4, SQUARE, 1)
    paint(layer, 4, HOLE, 0)
    until(lambda: not session.autosave.pending)
    panel.review.image_only.click()
    assert not layer.visible
    return session


def test_mending_out_of_sight_is_an_edit_that_is_saved_and_counted(hidden, until):
    session, proposal = hidden, hidden.proposals["semsim"]
    told = []
    proposal.edited.connect(lambda: told.append("edited"))
    session.mender.improve("fill", 1)
    until(lambda: not session.mender.busy)
    assert told
    assert not session.saving.up_to_date
    until(lambda: not session.autosave.pending)
    stored = Project.open(session.project.path).correction_store("semsim").read()
    assert (stored[4][HOLE] == 1).all()
    until(lambda: session.shelf.counts() is not None)
    until(lambda: session.shelf.counts().areas[4] == np.count_nonzero(proposal.layer.data[4]))
    for move in (session.history.undo, session.history.redo):
        told.clear()
        move()
        assert told


def test_a_new_version_keeps_what_was_mended_out_of_sight(hidden, until, monkeypatch):
    session, proposal = hidden, hidden.proposals["semsim"]
    merging, go_on = threading.Event(), threading.Event()
    prepare = ProposalLayer.prepare

    def slow(*given):
        merging.set()
        go_on.wait(20)
        return prepare(*given)

    monkeypatch.setattr(ProposalLayer, "prepare", staticmethod(slow))
    version = session.project.write_proposal(
        Proposal("SemSim", np.zeros(SHAPE, np.uint8), *np.full((2, *SHAPE), 2, np.uint8), {})
    )
    session.shelf.bring_up(["semsim"])
    until(merging.is_set)
    session.mender.improve("fill", 1)
    until(lambda: not session.mender.busy)
    go_on.set()
    until(lambda: proposal.version == version)
    assert (proposal.layer.data[4][SQUARE] == 1).all()
