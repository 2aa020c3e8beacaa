"""Losses of some steps, averaged and fetched once."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sslseg.training.loss_means import LossMeans


def test_means_are_over_all_steps_and_begin_anew_when_taken():
    means = LossMeans()
    means.add({"total": torch.tensor(1.0), "prior": torch.tensor(4.0)})
    means.add({"total": torch.tensor(2.0)})  # a part that a step lacks counts as zero
    assert means.take() == {"total": pytest.approx(1.5), "prior": pytest.approx(2.0)}
    assert means.count == 0
    means.add({"total": torch.tensor(7.0)})
    assert means.take() == {"total": pytest.approx(7.0)}


def test_sums_go_on_from_a_saved_state():
    first, second = LossMeans(), LossMeans()
    first.add({"total": torch.tensor(1.0)})
    second.restore(first.state(), torch.device("cpu"))
    second.add({"total": torch.tensor(3.0)})
    assert second.take() == {"total": pytest.approx(2.0)}


def test_steps_without_numbers_do_not_count_unless_there_are_no_others():
    first, means = LossMeans(), LossMeans()
    none = {"total": torch.tensor(torch.nan), "prior": torch.tensor(2.0)}
    first.add(none)
    first.add({"total": torch.tensor(1.0), "prior": torch.tensor(4.0)})
    means.restore(first.state(), torch.device("cpu"))
    means.add({"total": torch.tensor(3.0), "prior": torch.tensor(0.0)})
    assert means.take() == {"total": pytest.approx(2.0), "prior": pytest.approx(2.0)}
    means.add(none)
    assert math.isnan(means.take()["total"])
