"""Models on disk."""

from __future__ import annotations

import torch
from torch import nn

from napari_sslseg.training.checkpoint import load_model, read_head, save_model

ABOUT = {"framework": "x", "classes": [0, 1]}


def test_a_model_comes_back_and_only_the_newest_is_kept(tmp_path):
    first, second, empty = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
    save_model(tmp_path, first, ABOUT)
    save_model(tmp_path, second, ABOUT, {"frame": [8, 8]})
    assert load_model(tmp_path, empty, ABOUT)
    assert torch.equal(empty.weight, second.weight)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    assert read_head(tmp_path)["frame"] == [8, 8]


def test_a_model_for_something_else_is_not_taken(tmp_path):
    save_model(tmp_path, nn.Linear(2, 2), ABOUT)
    assert not load_model(tmp_path, nn.Linear(2, 2), {**ABOUT, "classes": [0, 1, 2]})


def test_a_damaged_model_is_not_taken_and_changes_nothing(tmp_path):
    save_model(tmp_path, nn.Linear(2, 2), ABOUT)
    weights = next(tmp_path.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:40])
    model = nn.Linear(2, 2)
    before = model.weight.clone()
    assert not load_model(tmp_path, model, ABOUT)
    assert torch.equal(model.weight, before)


def test_no_model_is_no_error(tmp_path):
    assert not load_model(tmp_path, nn.Linear(2, 2), ABOUT)
    assert read_head(tmp_path) == {}
