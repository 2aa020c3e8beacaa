"""Whole cases are predicted at their own size, and only as long as they are wanted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_sslseg.methods.frameworks import registry
from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.dataset import prediction
from napari_sslseg.training.dataset.cases import load_case
from napari_sslseg.training.dataset.description import read_dataset
from napari_sslseg.training.dataset.prediction import context_of, in_file_order, predict_case
from napari_sslseg.training.dataset.sampling import PatchSampler

from ..dataset_files import NpyReader, write_dataset

CPU = torch.device("cpu")


def _all_of(value: int, images: torch.Tensor) -> torch.Tensor:
    probs = torch.zeros(len(images), 3, *images.shape[-2:])
    probs[:, value] = 1
    return probs


def test_nothing_is_found_outside_of_the_middle(tmp_path, monkeypatch):
    path = write_dataset(tmp_path, middle=0.5, size=[16, 16])
    dataset = read_dataset(path)
    case = load_case(dataset.entries["c4"], dataset, NpyReader())
    model = registry.create("supervised", 1, 3, channels=(2, 2, 2, 2), dropout=(0.0,) * 4)
    monkeypatch.setattr(model, "predict_plain", lambda x: _all_of(2, x))
    found = predict_case(model, case, dataset, CPU)
    expected = np.zeros((5, 20, 24), np.uint8)
    expected[:, 5:15, 6:18] = 2
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_it_stops_in_the_middle_of_a_case(tmp_path, monkeypatch, dimensions):
    pytest.importorskip("monai")
    size = [16, 16] if dimensions == 2 else [4, 16, 16]
    path = write_dataset(tmp_path, dimensions=dimensions, size=size)
    dataset = read_dataset(path)
    case = load_case(dataset.entries["c4"], dataset, NpyReader())
    model = registry.create("supervised", 1, 3, channels=(2, 2, 2, 2), dropout=(0.0,) * 4)
    monkeypatch.setattr(prediction, "BLOCK", 20 * 24)  # a slice at a time
    control, asked = Control(), []

    def predict(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        control.cancel()
        probs = torch.zeros(len(images), 3, *images.shape[2:])
        probs[:, 0] = 1
        return probs

    monkeypatch.setattr(model, "predict_plain", predict)
    with pytest.raises(Cancelled):
        predict_case(model, case, dataset, CPU, control=control)
    assert len(asked) == 1


def test_small_volumes_are_padded_as_in_training(tmp_path, monkeypatch):
    pytest.importorskip("monai")
    # One axis is longer than a patch, one as long, one shorter.
    path = write_dataset(tmp_path, dimensions=3, size=[8, 16, 24])
    dataset = read_dataset(path)
    case = load_case(dataset.entries["c4"], dataset, NpyReader())
    model = registry.create("supervised", 1, 3, channels=(2, 2, 2, 2), dropout=(0.0,) * 4)
    seen: list[torch.Tensor] = []

    def predict(images: torch.Tensor) -> torch.Tensor:
        seen.extend(images)
        return torch.cat([images > 0, images <= 0, images * 0], 1).float()

    monkeypatch.setattr(model, "predict_plain", predict)
    found = predict_case(model, case, dataset, CPU)
    np.testing.assert_array_equal(found, (case.image[:, 0] <= 0).numpy())
    sampler = PatchSampler([case], [], dataset, (1, 0), CPU, 0)
    volume = case.image.transpose(0, 1)
    for patch, row in zip(seen, (0, 4), strict=True):
        torch.testing.assert_close(patch, sampler._cut(volume, [0, row, 0]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_go_back_to_the_axis_that_they_were_taken_from(axis):
    file = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    case, dataset = SimpleNamespace(flat=False), SimpleNamespace(axis=axis)
    assert np.array_equal(in_file_order(np.moveaxis(file, axis, 0), case, dataset), file)


def test_the_last_slice_is_its_own_neighbour():
    image = torch.arange(3.0).view(3, 1, 1, 1)
    found = context_of(image, torch.tensor([0, 2]), 1)[:, :, 0, 0]
    assert found.tolist() == [[0, 0, 1], [1, 2, 2]]
