"""The model behind the confidence of proposals."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from napari_sslseg.methods.confidence import (
    MATCHING_EVIDENCE,
    NETWORK_EVIDENCE,
    REACH,
    SUPPORTING,
    ConfidenceModel,
    Predictions,
    estimate_confidence,
    evidence,
    load_model,
)


def square_volume(sure: float = 0.9, depth: int = 7, size: int = 48) -> Predictions:
    """Return a square object on all slices, the first and the last of them inked."""
    labels = torch.zeros(depth, size, size, dtype=torch.int64)
    labels[:, 16:32, 16:32] = 1
    one_hot = torch.nn.functional.one_hot(labels, 2).permute(0, 3, 1, 2).float()
    soft = one_hot * sure + (1 - one_hot) * (1 - sure)
    soft[0], soft[-1] = one_hot[0], one_hot[-1]
    return Predictions(soft, soft, torch.full(labels.shape, sure), [0, depth - 1])


def test_each_open_slice_gets_its_evidence_near_the_object_only():
    known = square_volume()
    found = list(evidence(known))
    assert [z for z, _, _ in found] == [1, 2, 3, 4, 5]
    for _, near, rows in found:
        assert rows.shape == (int(near.sum()), len(MATCHING_EVIDENCE))
        assert torch.isfinite(rows).all()
        expected = torch.zeros_like(near)
        expected[16 - REACH : 32 + REACH, 16 - REACH : 32 + REACH] = True
        assert torch.equal(near, expected)


def test_what_was_inked_is_judged_where_nothing_is_proposed():
    known = square_volume()
    known.proposed = known.proposed.clone()
    known.proposed[3] = torch.tensor([1.0, 0.0])[:, None, None]
    near = {z: pixels for z, pixels, _ in evidence(known)}[3]
    assert torch.equal(near, known.proposed[2].max(0).indices > 0)


def test_a_network_adds_its_columns():
    known = square_volume()
    known.network = known.proposed.flip(1)  # contradicts everywhere
    _, _, rows = next(evidence(known))
    assert rows.shape[1] == len(NETWORK_EVIDENCE)
    columns = dict(zip(NETWORK_EVIDENCE, rows.T, strict=True))
    assert (columns["agree"] == 0).all()
    assert (columns["network"] < 0).all()
    assert (columns["network_certainty"] > 0).all()


def test_the_columns_say_what_they_are_called():
    known = square_volume()
    _, near, rows = next(evidence(known))
    columns = dict(zip(MATCHING_EVIDENCE, rows.T, strict=True))
    place = near.nonzero().tolist().index
    centre, edge, outside = place([24, 24]), place([16, 24]), place([12, 24])
    assert columns["border"][edge] == 0 < columns["border"][centre]
    assert columns["foreground"][[centre, edge, outside]].tolist() == [1, 1, 0]
    assert columns["nearer_shape"][centre] > columns["nearer_shape"][edge] > 0
    assert columns["nearer_shape"][outside] > 0  # background there as well
    assert columns["smooth_5_5_5"][centre] > columns["smooth_5_5_5"][edge]
    assert (columns["between_inked"] == 1).all()
    assert (columns["shapes_alike"] == 1).all()


def test_each_column_by_hand_at_one_pixel():
    known = square_volume(0.9, depth=9)
    known.matched = known.matched.clone()
    known.matched[-1, :, 16:24, 16:32] = torch.tensor([1.0, 0.0])[:, None, None]  # half of it ends
    known.proposed = known.proposed.clone()
    known.proposed[5] = known.proposed[5].flip(0)
    judged = list(evidence(known))
    z, near, rows = judged[2]
    assert z == 3
    at = near.nonzero().tolist().index([18, 24])
    found = dict(zip(MATCHING_EVIDENCE, rows[at].tolist(), strict=True))

    def log_odds(p):
        return math.log((p + 2e-3) / (1 - p + 2e-3))

    assert found["proposed"] == pytest.approx(log_odds(0.9), abs=1e-4)
    # 5 x 5 pixels: all inside, in four slices of five.
    # 9 x 9 pixels: 7 rows of 9 are inside (0.9), 2 are not (0.1).
    assert found["smooth_5_5_5"] == pytest.approx(log_odds((4 * 0.9 + 0.1) / 5), abs=1e-4)
    assert found["smooth_3_9_9"] == pytest.approx(log_odds((7 * 0.9 + 2 * 0.1) / 9), abs=1e-4)
    assert found["border"] == 2  # to row 16, which changes as row 15 does
    assert found["nearer_shape"] == 3  # slice 0: to row 15
    assert found["other_shape"] == -6  # slice 8: to row 24
    assert found["slices_away"] == pytest.approx(math.log1p(3))
    for _, _, values in judged:  # whichever of the two ends is the nearer one
        assert (values[:, MATCHING_EVIDENCE.index("shapes_alike")] == 0.5).all()
    outside = near.nonzero().tolist().index([14, 24])
    below = dict(zip(MATCHING_EVIDENCE, rows[outside].tolist(), strict=True))
    assert below["border"] == 1  # row 15 is a border as row 16 is


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
    rows = {z: (near, values) for z, near, values in evidence(shifted)}
    model = load_model(False)
    for z, (near, values) in rows.items():
        with torch.no_grad():
            torch.testing.assert_close(whole[z][near], model(values).sigmoid())


def test_nothing_is_extrapolated_beyond_what_was_fitted():
    torch.manual_seed(0)
    model = ConfidenceModel(("proposed", "border", "foreground"))
    assert torch.equal(model(torch.full((1, 3), 3.0)), model(torch.full((1, 3), 300.0)))


def test_more_support_never_makes_it_less_sure():
    model = load_model(True)
    generator = torch.Generator().manual_seed(0)
    rows = 2 * torch.randn(500, len(NETWORK_EVIDENCE), generator=generator)
    rows = rows * model.scale + model.mean
    for i, name in enumerate(NETWORK_EVIDENCE):
        if name in SUPPORTING:
            more = rows.clone()
            more[:, i] += model.scale[i]
            with torch.no_grad():
                assert (model(more) >= model(rows) - 1e-5).all(), name


@pytest.mark.parametrize("with_network", [False, True])
def test_the_shipped_weights_fit_their_evidence(with_network):
    model = load_model(with_network)
    names = NETWORK_EVIDENCE if with_network else MATCHING_EVIDENCE
    assert model.mean.shape == (len(names),)
    assert (model.scale > 0).all()


def test_an_empty_proposal_is_judged_without_an_error():
    known = square_volume()
    known.proposed = known.matched = torch.zeros_like(known.proposed)
    known.proposed[:, 0] = 1
    assert torch.equal(estimate_confidence(known), torch.ones(7, 48, 48))


def test_a_network_that_learned_from_ink_alone_is_taken_at_its_word():
    known = replace(square_volume(), calibrated=True)
    torch.testing.assert_close(estimate_confidence(known), known.proposed.amax(1))


def test_the_surroundings_of_the_edge_of_the_image_are_what_there_is():
    known = square_volume(0.9)
    known.proposed = known.proposed.clone()
    known.proposed[:, :, :16, :16] = known.proposed[3, :, 24, 24][:, None, None]
    _, near, rows = list(evidence(known))[2]
    columns = dict(zip(MATCHING_EVIDENCE, rows.T, strict=True))
    at = near.nonzero().tolist().index([0, 0])
    assert columns["smooth_5_5_5"][at] == pytest.approx(columns["proposed"][at].item(), abs=1e-4)
