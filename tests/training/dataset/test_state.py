"""States of runs: which can be gone on from."""

from __future__ import annotations

import torch

from napari_sslseg.training.dataset.state import is_finite


def test_numbers_of_a_state_are_looked_at_wherever_they_are():
    assert is_finite({"a": [torch.ones(2), {"b": None, "c": 3, "d": "nan"}], "e": 0.5})
    assert is_finite(torch.tensor([255], dtype=torch.uint8))
    for bad in (torch.tensor([1.0, float("nan")]), float("inf"), [{"x": torch.tensor(torch.inf)}]):
        assert not is_finite({"state": bad})
