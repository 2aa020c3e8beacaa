"""Corrections of proposals that are not in the viewer: damaged, deleted, or still being read."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from napari_sslseg.app import panel as panel_module
from napari_sslseg.app import volume_showing
from napari_sslseg.app.reference_layer import NotNowError
from napari_sslseg.volume.proposal import Proposal

from .conftest import put_proposal
from .test_export import exported

pytestmark = pytest.mark.usefixtures("without_window")

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


@pytest.fixture
def unreadable(with_proposal, paint, until):
    """Give a panel with a project whose corrections are damaged, and what was told of it."""
    _, panel = with_proposal
    paint(panel.session.proposals["semsim"].layer, 4, MASK, 1)
    path = panel.session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    base = path / "proposals" / "semsim" / "corrections.000001.npy"
    base.write_bytes(b"\x93NUMPY\x01\x00")
    panel.told = []
    panel.base = base
    _listen(panel)
    panel.open(path)
    until(lambda: panel.session is not None)
    until(lambda: not panel.session.shelf.unread.awaited)
    return panel


def _listen(panel):
    begin = panel._begin

    def heard(session, *given, **options):
        session.trouble.connect(panel.told.append)
        begin(session, *given, **options)

    panel._begin = heard


def test_corrections_that_cannot_be_read_are_told_of_once_with_their_file(unreadable):
    panel = unreadable
    assert panel.session.proposals == {}
    assert len(panel.told) == 1
    assert str(panel.base) in panel.told[0]
    assert "at the top of the panel" in panel.session.shelf.unread.why_not


def test_who_marks_again_goes_on_with_what_can_be_read(unreadable, until):
    session, base = unreadable.session, unreadable.base
    damaged = base.read_bytes()
    with pytest.raises(NotNowError, match=r"corrections\.000001\.npy cannot be read"):
        session.references.mark(4)
    assert base.exists()
    with pytest.raises(NotNowError, match="wait a moment"):
        session.references.mark(4)
    until(lambda: "semsim" in session.proposals)
    aside = base.with_name("corrections.000001.npy.damaged")
    assert aside.read_bytes() == damaged
    assert not base.exists()
    assert (session.proposals["semsim"].corrections()[4][MASK] == 1).all()
    session.references.mark(4)
    assert (session.references.ink[4][MASK] == 1).all()


def test_a_version_that_came_meanwhile_is_shown_then(unreadable, until):
    session = unreadable.session
    zeros = np.zeros(session.references.ink.shape, np.uint8)
    version = session.project.write_proposal(Proposal("SemSim", zeros, zeros + 1, zeros, {}))
    session.shelf.bring_up(["semsim"])
    until(lambda: len(unreadable.told) == 2)
    until(lambda: not session.shelf.unread.awaited)
    unreadable.base.with_name("corrections.000001.npy.damaged").write_bytes(b"of before")
    for _ in range(2):
        with pytest.raises(NotNowError):
            session.references.mark(4)
    until(lambda: "semsim" in session.proposals)
    assert session.proposals["semsim"].version == version
    assert unreadable.base.with_name("corrections.000001.npy.damaged").read_bytes() == b"of before"
    assert unreadable.base.with_name("corrections.000001.npy.damaged2").exists()


def test_ink_counts_as_later_than_corrections_that_can_be_read_then(unreadable, paint, until):
    session = unreadable.session
    paint(session.references.layer, 4, MASK, 2)
    for _ in range(2):
        with pytest.raises(NotNowError):
            session.references.mark(4)
    until(lambda: "semsim" in session.proposals)
    assert (session.final_labels()[4][MASK] == 2).all()
    session.history.undo()
    assert (session.final_labels()[4][MASK] == 1).all()


def test_ink_alone_is_marked_where_nothing_can_be_set_aside(unreadable, monkeypatch, until):
    session = unreadable.session

    def refused(*given):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(unreadable.base), "replace", refused)
    for word in ("cannot be read", "wait a moment"):
        with pytest.raises(NotNowError, match=word):
            session.references.mark(4)
    until(lambda: not session.shelf.unread.awaited)
    with pytest.raises(NotNowError, match="Permission denied"):
        session.references.mark(4)
    session.references.mark(4)
    assert (session.references.ink[4] == 0).all()
    assert unreadable.base.exists()


def test_no_class_is_removed_that_may_be_in_what_cannot_be_read(unreadable, until):
    session = unreadable.session
    refused = []
    session.class_editing.refused.connect(refused.append)
    added = session.add_class("Other")
    session.remove_class(added.id)
    until(lambda: bool(refused))
    assert added.id in session.classes


def test_the_panel_asks_what_to_do_and_trains_when_that_is_said(unreadable, until):
    panel, base = unreadable, unreadable.base
    question = panel.top.damaged
    assert question.isVisibleTo(panel.top)
    for button in (panel.train.train, panel.review.retrain, panel.export.button):
        assert not button.isEnabled()
    assert "top of the panel" in panel.train.train.toolTip()
    assert str(base) in question.again.toolTip()
    question.again.click()
    until(lambda: len(panel.told) == 2 and not panel.session.shelf.unread.awaited)
    assert base.exists()
    assert question.isVisibleTo(panel.top), "the file is as it was"
    question.without.click()
    until(lambda: "semsim" in panel.session.proposals)
    assert not question.isVisibleTo(panel.top)
    assert base.with_name("corrections.000001.npy.damaged").exists()
    assert (panel.session.proposals["semsim"].corrections()[4][MASK] == 1).all()
    for button in (panel.train.train, panel.review.retrain, panel.export.button):
        assert button.isEnabled()


def test_a_copy_that_was_put_back_is_read_without_opening_anew(unreadable, until):
    panel, base = unreadable, unreadable.base
    base.unlink()
    panel.top.damaged.again.click()
    until(lambda: "semsim" in panel.session.proposals)
    assert not panel.top.damaged.isVisibleTo(panel.top)
    assert (panel.session.proposals["semsim"].corrections()[4][MASK] == 1).all()


def test_what_a_damaged_journal_has_cost_is_told(with_proposal, paint, until, monkeypatch):
    _, panel = with_proposal
    session = panel.session
    for index in (4, 5):
        paint(session.proposals["semsim"].layer, index, MASK, 1)
        paint(session.references.layer, index, MASK[::-1], 1)
        session.autosave.flush()
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    journals = [path / "ink.000000.journal", path / "proposals/semsim/corrections.000000.journal"]
    for journal in journals:
        data = bytearray(journal.read_bytes())
        data[-3] ^= 1  # in the record that was written last
        journal.write_bytes(data)
    told: list[str] = []
    monkeypatch.setattr(panel_module, "show_warning", told.append)
    monkeypatch.setattr(volume_showing, "show_warning", told.append)
    panel.open(path)
    until(lambda: len(told) == 2)
    session = panel.session
    assert all("Some saved labels in" in text and "look over your slices" in text for text in told)
    assert [journal.name in text for journal, text in zip(journals, told, strict=True)] == [
        True
    ] * 2
    assert (session.project.all_ink()[4][MASK[::-1]] == 1).all()
    assert (session.proposals["semsim"].corrections()[4][MASK] == 1).all()
    told.clear()
    panel.leave()
    until(lambda: panel.session is None)
    panel.open(path)
    until(lambda: panel.session is not None and "semsim" in panel.session.proposals)
    assert not told, "it was said once"
