"""Edits are told from slicing: going through slices must cost nothing but the slices."""

from __future__ import annotations


def test_slicing_is_no_edit_and_every_edit_is_one(with_proposal, paint):
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
    proposal.layer.data[3, 0, 0] = 1
    proposal.layer.refresh()
    assert proposal.serial > before[1]
