"""Several volumes in one project: adding, switching, sharing classes, proposing for the others."""

from __future__ import annotations

import threading

import nibabel as nib
import numpy as np
import pytest

from napari_sslseg.training.events import (
    Cancelled,
    Finished,
    Progress,
    Started,
    VolumeBegun,
    VolumeFailed,
    VolumeProposed,
)
from napari_sslseg.training.facts import Phase, SharedLesson
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.proposal import Proposal

from .conftest import make_volume

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.fixture
def files(tmp_path):
    """Give a folder with two volumes, one damaged file and one with labels."""
    folder = tmp_path / "scans"
    folder.mkdir()
    image, truth = make_volume()
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    for name, seed, values in (("b", 1, image), ("c", 2, image[:9, ::-1])):
        noisy = values + np.random.default_rng(seed).integers(0, 9, values.shape)
        shown = np.ascontiguousarray(noisy.transpose(2, 1, 0).astype(np.int16))
        nib.save(nib.Nifti1Image(shown, affine), folder / f"{name}.nii.gz")
    labels = np.ascontiguousarray(truth.transpose(2, 1, 0))
    nib.save(nib.Nifti1Image(labels, affine), folder / "b_labels.nii.gz")
    (folder / "a.nii.gz").write_bytes(b"this is no image")
    return folder


@pytest.fixture
def several(started, files, until):
    """Give a session on the cone, the volumes of the folder added, and what was said of them."""
    viewer, panel = started
    said: list[str] = []
    panel.cohort.trouble.connect(said.append)
    panel.cohort.add_folder(files)
    until(lambda: len(panel.cohort.summaries()) == 3 and bool(said))
    return viewer, panel, said


def names(viewer) -> list[str]:
    return [layer.name for layer in viewer.layers]


def switch(panel, row: int, until) -> None:
    """Click a row of the list and wait for its volume."""
    before = panel.session
    panel.volumes.refresh()
    panel.volumes.list.itemClicked.emit(panel.volumes.list.topLevelItem(row), 0)
    until(lambda: panel.session is not None and panel.session is not before)


def test_volumes_are_added_shown_in_turn_and_share_their_classes(several, paint, until):
    viewer, panel, (said,) = several
    first = panel.session
    home = first.project.path
    # Bad files: one sentence each, and the others are there.
    assert len(said.split("\n")) == 2
    assert "a.nii.gz cannot be read" in said
    assert "One file holds labels" in said
    assert [s.state for s in panel.cohort.summaries()] == ["no labels"] * 3
    assert not panel.volumes.is_open  # a collapsed section until it is wanted
    until(lambda: "3, 0 labelled" in panel.volumes.head.text())
    assert panel.train.request().others
    panel.volumes.teach.click()
    assert not panel.train.request().others

    # A stroke just before the click is saved, and the tools go on as they were.
    first.add_class("Other")
    viewer.layers.selection.active = first.references.layer
    first.references.layer.mode = "paint"
    first.references.layer.brush_size = 7
    mask = np.zeros((40, 44), bool)
    mask[3:6, 3:6] = True
    paint(first.references.layer, 2, mask, 2)
    ink = first.references.ink.copy()
    switch(panel, 2, until)
    second = panel.session
    assert names(viewer) == ["c", "References"]
    assert second.references.ink.shape == (9, 40, 44)
    assert viewer.layers.selection.active is second.references.layer
    tools = second.references.layer
    assert (tools.selected_label, tools.brush_size, str(tools.mode)) == (2, 7, "paint")
    assert second.classes.name(2) == "Other"
    assert np.array_equal(Cohort(home).open("").ink_store.load(), ink)

    # The table is one: what another volume is painted with stays, what is added is everywhere.
    refused = []
    second.class_editing.refused.connect(refused.append)
    second.remove_class(2)
    until(lambda: bool(refused))
    assert "painted in the volume “cone”" in refused[0]
    assert 2 in second.classes
    # It is saved as soon as the disk takes it.
    (home / "project.json.part").mkdir()
    troubles = []
    second.trouble.connect(troubles.append)
    second.edit_class(2, name="Renamed")
    until(lambda: bool(troubles))
    assert not second.saving.up_to_date
    (home / "project.json.part").rmdir()
    second.autosave.flush()
    assert Cohort(home).open("").classes.name(2) == "Renamed"
    added = second.add_class("Third").id
    second.remove_class(added)
    until(lambda: added not in second.classes)
    second.go_to(8)
    switch(panel, 0, until)
    assert names(viewer) == ["cone", "References"]
    assert panel.session.classes.name(2) == "Renamed"
    assert added not in panel.session.classes
    assert np.array_equal(panel.session.references.ink, ink)
    assert panel.volumes.list.currentItem().text(0) == "cone"

    # A damaged volume cannot be shown: one sentence, and all stays as it is.
    last = panel.cohort.cohort.folder(panel.cohort.cohort.keys[1])
    (last / "image.npy").write_bytes(b"")
    kept = panel.session
    panel.volumes.list.itemClicked.emit(panel.volumes.list.topLevelItem(1), 0)
    until(lambda: panel.volumes.list.isEnabled())
    assert panel.session is kept
    assert names(viewer) == ["cone", "References"]
    until(lambda: panel.volumes.list.topLevelItem(1).text(2) == "damaged")

    # What was shown last is what a later session begins with; a folder of one volume too.
    switch(panel, 2, until)
    panel.close_session()
    assert not panel.volumes.isVisibleTo(panel)
    panel.open(home)
    until(lambda: panel.session is not None)
    assert panel.session.project.info.name == "c"
    assert len(panel.cohort.summaries()) == 3


