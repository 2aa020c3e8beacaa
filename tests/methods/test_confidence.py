"""The model behind the confidence of proposals."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_sslseg.methods.confidence import (
    SUPPORTING,
    ConfidenceModel,
    estimate_confidence,
    load_model,
)
from napari_sslseg.methods.voxel_evidence import EVIDENCE, evidence

from .squares import square_volume


def test_ink_is_certain_and_far_background_keeps_its_probability():
    known = square_volume(0.9)
    confidence = estimate_confidence(known)
    assert (confidence[[0, -1]] == 1).all()
    assert torch.allclose(confidence[3, 2, 2], torch.tensor(0.9))
    assert confidence.min() >= 0
    assert confidence.max() <= 1


def test_the_middle_is_surer_than_the_border_and_agreement_surer_than_contradiction():
    known = square_volume()
    known.network = known.proposed.clone()
    alike = estimate_confidence(known)
    assert alike[3, 24, 24] > alike[3, 16, 24]
    known.network = known.proposed.flip(1)
    torch.testing.assert_close(alike[0], estimate_confidence(known)[0])
    assert estimate_confidence(known)[3, 14:34, 14:34].mean() < alike[3, 14:34, 14:34].mean()


def test_looking_only_around_the_objects_changes_nothing():
    known = square_volume(size=120)
    shifted = square_volume(size=120)
    whole = estimate_confidence(known)
    rows = {z: (near, values) for z, near, values, _ in evidence(shifted)}
    model = load_model("matching")
    for z, (near, values) in rows.items():
        with torch.no_grad():
            torch.testing.assert_close(whole[z][near], model(values).sigmoid())


def test_nothing_is_extrapolated_beyond_what_was_fitted():
    torch.manual_seed(0)
    model = ConfidenceModel(("proposed", "border", "foreground"))
    assert torch.equal(model(torch.full((1, 3), 3.0)), model(torch.full((1, 3), 300.0)))


def test_more_support_never_makes_it_less_sure():
    model = load_model("network")
    generator = torch.Generator().manual_seed(0)
    rows = 2 * torch.randn(500, len(EVIDENCE["network"]), generator=generator)
    rows = rows * model.scale + model.mean
    for i, name in enumerate(EVIDENCE["network"]):
        if name in SUPPORTING:
            more = rows.clone()
            more[:, i] += model.scale[i]
            with torch.no_grad():
                assert (model(more) >= model(rows) - 1e-5).all(), name


@pytest.mark.parametrize("kind", EVIDENCE)
def test_the_shipped_weights_fit_their_evidence(kind):
    model = load_model(kind)
    assert model.mean.shape == (len(EVIDENCE[kind]),)
    assert (model.scale > 0).all()


def test_a_slice_beside_an_outermost_reference_is_mostly_right():
    known = square_volume(depth=9)
    known.inked = [3, 5]
    for z in known.inked:
        known.proposed[z] = known.proposed[z].round()
    beside = estimate_confidence(known)[2, 18:30, 18:30]
    assert beside.mean() > 0.5  # it was below a fifth as long as only slices between were fitted


def test_an_empty_proposal_is_judged_without_an_error():
    known = square_volume()
    known.proposed = known.matched = torch.zeros_like(known.proposed)
    known.proposed[:, 0] = 1
    assert torch.equal(estimate_confidence(known), torch.ones(7, 48, 48))


def test_a_network_that_learned_from_ink_alone_is_taken_at_its_word():
    known = replace(square_volume(), calibrated=True)
    torch.testing.assert_close(estimate_confidence(known), known.proposed.amax(1))
