"""Corrections of proposals that are not in the viewer: damaged, deleted, or still being read."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from .conftest import put_proposal
from .test_export import exported

MASK = np.zeros((40, 44), bool)
MASK[3:8, 3:8] = True


@pytest.fixture
def damaged(with_proposal, paint, until):
    """Give a panel with a project whose corrected proposal cannot be read."""
    _, panel = with_proposal
    paint(panel.session.proposals["semsim"].layer, 4, MASK, 1)
    path = panel.session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    for file in (path / "proposals" / "semsim").glob("classes.*.npy"):
        file.write_bytes(file.read_bytes()[:300])
    panel.open(path)
    until(lambda: panel.session is not None)
    return panel


def test_corrections_of_a_damaged_proposal_are_exported(damaged, until, tmp_path):
    panel = damaged
    until(lambda: "semsim" in panel.session.shelf.unread.loose)
    assert panel.export.button.isEnabled()
    assert exported(panel, tmp_path / "a.nii.gz", until).startswith("Exported")
    written = np.asanyarray(nib.load(tmp_path / "a.nii.gz").dataobj)
    assert int((written == 1).sum()) == int((panel.session.project.all_ink() == 1).sum())
    assert (panel.session.final_labels()[4][MASK] == 1).all()


def test_ink_speaks_over_them_is_saved_so_and_undone(damaged, paint, until):
    session = damaged.session
    until(lambda: "semsim" in session.shelf.unread.loose)
    paint(session.references.layer, 4, MASK, 0)
    session.autosave.flush()
    assert (session.project.all_ink()[4][MASK] == 0).all()
    assert not session.final_labels()[4][MASK].any()
    session.history.undo()
    session.autosave.flush()
    assert (session.project.all_ink()[4][MASK] == 1).all()
    session.references.mark(4)
    assert (session.references.ink[4][MASK] == 1).all()


def test_a_new_version_takes_them_over(damaged, paint, until):
    session = damaged.session
    until(lambda: "semsim" in session.shelf.unread.loose)
    first = MASK.copy()
    first[5:] = False
    paint(session.references.layer, 4, first, 0)
    put_proposal(session, np.zeros(session.references.ink.shape), until)
    layer = session.proposals["semsim"].layer
    assert np.array_equal(layer.data[4] == 1, MASK & ~first)
    assert not session.shelf.unread.loose


def test_undo_of_ink_reaches_the_new_version_that_took_them_over(damaged, paint, until):
    session = damaged.session
    until(lambda: "semsim" in session.shelf.unread.loose)
    paint(session.references.layer, 4, MASK, 2)
    put_proposal(session, damaged.truth, until)
    proposal = session.proposals["semsim"]
    assert (proposal.layer.data[4][MASK] == 2).all()
    session.history.undo()
    assert (proposal.corrections()[4][MASK] == 1).all()
    session.history.redo()
    assert (proposal.corrections()[4][MASK] == 2).all()


def test_nothing_is_exported_while_they_are_being_read(damaged, until, tmp_path):
    panel = damaged
    until(lambda: "semsim" in panel.session.shelf.unread.loose)
    panel.session.shelf.unread.awaited.add("semsim")
    panel.export.refresh()
    assert not panel.export.button.isEnabled()
    assert "not been read yet" in panel.export.button.toolTip()
    said = exported(panel, tmp_path / "a.nii.gz", until)
    assert said.startswith("Not exported")
    assert "not been read yet" in said
    assert not (tmp_path / "a.nii.gz").exists()


def test_corrections_of_a_deleted_layer_are_exported(with_proposal, paint):
    viewer, panel = with_proposal
    session = panel.session
    paint(session.proposals["semsim"].layer, 4, MASK, 1)
    viewer.layers.remove("SemSim")
    assert (session.final_labels()[4][MASK] == 1).all()
    assert not session.final_labels()[4][~MASK].any()
    assert panel.export.button.isEnabled()
