"""What the trainer says is said in sentences, and without the words of its makers."""

from __future__ import annotations

import pytest

from napari_sslseg.app.estimated_classes import EstimatedClass
from napari_sslseg.app.spoken_training import brief_plan, spoken_how, spoken_left, without_estimate
from napari_sslseg.volume.classes import ClassTable, SegmentClass


def test_a_budget_that_is_used_up_ends():
    assert spoken_left(None) == ""
    assert spoken_left(12.2) == "12 s left"
    assert spoken_left(0.4) == "finishing…"


def test_details_of_the_network_are_left_out_of_the_plan():
    plan = (
        "Training on the processor: combined, frames of 104×112 at 1/2 resolution, 3 labelled and "
        "3 unlabelled a step."
    )
    assert brief_plan(plan) == "Training on the processor."
    assert brief_plan(f"{plan} Begins with the network of b.") == (
        "Training on the processor. Begins with the network of b."
    )
    assert brief_plan("The network could not be kept. No room.").startswith("The network could")


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        (
            "By 1 reference left out in turn, and the confidence.",
            "It was tested on 1 reference left out, and weighed with the confidence.",
        ),
        (
            "By 3 references left out in turn.",
            "It was tested on 3 references left out in turn.",
        ),
        (
            "Reference matching (0.85), the effect of training on it, and the confidence.",
            "It rests on reference matching (0.85), the effect of training on it, and the "
            "confidence.",
        ),
        (
            "Reference matching (0.85), the effect of training on it.",
            "It rests on reference matching (0.85) and the effect of training on it.",
        ),
        ("Measured on 1 labelled slice.", "Measured on 1 labelled slice."),
    ],
)
def test_what_an_estimate_rests_on_is_a_sentence(how, sentence):
    assert spoken_how(how) == sentence


def test_classes_without_an_estimate_have_a_reason():
    table = ClassTable(SegmentClass(i, n, "#112233") for i, n in ((1, "RV"), (2, "Myo")))
    told = [EstimatedClass(2, "Myo", 0.9, None)]
    assert without_estimate(told, table).startswith("None for RV: too few")
    assert without_estimate([*told, EstimatedClass(1, "RV", 0.8, None)], table) == ""
