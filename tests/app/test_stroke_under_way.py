"""What comes while the user draws waits for the end of the stroke."""

from __future__ import annotations

import numpy as np
import pytest
from napari.experimental import link_layers

from napari_sslseg.app import proposal_shelf
from napari_sslseg.app.proposal_shelf import ProposalShelf
from napari_sslseg.app.saving import Saving
from napari_sslseg.training.events import Finished, ProposalReady
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.proposal import Proposal

from .conftest import SHAPE, put_proposal

pytestmark = pytest.mark.usefixtures("without_window")


def _dab(layer, index, column, value):
    layer.data_setitem((np.array([index]), np.array([20]), np.array([column])), value)


def _new_version(session, classes):
    regions = np.full(SHAPE, 1, np.uint8)
    proposal = Proposal("SemSim", classes, regions, np.full(SHAPE, 200, np.uint8), {"shares": {}})
    version = session.project.write_proposal(proposal)
    session.rounds.follow(ProposalReady("semsim", "SemSim", version))


@pytest.fixture
def put_off(monkeypatch, until):
    """Wait until a method has come round again: it saw the stroke that is being drawn."""

    def wait(owner: type, name: str, begin) -> None:
        called, method = [], getattr(owner, name)

        def spy(*args, **options):
            called.append(name)
            return method(*args, **options)

        monkeypatch.setattr(owner, name, spy)
        begin()
        until(lambda: len(called) > 1)

    return wait


@pytest.mark.parametrize("pause", [False, True])
def test_first_proposal_leaves_the_brush_where_it_is(pause, started, until, monkeypatch):
    viewer, panel = started
    session = panel.session
    layer = session.references.layer
    viewer.layers.selection.active = layer
    layer.mode = "paint"
    session.retraining.begin(TrainRequest("reference"), [])
    with layer.block_history():
        _dab(layer, 3, 10, 1)
        put_proposal(session, panel.truth, until)
        session.rounds.follow(Finished(1.0, "semsim"))
        assert viewer.layers.selection.active is layer
        assert session.active == ""
        _dab(layer, 3, 11, 1)
    if pause:  # a little later nobody is painting any more
        monkeypatch.setattr(proposal_shelf, "_PAINTING", 0.0)
    until(lambda: session.active == "semsim")
    proposal = session.proposals["semsim"].layer
    assert proposal.visible
    assert viewer.layers.selection.active is (proposal if pause else layer)
    assert layer.mode == "paint"
    session.history.undo()
    assert (session.references.ink[3, 20, 10:12] == NOT_ANNOTATED).all(), "one stroke, one step"


def test_proposal_that_is_asked_for_is_selected_at_once(with_proposal, paint):
    viewer, panel = with_proposal
    session = panel.session
    layer = session.references.layer
    viewer.layers.selection.active = layer
    paint(layer, 3, panel.truth[3] == 1, 1)
    session.activate("semsim")
    assert viewer.layers.selection.active is session.proposals["semsim"].layer


def test_new_version_does_not_come_under_a_stroke(with_proposal, until, put_off):
    _, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"]
    before = proposal.version
    with proposal.layer.block_history():
        _dab(proposal.layer, 4, 1, 1)
        put_off(ProposalShelf, "_show", lambda: _new_version(session, np.zeros(SHAPE, np.uint8)))
        assert proposal.version == before
        _dab(proposal.layer, 4, 2, 1)
    until(lambda: proposal.version == before + 1)
    assert (proposal.layer.data[4, 20, 1:3] == 1).all()
    said = np.asarray(proposal.corrections()) != NOT_ANNOTATED
    assert np.argwhere(said).tolist() == [[4, 20, 1], [4, 20, 2]]


def test_stroke_that_is_given_up_says_nothing_of_a_new_version(with_proposal, until, put_off):
    _, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"]
    before = proposal.version
    proposal.layer._begin_stroke()  # of napari's “encircle and fill”: no button is down
    _dab(proposal.layer, 4, 1, 1)
    put_off(ProposalShelf, "_show", lambda: _new_version(session, np.zeros(SHAPE, np.uint8)))
    assert proposal.version == before
    proposal.layer._abort_stroke()
    until(lambda: proposal.version == before + 1)
    assert not proposal.layer.data.any()
    assert (np.asarray(proposal.corrections()) == NOT_ANNOTATED).all()


def test_nothing_is_undone_while_something_is_drawn_elsewhere(with_proposal, paint):
    viewer, panel = with_proposal
    session = panel.session
    layer = session.references.layer
    paint(session.proposals["semsim"].layer, 4, panel.truth[4] == 0, 1)
    viewer.layers.selection.active = layer
    with layer.block_history():
        _dab(layer, 3, 10, 1)
        session.history.undo()
        assert (session.proposals["semsim"].layer.data[4] == 1).all()
        assert viewer.layers.selection.active is layer


def test_closing_waits_for_the_end_of_a_stroke_and_saves_all_of_it(started, until, put_off):
    _, panel = started
    session = panel.session
    layer, store = session.references.layer, session.project.ink_store
    with layer.block_history():
        _dab(layer, 3, 10, 1)
        put_off(Saving, "save_then", panel.volume.leave.click)
        assert panel.session is session
        _dab(layer, 3, 11, 1)
    until(lambda: panel.session is None)
    assert (store.load()[3, 20, 10:12] == 1).all()


def test_closing_does_not_wait_for_a_stroke_that_nobody_ends(started, until):
    _, panel = started
    session = panel.session
    layer, store = session.references.layer, session.project.ink_store
    layer._begin_stroke()  # a right click that was not meant
    _dab(layer, 3, 10, 1)
    panel.volume.leave.click()
    until(lambda: panel.session is None, 30)
    assert store.load()[3, 20, 10] == 1


def test_new_version_comes_under_no_stroke_on_another_layer(with_proposal, until, put_off):
    _, panel = with_proposal
    session = panel.session
    proposal, ink = session.proposals["semsim"], session.references.layer
    link_layers([ink, proposal.layer])  # as a script does, of which the viewer says nothing
    before = proposal.version
    with ink.block_history():
        _dab(ink, 4, 1, 1)
        put_off(ProposalShelf, "_show", lambda: _new_version(session, np.zeros(SHAPE, np.uint8)))
        assert proposal.version == before
        _dab(ink, 4, 2, 1)
    until(lambda: proposal.version == before + 1)
    session.history.undo()
    assert (ink.data[4] == NOT_ANNOTATED).all(), "one stroke, one step"
