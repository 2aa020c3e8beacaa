"""Models on disk."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from napari_sslseg.training.checkpoint import load_model, read_head, save_model
from napari_sslseg.training.outcome import TaughtOutcome
from napari_sslseg.training.recipe import Recipe

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


@pytest.mark.parametrize(
    "other",
    [
        [nn.Linear(2, 2), nn.Linear(2, 3)],  # another shape behind what fits
        [nn.Linear(2, 2)],
        [nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)],
        [nn.Linear(2, 2), nn.Linear(2, 2, bias=False)],
    ],
)
def test_weights_that_fit_in_part_are_not_taken_and_change_nothing(tmp_path, other):
    save_model(tmp_path, nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), ABOUT)
    model = nn.Sequential(*other)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert not load_model(tmp_path, model, ABOUT)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_weights_are_on_the_disk_before_the_head_that_names_them(tmp_path, replaced):
    save_model(tmp_path, nn.Linear(2, 2), ABOUT)
    assert replaced == [("model-000001.safetensors", True), ("model.json", True)]


def test_a_failed_save_leaves_the_model_before_and_nothing_else(tmp_path, monkeypatch):
    first, again = nn.Linear(2, 2), nn.Linear(2, 2)
    save_model(tmp_path, first, ABOUT)
    before = sorted(path.name for path in tmp_path.iterdir())

    def cut_short(state, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_sslseg.training.checkpoint.save_file", cut_short)
    with pytest.raises(OSError, match="No space"):
        save_model(tmp_path, nn.Linear(2, 2), ABOUT)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert load_model(tmp_path, again, ABOUT)
    assert torch.equal(again.weight, first.weight)


def test_no_model_is_no_error(tmp_path):
    assert not load_model(tmp_path, nn.Linear(2, 2), ABOUT)
    assert read_head(tmp_path) == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_not_taken_and_change_nothing(tmp_path, value):
    broken, model = nn.Linear(2, 2), nn.Linear(2, 2)
    broken.weight.data[0, 1] = value
    save_model(tmp_path, broken, ABOUT)
    before = model.weight.clone()
    assert not load_model(tmp_path, model, ABOUT)
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"frame": ["a", 3]},
        {"frame": [0, 32]},
        {"frame": "96"},
        {"reduction": 0},
        {"reduction": "two"},
        {"steps": "many"},
        {"steps": -3},
        {"steps": None},
        {"seen": 3},
        {"seen": [["a"]]},
        {"recipe": {"temperature": "hot"}},
        {"recipe": {"temperature": 0}},
        {"recipe": []},
        {"network": "good"},
        {"matching": 3.5},
        {"matching": float("nan")},
        {"extent": "wide"},
        {"few": "no"},
        {"weights": 7},
    ],
)
def test_a_model_whose_head_says_nonsense_is_none(tmp_path, nonsense):
    told = TaughtOutcome(0.8, 0.7, Recipe(0.05), 0.9, True).to_json()
    memory = {**told, "frame": [32, 40], "reduction": 2, "seen": ["", "a"], "steps": 300}
    model = nn.Linear(2, 2)
    save_model(tmp_path, model, ABOUT, memory)
    assert read_head(tmp_path).items() >= memory.items()
    file = tmp_path / "model.json"
    head = json.loads(file.read_text())
    file.write_text(json.dumps(head | nonsense))
    assert read_head(tmp_path) == {}
    assert not load_model(tmp_path, model, ABOUT)
    del head["matching"]
    file.write_text(json.dumps(head))
    assert read_head(tmp_path) == {}
