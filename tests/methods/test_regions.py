"""MetaSSL: regions, thresholds and weights."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.regions import (
    LABELLED_ORDER,
    UNLABELLED_ORDER,
    AdaptiveThresholds,
    Region,
    partition,
    region_weights,
    stated,
)


def test_regions_by_hand():
    # Columns: agree/confident, agree/unsure, differ/confident, differ/unsure, on the threshold.
    confidence = torch.tensor([0.9, 0.6, 0.9, 0.6, 0.75])
    probs = torch.stack([1 - confidence, confidence])[None, :, None]
    learner = torch.tensor([[[1, 1, 0, 0, 1]]])
    codes = partition(probs, learner, torch.tensor([0.0, 0.75]))
    assert codes.dtype == torch.uint8
    assert codes.flatten().tolist() == [Region.UC, Region.US, Region.DC, Region.DS, Region.US]


@pytest.mark.parametrize("shape", [(7, 6), (5, 6, 7)])
def test_masks_partition_the_pixels(shape):
    torch.manual_seed(0)
    probs = torch.randn(2, 4, *shape).softmax(1)
    codes = partition(probs, torch.randint(0, 4, (2, *shape)), torch.full((4,), 0.5))
    counts = [(codes == r).sum().item() for r in Region]
    assert all(counts)
    assert sum(counts) == codes.numel()


def test_threshold_is_looked_up_by_the_class_of_the_reference():
    probs = torch.tensor([[0.8, 0.2], [0.2, 0.8]]).view(1, 2, 1, 2)
    codes = partition(probs, torch.tensor([[[0, 1]]]), torch.tensor([0.7, 0.9]))
    assert codes.flatten().tolist() == [Region.UC, Region.US]


def test_ignored_pixels_have_no_region():
    codes = partition(torch.ones(1, 1, 1, 2), torch.tensor([[[0, 255]]]), torch.tensor([0.5]))
    assert codes.flatten().tolist() == [Region.UC, 0]


def test_a_reference_is_as_sure_as_it_is_of_what_it_states():
    probs = torch.tensor([[0.7, 0.7, 0.4], [0.3, 0.3, 0.6]]).view(1, 2, 1, 3)
    classes = torch.tensor([[[0, 1, 255]]])
    confidence, found = stated(probs, classes)
    assert confidence[..., :2].flatten().tolist() == pytest.approx([0.7, 0.3])
    assert torch.equal(found, classes)
    limits, learner = torch.tensor([0.5, 0.5]), torch.tensor([[[0, 1, 1]]])
    codes = partition(probs, learner, limits, reference_classes=classes)
    assert codes.flatten().tolist() == [Region.UC, Region.US, 0]
    assert stated(probs)[1].flatten().tolist() == [0, 0, 1]


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        partition(torch.ones(1, 2, 4, 4), torch.ones(1, 4, 5), torch.ones(2))
    with pytest.raises(ValueError, match="thresholds"):
        partition(torch.ones(1, 2, 4, 4), torch.ones(1, 4, 4), torch.ones(3))


def test_threshold_update_by_hand():
    thresholds = AdaptiveThresholds(2)
    probs = torch.tensor([[0.3, 0.4, 0.1], [0.7, 0.6, 0.9]]).view(1, 2, 1, 3)
    thresholds.observe(*probs.max(1))
    mean = (0.7 + 0.6 + 0.9) / (3 + 1)
    assert thresholds.get()[1].item() == pytest.approx(0.5 * mean + 0.5 * 0.9)


@pytest.mark.parametrize(("release", "expected"), [(False, 0.9), (True, 0.45)])
def test_absent_class_halves_its_threshold_only_in_release_mode(release, expected):
    thresholds = AdaptiveThresholds(2, release=release)
    thresholds.observe(*torch.tensor([[0.2], [0.8]]).view(1, 2, 1, 1).max(1))
    assert thresholds.get()[0].item() == pytest.approx(expected)


def test_predictions_and_splits_are_independent():
    thresholds = AdaptiveThresholds(2, predictions=2)
    thresholds.observe(*torch.full((1, 2, 4, 4), 0.5).max(1), prediction=1, split="labelled")
    changed = (thresholds.values != torch.tensor(0.9)).nonzero()
    assert changed.tolist() == [[1, 1, 0]]


def test_mask_selects_the_pixels_that_count():
    probs = torch.tensor([[0.9, 0.6], [0.1, 0.4]]).view(1, 2, 1, 2)
    thresholds = AdaptiveThresholds(2)
    thresholds.observe(*probs.max(1), mask=torch.tensor([[[True, False]]]))
    assert thresholds.get()[0].item() == pytest.approx(0.5 * 0.9 / 2 + 0.45)


def test_cap_bounds_the_value_in_use_only():
    thresholds = AdaptiveThresholds(1, cap=0.8)
    assert thresholds.get().item() == pytest.approx(0.8)
    assert thresholds.values[0, 0, 0].item() == pytest.approx(0.9)


def test_thresholds_survive_saving():
    thresholds, other = AdaptiveThresholds(3, 2), AdaptiveThresholds(3, 2)
    thresholds.observe(*torch.randn(2, 3, 8, 8).softmax(1).max(1), 1)
    other.load_state_dict(thresholds.state_dict())
    assert torch.equal(other.values, thresholds.values)


def test_phi_weights_match_the_published_steps():
    by_code = region_weights(scale=50)
    assert by_code.tolist() == pytest.approx([0, 50, 40.29, 8.88, 0.147], rel=5e-3)
    labelled = region_weights(order=LABELLED_ORDER, step=0.3, scale=50)
    assert labelled.tolist() == pytest.approx([0, 50, 48.67, 24.12, 40.29], rel=2e-3)


def test_ratio_weights_match_the_published_scripts():
    by_code = region_weights("ratio", LABELLED_ORDER, scale=50)
    assert by_code.tolist() == pytest.approx([0, 50, 40, 0.205, 6.40], rel=2e-3)
    labelled = region_weights("ratio", LABELLED_ORDER, ratio=1.4, factor=1, scale=50)
    assert labelled.tolist() == pytest.approx([0, 50, 35.71, 18.22, 25.51], rel=2e-3)


def test_order_must_name_every_region():
    with pytest.raises(ValueError, match="order"):
        region_weights(order=(Region.UC, Region.UC, Region.DC, Region.DS))


def test_orders_follow_the_paper():
    unlabelled = region_weights(order=UNLABELLED_ORDER)
    labelled = region_weights(order=LABELLED_ORDER)
    assert unlabelled[Region.DC] > unlabelled[Region.DS]
    assert labelled[Region.DS] > labelled[Region.DC]


def test_structures_have_thresholds_of_their_own_by_hand():
    thresholds = AdaptiveThresholds(2, structures=2)
    assert thresholds.values.shape == (1, 2, 2, 2)
    # Structure 0: yes at .8 and .6, no at .9; structure 1: no everywhere.
    yes = torch.tensor([[[0.8, 0.6, 0.1], [0.3, 0.2, 0.1]]])
    used = thresholds.observe(*torch.stack([1 - yes, yes], 1).max(1))
    no = [0.5 * 0.9 / 2 + 0.45, 0.5 * (0.7 + 0.8 + 0.9) / 4 + 0.45]
    expected = torch.tensor([no, [0.5 * 1.4 / 3 + 0.45, 0.9]])  # nobody says yes to structure 1
    torch.testing.assert_close(used, expected)


def test_partition_looks_up_the_structure():
    yes = torch.tensor([[[0.8], [0.8]]])  # two structures, one pixel
    limits = torch.tensor([[0.5, 0.5], [0.7, 0.9]])  # (answer, structure)
    codes = partition(torch.stack([1 - yes, yes], 1), torch.tensor([[[1], [0]]]), limits)
    assert codes.flatten().tolist() == [Region.UC, Region.DS]


@pytest.mark.parametrize(
    ("order", "step", "scale", "expected"),
    [
        (UNLABELLED_ORDER, 0.6, 50, [50, 40.29, 8.88, 0.147]),
        (UNLABELLED_ORDER, 0.3, 85, [85, 82.74, 68.49, 41.00]),
        (LABELLED_ORDER, 0.6, 50, [50, 40.29, 0.147, 8.88]),
        (LABELLED_ORDER, 0.3, 50, [50, 48.67, 24.12, 40.29]),
    ],
)
def test_released_gaussian_weights(order, step, scale, expected):
    weights = region_weights("phi", order, step, 3.0, scale=scale)
    torch.testing.assert_close(weights[1:], torch.tensor(expected), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("ratio", "factor", "expected"),
    [
        (1.25, 5.0, [50, 40, 0.205, 6.40]),
        (1.4, 1.0, [50, 35.71, 18.22, 25.51]),
        (1.5, 1.0, [50, 33.33, 14.81, 22.22]),
    ],
)
def test_released_ratio_weights(ratio, factor, expected):
    weights = region_weights("ratio", LABELLED_ORDER, ratio=ratio, factor=factor, scale=50)
    torch.testing.assert_close(weights[1:], torch.tensor(expected), rtol=2e-3, atol=1e-3)


def test_a_rate_of_zero_keeps_thresholds_fixed():
    thresholds = AdaptiveThresholds(3, rate=0, initial=0.8)
    used = thresholds.observe(*torch.randn(2, 3, 8, 8).softmax(1).max(1))
    assert used.tolist() == pytest.approx([0.8] * 3)
    with pytest.raises(ValueError, match="rate"):
        AdaptiveThresholds(3, rate=-0.1)
