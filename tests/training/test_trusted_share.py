"""Thresholds go down until enough is sure, and never for what is likely wrong."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.training.trusted_share import (
    EVEN,
    EXPECTED_ERROR,
    LEAST_SURE,
    SHARE,
    TrustedShare,
)


def lowered(certainty, thresholds, classes=None, disputed=None, open_=None):
    classes = torch.zeros(certainty.shape, dtype=torch.uint8) if classes is None else classes
    open_ = torch.ones(certainty.shape, dtype=torch.bool) if open_ is None else open_
    share = TrustedShare(torch.tensor(thresholds))
    half = len(certainty) // 2  # in pieces, as slices come
    for part in (slice(None, half), slice(half, None)):
        agreed = open_[part] if disputed is None else open_[part] & ~disputed[part]
        share.add(certainty[part], classes[part], agreed, open_[part])
    return share.lowered()


def test_what_is_good_throughout_is_sure_up_to_its_share():
    certainty = torch.linspace(0.99, 0.999, 1000)
    found = lowered(certainty, [0.995])
    sure = float((certainty > found[0]).float().mean())
    assert SHARE <= sure < SHARE + 0.01


def test_a_threshold_that_leaves_enough_stays_as_it_was():
    certainty = torch.linspace(0.99, 0.999, 1000)
    assert lowered(certainty, [0.992]).tolist() == [torch.tensor(0.992).item()]


def test_voxels_that_are_likely_wrong_do_not_become_sure():
    certainty = torch.cat([torch.full((500,), 0.99), torch.linspace(0.98, 0.5, 500)])
    certainty = certainty[torch.randperm(1000, generator=torch.Generator().manual_seed(0))]
    found = lowered(certainty, [0.985])
    sure = certainty > found[0]
    assert 0.5 < float(sure.float().mean()) < SHARE
    assert float((1 - certainty[sure]).mean()) == pytest.approx(EXPECTED_ERROR, abs=2e-3)
    assert lowered(torch.full((100,), 0.9), [0.95])[0] == pytest.approx(0.95)


def test_classes_are_lowered_by_the_same_odds():
    certainty = torch.cat([torch.linspace(0.99, 0.999, 500), torch.linspace(0.97, 0.99, 500)])
    classes = torch.arange(1000) // 500
    before = torch.tensor([0.9975, 0.987])
    found = lowered(certainty, before.tolist(), classes)
    odds = found.logit() - before.logit()
    assert odds[0] < -0.1
    assert odds[0] == pytest.approx(odds[1].item(), abs=1e-3)


def test_discrepant_voxels_count_in_the_neighbourhood_but_cannot_be_sure():
    certainty = torch.linspace(0.99, 0.999, 1000)
    disputed = torch.arange(1000) % 5 == 0
    found = lowered(certainty, [0.995], disputed=disputed)
    sure = (certainty > found[0]) & ~disputed
    assert SHARE <= float(sure.float().mean()) < SHARE + 0.01


def test_only_open_voxels_near_the_object_count():
    certainty = torch.cat([torch.linspace(0.99, 0.999, 500), torch.full((500,), 0.6)])
    near = torch.arange(1000) < 500
    found = lowered(certainty, [0.995], open_=near)
    alone = lowered(certainty[:500], [0.995])
    assert found.tolist() == alone.tolist()


def test_nothing_to_judge_leaves_the_thresholds():
    share = TrustedShare(torch.tensor([0.9, 0.8]))
    assert share.lowered().tolist() == torch.tensor([0.9, 0.8]).tolist()


def test_the_least_sure_of_the_discrepant_are_never_called_confident():
    certainty = torch.linspace(0.2, 0.65, 1000)
    agreed, near = torch.zeros(1000, dtype=torch.bool), torch.ones(1000, dtype=torch.bool)
    near[:300] = False
    agreed[300:400] = True
    share = TrustedShare(torch.tensor([0.9]))
    for part in (slice(None, 450), slice(450, None)):  # as slices come
        classes = torch.zeros(len(certainty[part]), dtype=torch.uint8)
        share.add(certainty[part], classes, agreed[part], near[part])
    limit = share.confident(0.3)
    assert float((certainty[400:] <= limit).float().mean()) == pytest.approx(LEAST_SURE, abs=5e-3)
    assert share.confident(0.45) == 0.45, "a limit that leaves enough stays as it was"
    assert TrustedShare(torch.tensor([0.9])).confident(0.3) == 0.3, "without any there is none"


def test_what_is_likelier_right_than_wrong_is_not_called_likely_wrong():
    certainty = torch.linspace(0.45, 0.9, 1000)
    share = TrustedShare(torch.tensor([0.9]))
    near = torch.ones(1000, dtype=torch.bool)
    share.add(certainty, torch.zeros(1000, dtype=torch.uint8), ~near, near)
    assert share.confident(0.4) == EVEN
