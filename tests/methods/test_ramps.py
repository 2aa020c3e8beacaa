"""Ramps: numbers and tensors alike."""

from __future__ import annotations

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
