"""What a session writes, in which order, and what becomes of it when the disk fails."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_sslseg.app import closing
from napari_sslseg.volume.annotation import NOT_ANNOTATED, SliceState
from napari_sslseg.volume.extent import Extent
from napari_sslseg.volume.inkstore import InkStore
from napari_sslseg.volume.project import AcceptedSlice, Project

from .conftest import put_proposal

pytestmark = pytest.mark.usefixtures("saved_soon", "without_window")

MASK = np.zeros((40, 44), bool)
MASK[3:6, 3:6] = True
AT = (3, 3)


def full(*given):
    raise OSError(28, "No space left on device")


@pytest.fixture
def session(with_proposal, until):
    _, panel = with_proposal
    until(lambda: not panel.session.autosave.pending)
    return panel.session


@pytest.fixture
def told(session) -> list[str]:
    heard: list[str] = []
    session.trouble.connect(heard.append)
    return heard


def on_disk(session) -> tuple[np.ndarray, np.ndarray]:
    """Ink and corrections."""
    project = Project.open(session.project.path)
    return project.ink_store.read(), project.correction_store("semsim").read()


def test_corrections_are_saved_before_ink(session, paint, until, monkeypatch):
    order = []
    save = InkStore.save

    def noted(store, ink):
        if store.name in ("corrections", "ink"):
            order.append(store.name)
        return save(store, ink)

    monkeypatch.setattr(InkStore, "save", noted)
    paint(session.proposals["semsim"].layer, 4, MASK, 1)
    paint(session.references.layer, 4, MASK, 0)  # spoken over the correction
    until(lambda: not session.autosave.pending)
    assert order[:2] == ["corrections", "ink"]
    assert order == order[:2] * (len(order) // 2)
    ink, corrections = on_disk(session)
    assert ink[4][AT] == 0
    assert corrections[4][AT] != 1


def test_ink_is_saved_though_corrections_cannot_be_and_both_once_they_can(
    session, told, paint, until, monkeypatch
):
    with monkeypatch.context() as disk:
        disk.setattr(session.proposals["semsim"].store, "save", full)
        paint(session.proposals["semsim"].layer, 4, MASK, 1)
        paint(session.references.layer, 2, MASK, 1)
        until(lambda: bool(told) and not session.autosave.pending)
    assert told == ["Not saved: No space left on device. Your work is still in the viewer."]
    assert not session.saving.up_to_date
    assert on_disk(session)[0][2][AT] == 1
    paint(session.references.layer, 3, MASK, 1)
    until(lambda: not session.autosave.pending)
    ink, corrections = on_disk(session)
    assert ink[3][AT] == 1
    assert corrections[4][AT] == 1
    assert session.saving.up_to_date


@pytest.mark.parametrize("broken", ["semsim", "ink"])
def test_one_store_that_fails_keeps_no_other_from_the_disk(
    session, paint, until, monkeypatch, broken
):
    put_proposal(session, session.proposals["semsim"].proposed, until, name="Second")
    until(lambda: not session.autosave.pending)
    assert [p.slug for p in session.shelf.all()] == ["semsim", "second"]
    stores = {"semsim": session.proposals["semsim"].store, "ink": session.project.ink_store}
    monkeypatch.setattr(stores[broken], "save", full)
    paint(session.proposals["second"].layer, 3, MASK, 1)
    session.references.mark(4)
    with pytest.raises(OSError, match="No space"):
        session.autosave.flush()
    project = Project.open(session.project.path)
    assert project.correction_store("second").read()[3][AT] == 1
    assert (project.background_store.read()[4] != 255).any()


@pytest.fixture
def quick(session, monkeypatch):
    """Let what failed be tried again at once."""
    monkeypatch.setattr("napari_sslseg.app.autosave.RETRY_MS", (50, 200))
    session.autosave._wait = 50


def test_what_could_not_be_saved_before_training_is_tried_again(
    session, paint, until, monkeypatch, quick
):
    failures = []
    with monkeypatch.context() as disk:
        disk.setattr(session.project.ink_store, "save", full)
        paint(session.references.layer, 2, MASK, 1)
        session.save_then(pytest.fail, lambda: failures.append(1))
        until(lambda: bool(failures))
    until(lambda: session.saving.up_to_date, 5)
    assert on_disk(session)[0][2][AT] == 1


def test_what_a_window_stayed_open_for_is_tried_again(session, paint, until, monkeypatch, quick):
    with monkeypatch.context() as disk:
        disk.setattr(session.project.ink_store, "save", full)
        disk.setattr(closing, "_ask", lambda *given: QMessageBox.StandardButton.Cancel)
        paint(session.references.layer, 2, MASK, 1)
        assert not closing.saved_or_given_up(session)
    until(lambda: session.saving.up_to_date, 5)
    assert on_disk(session)[0][2][AT] == 1


@pytest.mark.parametrize("stroke", [True, False])
def test_a_head_that_could_not_be_written_is_tried_again(
    session, told, paint, until, monkeypatch, quick, stroke
):
    with monkeypatch.context() as disk:
        disk.setattr(Project, "save", full)
        if stroke:
            session.autosave._wait = 600_000
        session.edit_class(1, name="Liver")
        until(lambda: bool(told) and not session.autosave.pending)
        assert not session.saving.up_to_date
    if stroke:
        paint(session.references.layer, 2, MASK, 1)
    until(lambda: session.saving.up_to_date, 5)
    assert Project.open(session.project.path).classes[1].name == "Liver"


def test_what_comes_in_while_all_is_saved_is_saved_before_anything_follows(
    session, paint, until, monkeypatch
):
    save = session.project.ink_store.save
    written, painted = threading.Event(), threading.Event()

    def slow(ink):
        pieces = save(ink)
        written.set()
        assert painted.wait(30)
        return pieces

    monkeypatch.setattr(session.project.ink_store, "save", slow)
    found = []
    session.save_then(lambda: found.append(on_disk(session)[0]), pytest.fail)
    until(written.is_set)
    paint(session.references.layer, 3, MASK, 1)
    painted.set()
    until(lambda: bool(found))
    assert found[0][3][AT] == 1


def test_a_session_ends_without_waiting_when_all_was_just_saved(session, paint, monkeypatch):
    session.autosave.flush()
    writes = []
    monkeypatch.setattr(session.project.ink_store, "save", lambda ink: writes.append(1) or 0)
    session.close(saved=True)
    assert not writes


def test_a_last_stroke_is_saved_when_a_session_ends(session, told, paint):
    paint(session.references.layer, 2, MASK, 1)
    paint(session.proposals["semsim"].layer, 4, MASK, 1)
    session.close()
    ink, corrections = on_disk(session)
    assert ink[2][AT] == corrections[4][AT] == 1
    assert told == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("no array")])
def test_a_session_ends_on_a_failing_disk_and_saves_what_it_can(
    session, told, paint, monkeypatch, error
):
    def failing(ink):
        raise error

    monkeypatch.setattr(session.project.ink_store, "save", failing)
    paint(session.references.layer, 2, MASK, 1)
    paint(session.proposals["semsim"].layer, 4, MASK, 1)
    session.project.extent = Extent(1, 9)
    session.close()
    assert told == [f"The last changes could not be saved: {error}."]
    assert on_disk(session)[1][4][AT] == 1
    head = json.loads((session.project.path / "project.json").read_text())
    assert head["extents"] == {"0": [1, 9]}


def test_a_head_that_cannot_be_written_is_told(session, told, paint, monkeypatch):
    paint(session.references.layer, 2, MASK, 1)
    monkeypatch.setattr(session.project, "save", full)
    session.close()
    assert len(told) == 1
    assert on_disk(session)[0][2][AT] == 1


def test_the_state_of_slices_out_of_view_is_learned_with_a_save(session, paint, until):
    assert session.references.states[2] == SliceState.EMPTY
    session.references.ink[2][MASK] = 1  # as by what napari says nothing of
    session.autosave.request()
    until(lambda: not session.autosave.pending)
    assert session.references.states[2] == SliceState.PARTIAL


def test_an_undo_of_hidden_ink_is_saved_and_counted_along_another_axis(started, paint, until):
    _, panel = started
    session = panel.session
    paint(session.references.layer, 3, MASK, 1)
    session.references.layer.visible = False
    session.set_axis(1)
    until(lambda: not session.autosave.pending)
    assert session.references.partial() == [3, 4, 5]
    session.history.undo()
    assert not session.saving.up_to_date
    until(lambda: session.references.partial() == [])
    until(lambda: not session.autosave.pending)
    assert (Project.open(session.project.path).ink_store.read() == NOT_ANNOTATED).all()


def test_an_acceptance_is_recorded_after_its_ink(session, until):
    session.accept_slice(4)
    session.autosave._timer.stop()  # a crash before the autosave
    until(lambda: not session.autosave.pending)
    project = Project.open(session.project.path)
    assert project.accepted == []
    session.autosave.request()
    until(lambda: not session.autosave.pending)
    project = Project.open(session.project.path)
    assert [(row.axis, row.index) for row in project.accepted] == [(0, 4)]
    assert (project.ink_store.read()[4] != NOT_ANNOTATED).all()


def test_no_save_records_an_acceptance_that_came_after_it_had_the_ink(
    session, paint, until, monkeypatch
):
    saved, go_on = threading.Event(), threading.Event()

    def slow() -> int:
        saved.set()
        go_on.wait(20)
        return 0

    monkeypatch.setattr(session.saving._background, "save", slow)
    session.go_to(2)
    paint(session.references.layer, 2, MASK, 1)
    until(saved.is_set)
    session.accept_slice(4)
    session.autosave._timer.stop()
    go_on.set()
    until(lambda: not session.autosave.pending)
    assert Project.open(session.project.path).accepted == []


def test_acceptances_whose_ink_a_crash_has_taken_are_forgotten(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    session.accept_slice(8)
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    project = Project.open(path)
    lost = [AcceptedSlice(axis, 4, "semsim", 0) for axis in (0, 1)]
    project.accepted = [*project.accepted, *lost]
    score = {"axis": 0, "index": 4, "proposal": "semsim", "round": 0, "dice": {"1": 0.5}}
    scores = [*project.settings["corrective_dice"], score]
    project.settings = {**project.settings, "corrective_dice": scores}
    project.save()
    panel.open(path)
    until(lambda: panel.session is not None)
    session = panel.session
    session.references.mark(4)
    assert session.accepted_slices() == [8]
    assert [(row.axis, row.index) for row in session.project.accepted] == [(0, 8)]
    assert [row.index for row in session.accepting.corrective_dice()] == [8]
