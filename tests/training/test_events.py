"""Events survive the way from the trainer, also to and from other versions of the program."""

from __future__ import annotations

import json

import pytest

from napari_sslseg.training.events import (
    Estimated,
    Event,
    Finished,
    Planned,
    Progress,
    Started,
    VolumeProposed,
)
from napari_sslseg.training.facts import (
    Basis,
    NoRoom,
    Others,
    Phase,
    SharedLesson,
    Verdict,
    Witness,
)

BASIS = Basis(Witness.TRAINED, 3, True, 0.85, 2)
LESSON = SharedLesson(["a", "b"], 0.81, True, ["c"], NoRoom("d", 300, 100, 500, True))


@pytest.mark.parametrize(
    "event",
    [
        Started("cuda:0", 2**31),
        Planned("cpu", "combined", [96, 80], 2, 4, 4, Others(["b"], Verdict.DOUBTED, ["c"])),
        Progress(Phase.TRAINING, 0.5, 12.0, ["a"]),
        Estimated("semsim", {"Liver": 0.9}, 0.9, 0.8, 0.95, BASIS, {}, True, {"Liver": 1}),
        VolumeProposed("b", "b", ["semsim"], 0.9),
        VolumeProposed("b", "b", ["from-other-volumes"], lesson=LESSON),
    ],
)
def test_an_event_comes_out_of_a_line_as_it_went_in(event):
    line = event.to_json()
    assert "\n" not in line
    assert Event.from_json(line) == event


def test_what_a_later_version_adds_is_left_out():
    event = Estimated("semsim", {}, 0.9, 0.8, 0.95, BASIS)
    values = json.loads(event.to_json())
    values["new"] = values["basis"]["new"] = [1]
    assert Event.from_json(json.dumps(values)) == event
    line = '{"kind": "Finished", "seconds": 3.0, "recommended": "semsim", "energy": 1}'
    assert Event.from_json(line) == Finished(3.0, "semsim")
    assert Event.from_json('{"kind": "Invented"}') is None
    assert Event.from_json('{"kind": "Finished"}') is None


@pytest.mark.parametrize("basis", [{}, {"basis": "By 3 references."}, {"basis": {"slices": 3}}])
def test_an_estimate_that_does_not_say_what_it_rests_on_is_none(basis):
    record = {"slug": "semsim", "dice": {}, "mean": 0.9, "low": 0.8, "high": 0.95, **basis}
    with pytest.raises(TypeError):
        Estimated.of(record)
