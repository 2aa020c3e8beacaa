"""Tensors of one run for the next."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
import torch

from napari_sslseg.training.kept_tensors import ROOM, Part, keep, take_over, volume_facts

ABOUT = {"image": "abc", "axis": 0, "spacing": [2.0, 1.0, 1.0]}


def both(tensors, about):
    """Return what was read as it is."""
    return tensors, about


def test_what_was_kept_comes_back_with_all_that_was_said_of_it(tmp_path):
    path = tmp_path / "kept" / "a.safetensors"
    values = torch.rand(2, 3, 4)
    keep(path, {"values": values[..., 1:], "more": torch.arange(3)}, {**ABOUT, "ink": ["x"]})
    tensors, about = take_over(path, ABOUT, both)
    assert torch.equal(tensors["values"], values[..., 1:])
    assert tensors["more"].tolist() == [0, 1, 2]
    assert about["ink"] == ["x"]


@pytest.mark.parametrize("changed", [{"image": "b"}, {"axis": 1}, {"version": "2"}])
def test_what_was_made_from_something_else_is_left(tmp_path, changed):
    keep(tmp_path / "a.safetensors", {"values": torch.ones(2)}, ABOUT)
    assert take_over(tmp_path / "a.safetensors", {**ABOUT, **changed}, both) is None


def test_a_damaged_file_is_none(tmp_path):
    path = tmp_path / "a.safetensors"
    assert take_over(path, {}, both) is None
    keep(path, {"values": torch.ones(100)}, ABOUT)
    path.write_bytes(path.read_bytes()[:-50])
    assert take_over(path, ABOUT, both) is None
    path.write_bytes(b"nonsense")
    assert take_over(path, {}, both) is None


def test_what_nothing_can_be_made_of_is_none(tmp_path):
    keep(tmp_path / "a.safetensors", {"values": torch.ones(2)}, ABOUT)
    assert take_over(tmp_path / "a.safetensors", ABOUT, lambda t, about: t["other"]) is None
    assert take_over(tmp_path / "a.safetensors", ABOUT, lambda t, about: about["axis"]) == 0


def test_room_on_the_disk_is_left_to_strokes(tmp_path, monkeypatch):
    path, values = tmp_path / "kept" / "a.safetensors", torch.ones(1000)
    for free, kept in ((ROOM + 3999, False), (ROOM + 4000, True)):
        monkeypatch.setattr(
            "shutil.disk_usage", lambda folder, free=free: SimpleNamespace(free=free)
        )
        keep(path, {"values": values}, ABOUT)
        assert path.exists() is kept


def test_a_disk_that_takes_nothing_is_no_trouble(tmp_path, monkeypatch):
    def full(*given):
        raise OSError(28, "No space left on device")

    keep(tmp_path / "a.safetensors", {"values": torch.ones(2)}, ABOUT)
    monkeypatch.setattr("napari_sslseg.training.kept_tensors.save_file", full)
    keep(tmp_path / "a.safetensors", {"values": torch.zeros(2)}, ABOUT)
    assert take_over(tmp_path / "a.safetensors", ABOUT, both)[0]["values"].tolist() == [1, 1]


def test_a_project_that_was_moved_is_not_made_anew(tmp_path):
    keep(tmp_path / "gone" / "kept" / "a.safetensors", {"values": torch.ones(2)}, ABOUT)
    assert not (tmp_path / "gone").exists()


def test_a_part_holds_all_that_may_be_object_and_comes_back_in_its_place():
    probabilities = torch.zeros(3, 2, 9, 12)
    probabilities[:, 0] = 1
    probabilities[1, :, 3, 4] = 0.5
    probabilities[2, :, 6, 10] = torch.tensor([0.999, 0.001])
    part = Part.of(probabilities[:, 0])
    assert (part.top, part.bottom, part.left, part.right) == (3, 7, 4, 11)
    cut = part.cut(probabilities)
    assert torch.equal(part.probabilities(cut, 9, 12), probabilities)
    back = part.back(cut[:, 1], (3, 9, 12), outside=7.0)
    assert torch.equal(part.cut(back), cut[:, 1])
    assert int((back == 7).sum()) == 3 * (9 * 12 - 4 * 7)


def test_where_there_is_background_alone_a_part_is_one_pixel():
    probabilities = torch.stack([torch.ones(3, 5, 5), torch.zeros(3, 5, 5)], 1)
    part = Part.of(probabilities[:, 0])
    assert torch.equal(part.probabilities(part.cut(probabilities), 5, 5), probabilities)


def test_the_facts_of_a_volume_tell_images_apart(project, stack):
    facts = volume_facts(project, stack)
    assert facts["image"] == project.info.digest != ""
    stack.outside = [0]
    assert volume_facts(project, stack) != facts
    shutil.rmtree(project.path)  # they are not read again
    assert volume_facts(project, stack)["class_ids"] == [0, 3, 5]