def test_a_class_is_removed_when_the_other_volumes_were_asked_in_a_thread(
    several, paint, until, monkeypatch
):
    _, panel, _ = several
    session, cohort = panel.session, panel.cohort
    third, fourth = (session.add_class().id for _ in range(2))
    switch(panel, 1, until)
    session = panel.session
    asking, answer, summary = [], threading.Event(), Cohort.summary
    refused = []
    session.class_editing.refused.connect(refused.append)

    def slowly(cohort, key):
        asking.append(threading.current_thread())
        assert answer.wait(30)
        return summary(cohort, key)

    def ask(class_id: int) -> None:
        asking.clear()
        answer.clear()
        cohort._unsure.add("")
        panel.volume.classes.remove_wanted.emit(class_id)
        until(lambda: bool(asking))

    monkeypatch.setattr(Cohort, "summary", slowly)
    ask(third)
    assert threading.main_thread() not in asking
    assert third in session.classes, "nobody knows yet"
    answer.set()
    until(lambda: third not in session.classes)
    # What is painted meanwhile counts.
    ask(fourth)
    paint(session.references.layer, 2, panel.truth[2] == 1, fourth)
    answer.set()
    until(lambda: bool(refused))
    assert "painted on" in refused[0]
    assert fourth in session.classes
    # A volume that is no longer in view when the answer comes keeps its classes.
    last = session.add_class().id
    ask(last)
    panel.close_session()
    answer.set()
    panel.open(session.project.path)
    until(lambda: panel.session is not None)
    assert last in panel.session.classes


def test_the_others_are_proposed_for_while_the_user_looks_at_them(several, paint, until):
    _, panel, _ = several
    cohort = panel.cohort
    assert "label a slice" in cohort.why_not_propose()
    for index in (1, 6, 10):
        paint(panel.session.references.layer, index, panel.truth[index] == 1, 1)
        panel.session.references.mark(index)
    assert cohort.why_not_propose() == ""
    panel.train.budget.value = 30.0
    panel.volumes.refresh()
    panel.volumes.propose.click()
    assert "being made" in panel.session.why_not_train()
    until(lambda: panel.volumes.bar.value() > 0)
    ended = []
    cohort.said.connect(lambda event: ended.append(event) if isinstance(event, Cancelled) else 0)
    panel.volumes.cancel.click()
    until(lambda: bool(ended), 5)
    until(lambda: not cohort.working)
    assert panel.session.why_not_train() == ""

    # A labelled one is matched in any case; whether a second is enough for the other, who knows.
    switch(panel, 1, until)
    for index in (1, 6, 10):
        mask = panel.truth[index]
        panel.session.references.write_slice(index, mask, "labelling")
    switch(panel, 0, until)
    cohort.propose(TrainRequest("reference", seconds=1, device="cpu"))
    switch(panel, 1, until)  # the batch goes on meanwhile, and what it proposes is shown
    until(lambda: not cohort.working)
    session = panel.session
    until(lambda: "reference-guided" in session.proposals)
    assert [s.state for s in cohort.summaries()][:2] == ["labelled", "proposed"]
    # From the first volume, the slice where a correction helps most is one of those without ink.
    switch(panel, 0, until)
    until(lambda: panel.volumes.next.isEnabled())
    panel.volumes.next.click()
    until(lambda: panel.session is not None and panel.session.project.info.name == "b")
    session = panel.session
    assert session.references.current_slice() not in (1, 6, 10)
    assert f"b, slice {session.references.current_slice()}: " in panel.volumes.hint.text()
    until(lambda: "reference-guided" in session.proposals)
    session.accept_slice(4)
    assert cohort.summaries()[1].state == "accepted 1 of 12"
    blank = np.zeros(panel.truth.shape, np.uint8)
    info = {"learned_from": ["cone"], "shares": {}}
    unseen = Proposal("From other volumes", panel.truth, blank, blank, info)
    session.project.write_proposal(unseen)
    session.shelf.bring_up([unseen.slug])
    session.activate(unseen.slug)
    until(lambda: session.active == unseen.slug)
    panel.review.show_quality()
    assert "none available. Learned from cone" in panel.review.quality.text()


def test_the_end_of_a_batch_says_once_what_its_proposals_are_worth(started):
    _, panel = started
    hint, follow = panel.volumes.hint, panel.cohort.said.emit
    lesson = SharedLesson(["a"], 0.9, True)
    follow(Started("cpu"))
    assert hint.text() == "Reading the volumes."
    follow(VolumeBegun("b", "b", 1, 5))
    follow(Progress(Phase.PROPOSING, 0.1))
    assert hint.text() == "b (1 of 5): Proposing"
    follow(VolumeProposed("b", "b", ["from-other-volumes"], lesson=lesson))
    follow(VolumeProposed("c", "c", ["from-other-volumes"], lesson=lesson))
    follow(VolumeProposed("d", "d", ["semsim"], 0.9))
    assert hint.text() == "d: Estimated Dice 0.90."
    follow(VolumeProposed("e", "e", ["semsim"]))
    follow(VolumeFailed("f", "f", "It is damaged."))
    follow(Finished(1.0, ""))
    assert hint.text().split("\n") == [
        "Proposals are made; click a volume to review it. None for f.",
        "By a network that learned from a; nothing here is labelled, so its quality cannot be "
        "estimated.",
        "No estimate for e.",
    ]
