"""What a run says, in sentences of a command line."""

from __future__ import annotations

import pytest

from napari_sslseg.training.events import (
    Estimated,
    Loss,
    NetworkUnsaved,
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
from napari_sslseg.training.wording import basis, proposed, said

NETWORK = ("cpu", "mean_teacher", [96, 80], 2, 3, 4)
SPOKEN = (
    "Training on the processor: mean teacher, frames of 96×80 at 1/2 resolution, 3 labelled and "
    "4 unlabelled a step"
)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Started("mps"), "Works on the GPU."),
        (Started("cpu", 3 * 2**30), "Works on the processor, in blocks within 3.0 GB of memory."),
        (Planned(*NETWORK), f"{SPOKEN}."),
        (
            Planned(*NETWORK, Others(["b", "c", "d", "e"], missed=["f"]), 2**30),
            f"{SPOKEN}, in blocks within 1.0 GB of memory. Learns from b, c, d and 1 more as well. "
            "f cannot be used and teaches nothing.",
        ),
        (
            Planned(*NETWORK, Others(["b"], Verdict.DISMISSED)),
            f"{SPOKEN}. On the labelled slices b did not help; goes on without.",
        ),
        (
            Planned(*NETWORK, Others(["b"], Verdict.DOUBTED)),
            f"{SPOKEN}. Learns from b as well, but finds little of it on the labelled slices.",
        ),
        (NetworkUnsaved("No room."), "The network could not be kept. No room."),
        (Progress(Phase.TESTING_NETWORK, 0.5), " 50% Testing the training"),
        (Progress(Phase.TRAINING_SHARED, 1.0, volumes=["a", "b"]), "100% Learning from a, b"),
        (Progress("of a later version", 0.0), "  0% of a later version"),
        (Loss(1, 1.0, 0.5), ""),
    ],
)
def test_an_event_is_a_line(event, line):
    assert said(event) == line


def test_every_phase_has_words():
    spoken = [said(Progress(phase, 0.0, volumes=["a"]))[5:] for phase in Phase]
    assert all(words[0].isupper() for words in spoken)


@pytest.mark.parametrize(
    ("given", "rough", "sentence"),
    [
        (
            Basis(Witness.LEFT_OUT, 2, True),
            False,
            "By 2 references left out in turn, and the confidence.",
        ),
        (
            Basis(Witness.TRAINED, 3, False, 0.854, 1),
            False,
            "Reference matching (0.85), the effect of training on it and on 1 other volume.",
        ),
        (
            Basis(Witness.MATCHING, 3, True),
            False,
            "The network needs more time to learn; until then this is the matching.",
        ),
        (
            Basis(Witness.UNAIDED, 1),
            True,
            "Measured on 1 labelled slice before the network learned from this volume; only "
            "roughly what it is elsewhere.",
        ),
    ],
)
def test_what_an_estimate_rests_on_is_a_sentence(given, rough, sentence):
    assert basis(Estimated("semsim", {}, 0.8, 0.7, 0.9, given, rough=rough)) == sentence


def test_a_proposal_of_a_batch_is_told_with_what_it_is_worth():
    assert proposed(VolumeProposed("b", "b", [], 0.9)) == "Estimated Dice 0.90."
    assert proposed(VolumeProposed("b", "b", [])) == "No estimate."
    room = NoRoom("large", 3 * 2**30, 2**30, 2**31)
    lesson = SharedLesson(["a"], 0.9, True, no_room=room)
    assert proposed(VolumeProposed("b", "b", [], lesson=lesson)) == (
        "By a network that learned from a; nothing here is labelled, so its quality cannot be "
        "estimated. For others there was no room in the memory: large needs 3.0 GB of memory, and "
        "1.0 GB of 2.0 GB (half of what is free) is left for it."
    )
    lesson = SharedLesson(["a"], 0.6, False, ["b", "c"])
    assert proposed(VolumeProposed("b", "b", [], lesson=lesson)) == (
        "The network has not learned enough yet: even on the slices of a that it was taught its "
        "Dice is 0.60. Give it more time, and propose again. b, c cannot be used and teach nothing."
    )
