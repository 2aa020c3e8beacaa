"""What the trainer says is said in sentences, and without the words of its makers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_sslseg.app.estimated_classes import EstimatedClass
from napari_sslseg.app.spoken_training import (
    brief_plan,
    spoken_basis,
    spoken_left,
    without_estimate,
)
from napari_sslseg.training.events import Estimated, Planned
from napari_sslseg.training.facts import Basis, Others, Witness
from napari_sslseg.volume.classes import ClassTable, SegmentClass


def test_a_budget_that_is_used_up_ends():
    assert spoken_left(None) == ""
    assert spoken_left(12.2) == "12 s left"
    assert spoken_left(0.4) == "finishing…"


def test_a_plan_is_told_without_the_details_of_its_network():
    plan = Planned("cpu", "combined", [104, 112], 2, 3, 3, memory=2**31)
    assert brief_plan(plan) == "Training on the processor."
    with_others = replace(plan, device="cuda:0", others=Others(["b"], missed=["c"]))
    assert brief_plan(with_others) == (
        "Training on the GPU. Learns from b as well. c cannot be used and teaches nothing."
    )


@pytest.mark.parametrize(
    ("basis", "sentence"),
    [
        (
            Basis(Witness.LEFT_OUT, 1, confidence=True),
            "Tested on 1 reference, left out, and by how sure the voxels are.",
        ),
        (Basis(Witness.LEFT_OUT, 3), "Tested on 3 references, each left out in turn."),
        (
            Basis(Witness.TRAINED, 3, True, 0.854, 2),
            "It rests on reference matching (0.85), what training on it and on 2 other volumes "
            "changed, and how sure the voxels are.",
        ),
        (
            Basis(Witness.TRAINED, 3, matching=0.854),
            "It rests on reference matching (0.85) and what training on it changed.",
        ),
        (Basis("of a later version"), ""),
    ],
)
def test_what_an_estimate_rests_on_is_a_sentence(basis, sentence):
    assert spoken_basis(Estimated("semsim", {}, 0.8, 0.7, 0.9, basis)) == sentence


def test_classes_without_an_estimate_have_a_reason():
    table = ClassTable(SegmentClass(i, n, "#112233") for i, n in ((1, "RV"), (2, "Myo")))
    told = [EstimatedClass(2, "Myo", 0.9, None)]
    assert without_estimate(told, table).startswith("None for RV: too few")
    assert without_estimate([*told, EstimatedClass(1, "RV", 0.8, None)], table) == ""
