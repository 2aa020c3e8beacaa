"""Where to train: chosen, remembered, tried before it is taken."""

from __future__ import annotations

import json
import sys

import pytest
from qtpy.QtCore import QTimer

from napari_sslseg.app.place_choice import HERE, PlaceChoice
from napari_sslseg.app.place_dialog import PlaceDialog, spoken
from napari_sslseg.app.trainer_places import TrainerPlaces, chosen_place, places_file
from napari_sslseg.jobs.place import Place
from napari_sslseg.jobs.surroundings import Surroundings
from napari_sslseg.training.request import TrainRequest

SERVER = Place("gpu-server", sys.executable)


@pytest.fixture
def choice(home, qtbot):
    """Give the row of the form, with two computers besides this one."""
    places = TrainerPlaces()
    for host in ("a", "b"):
        places.add(Place(host, "python"))
    places.chosen = ""
    places.save()
    made = PlaceChoice()
    qtbot.addWidget(made)
    return made


def entries(choice):
    return [choice.box.itemText(i) for i in range(choice.box.count())]


def pick(choice, index):
    """Choose an entry as the mouse does."""
    choice.box.setCurrentIndex(index)
    choice.box.activated.emit(index)


def test_without_a_choice_it_is_this_computer(home, qtbot):
    made = PlaceChoice()
    qtbot.addWidget(made)
    assert entries(made) == [HERE, "Another computer…"]
    assert made.box.currentText() == HERE
    assert chosen_place() is None


def test_a_choice_is_remembered_and_forgotten(choice, qtbot):
    assert entries(choice) == [HERE, "a", "b", "Another computer…"]
    assert choice.forget.isHidden()
    with qtbot.waitSignal(choice.changed):
        pick(choice, 2)
    assert chosen_place() == Place("b", "python")
    again = PlaceChoice()
    qtbot.addWidget(again)
    assert again.box.currentText() == "b"
    assert not choice.forget.isHidden()
    choice.forget.click()
    assert entries(choice) == [HERE, "a", "Another computer…"]
    assert choice.box.currentText() == HERE
    assert chosen_place() is None


def test_a_name_is_there_once(home):
    places = TrainerPlaces()
    places.add(Place("a", "old"))
    places.add(Place("a", "new"))
    assert places.known == [Place("a", "new")]
    assert places.place == Place("a", "new")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"known": [{"host": "-x", "python": "p"}], "chosen": "-x"}', "\udcff"],
)
def test_nonsense_in_the_file_is_this_computer(home, text):
    places_file().parent.mkdir(parents=True, exist_ok=True)
    places_file().write_bytes(text.encode(errors="surrogateescape"))
    assert TrainerPlaces.load() == TrainerPlaces()


def test_a_choice_that_cannot_be_saved_is_said(choice, home, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_sslseg.app.trainer_places.replace_text", full)
    heard = []
    choice.said.connect(heard.append)
    pick(choice, 1)
    assert heard == ["The choice could not be saved: No space left on device."]
    assert choice.box.currentText() == HERE


def test_another_computer_is_taken_when_it_has_answered(choice, elsewhere, until, monkeypatch):
    seen = []

    def drive():
        dialog = choice.findChild(PlaceDialog)
        if dialog is None or not dialog.connect_now.isEnabled():
            return
        tried = ["two words", "locked", "gpu-server"][len(seen)]
        seen.append(dialog.state.text())
        dialog.host.setText(tried)
        dialog.python.setText(sys.executable)
        dialog.connect_now.click()

    heard = []
    choice.said.connect(heard.append)
    timer = QTimer()
    timer.timeout.connect(drive)
    timer.start(50)
    pick(choice, 3)
    timer.stop()
    assert len(seen) == 3
    assert "no name of a computer" in seen[1]
    assert "set up a key" in seen[2]
    assert "gpu-server is ready" in heard[-1]
    assert choice.box.currentText() == "gpu-server"
    assert chosen_place() == SERVER


def test_a_dialog_that_is_given_up_changes_nothing(choice):
    pick(choice, 1)
    QTimer.singleShot(50, lambda: choice.findChild(PlaceDialog).reject())
    pick(choice, 3)
    assert choice.box.currentText() == "a"
    assert chosen_place() == Place("a", "python")


def test_what_was_found_is_a_sentence():
    place = Place("gpu-server")
    assert spoken(place, Surroundings("NVIDIA X")) == "gpu-server is ready, with an NVIDIA X."
    assert "no GPU" in spoken(place, Surroundings(""))


@pytest.mark.usefixtures("without_window")
def test_training_elsewhere_brings_proposals_and_leaves_ink_alone(started, paint, elsewhere, until):
    _, panel = started
    session = panel.session
    places = TrainerPlaces()
    places.add(SERVER)
    places.save()
    panel.train.computer.show_saved()
    for index in (1, 6, 10):
        paint(session.references.layer, index, panel.truth[index] == 1, 1)
        session.references.mark(index)
    ink = session.references.ink.copy()
    said = []
    session.training.said.connect(lambda event: said.append(panel.train.hint.text()))
    session.train(TrainRequest("reference", seconds=5))
    until(lambda: "reference-guided" in session.proposals)
    until(lambda: not session.training.busy)
    assert session.training.host == "gpu-server"
    assert "Works on the processor of gpu-server." in said
    assert (session.references.ink == ink).all()

    # Who chooses another computer meanwhile gets a trainer there.
    places.add(Place("off", sys.executable))
    places.save()
    session.train(TrainRequest("reference", seconds=5))
    until(lambda: not session.training.busy)
    assert session.training.host == "off"
    assert "off cannot be reached" in panel.train.hint.text()
    assert json.loads(places_file().read_text())["chosen"] == "off"
