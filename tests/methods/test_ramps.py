"""Ramps: numbers and tensors alike."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sslseg.methods.ramps import warm_up


@pytest.mark.parametrize("form", ["gaussian", "steps", "constant"])
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.0), (0.0, 0.4), (0.1, 0.4), (0.3, 0.3)])
def test_a_tensor_ramps_like_a_number(form, start, end):
    for progress in (0.0, 0.05, 0.1, 0.25, 0.3, 0.37, 0.4, 0.9, 1.0):
        number = warm_up(progress, start, end, form)
        tensor = warm_up(torch.tensor(progress, dtype=torch.float64), start, end, form)
        assert tensor.item() == pytest.approx(number, abs=1e-9), progress


def test_no_ramp_is_full_weight_at_once():
    assert warm_up(0.0, 0.0, 0.0) == 1
    assert warm_up(torch.tensor(0.0), 0.0, 0.0).item() == 1


def test_warm_up_is_a_gaussian_ramp():
    assert warm_up(0.05) == 0
    assert warm_up(0.1) == pytest.approx(math.exp(-5))
    assert warm_up(0.25) == pytest.approx(math.exp(-5 * 0.25))
    assert warm_up(0.4) == warm_up(1.0) == 1
    assert warm_up(0.0, 0.0, 0.0) == 1


@pytest.mark.parametrize(
    ("form", "expected"),
    [("gaussian", math.exp(-5 * 0.25)), ("steps", 0.6), ("constant", 1.0)],
)
def test_forms_of_the_ramp(form, expected):
    assert warm_up(0.25, 0.1, 0.4, form) == pytest.approx(expected)
    assert warm_up(0.05, 0.1, 0.4, form) == 0
    assert warm_up(0.5, 0.1, 0.4, form) == 1


def test_an_unknown_form_is_refused_before_the_ramp_begins():
    for progress in (0.0, torch.tensor(0.0)):
        with pytest.raises(ValueError, match="unknown ramp 'cosine'"):
            warm_up(progress, form="cosine")
