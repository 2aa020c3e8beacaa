"""Partial annotation: strokes teach, and everything else is unlabelled."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_sslseg.training.dataset.cases import load_case
from napari_sslseg.training.dataset.description import parse_dataset, read_dataset
from napari_sslseg.training.dataset.prediction import build_framework
from napari_sslseg.training.dataset.run import train_dataset
from napari_sslseg.training.dataset.sampling import SliceSampler
from napari_sslseg.training.dataset.settings import make_settings

from ..dataset_files import NpyReader, make_volume, write_dataset

CPU = torch.device("cpu")

#: Folder of ACDC with ``train/*_scribble.nii.gz``, for those who have it.
ACDC = os.environ.get("NAPARI_SSLSEG_ACDC")


def scribble(truth: np.ndarray) -> np.ndarray:
    """Draw a thin curve inside each class of each slice, 4 elsewhere, as in ACDC's scribbles."""
    strokes = np.full_like(truth, 4)
    for z in range(truth.shape[2]):
        for value in np.unique(truth[..., z]):
            inside = ndimage.distance_transform_edt(np.pad(truth[..., z] == value, 1))[1:-1, 1:-1]
            ridge = (inside >= ndimage.maximum_filter(inside, 3)) & (inside > 1)
            strokes[..., z][ridge] = value
    return strokes


def _write(folder: Path, **changes) -> Path:
    strokes = {
        "labelled": ["c0", "c1", "c2"],
        "unlabelled": [],
        "not_annotated": [4],
        "size": [20, 24],
    }
    path = write_dataset(folder, **{**strokes, **changes})
    for i in range(4):
        np.save(folder / f"c{i}_gt.npy", scribble(make_volume(i)[1]))
    return path


def test_scribbles_are_mostly_not_annotated(tmp_path):
    dataset = read_dataset(_write(tmp_path))
    case = load_case(dataset.entries["c0"], dataset, NpyReader())
    inked = float((case.target != 255).float().mean())
    assert 0.02 < inked < 0.3
    assert sorted(case.target.unique().tolist()) == [0, 1, 2, 255]


@pytest.mark.parametrize("preset", ["metassl-cps", "semsim", "rpg", "default", "metassl-r-drop"])
def test_pixels_without_ink_have_no_supervised_loss_but_are_unlabelled(tmp_path, preset):
    dataset = read_dataset(_write(tmp_path))
    options = {"channels": [4, 8, 8, 16], "weak": {"flip": 0, "quarter_turns": 0, "free": 0}}
    settings = make_settings(dataset, "cpu", preset=preset, options=options)
    about = {"framework": settings.framework, "in_channels": 1, "outputs": 3}
    torch.manual_seed(0)
    framework = build_framework({**about, "options": settings.options})
    cases = [load_case(e, dataset, NpyReader()) for e in dataset.cases("labelled")]
    batch = SliceSampler(cases, [], dataset, (3, 3), CPU, 0).draw()
    assert batch.unlabelled_count == 3  # slices with gaps are unlabelled images as well
    captured = []
    original = framework.labelled_losses

    def spy(logits, moved):
        logits.retain_grad()
        captured.append((logits, moved.labelled_target))
        return original(logits, moved)

    framework.labelled_losses = spy
    losses = framework.losses(batch, 0.9, torch.Generator().manual_seed(0))
    assert losses["supervised"] > 0
    losses["supervised"].backward(retain_graph=True)
    logits, target = captured[0]
    moved = logits.grad.abs().sum(1)
    assert moved[target == 255].max() == 0
    assert moved[target != 255].min() > 0
    losses["total"].backward()
    assert losses["total"].isfinite()


def test_scribbles_are_enough_for_the_discs(tmp_path):
    path = _write(tmp_path / "data")
    dataset = read_dataset(path)
    settings = make_settings(
        dataset,
        "cpu",
        preset="metassl-mean-teacher",
        optimiser="adamw",
        learning_rate=0.01,
        steps=50,
        validate_every=50,
        options={"channels": [8, 16, 16, 16], "dropout": [0.0] * 4},
    )
    outcome = train_dataset(dataset, settings, tmp_path / "run", NpyReader(), CPU)
    assert outcome.best > 0.7  # c4, annotated densely


@pytest.mark.skipif(not ACDC, reason="NAPARI_SSLSEG_ACDC names no folder of ACDC")
def test_scribbles_of_acdc_train(tmp_path):
    from napari_sslseg.dataset_files import FormatsReader

    root = Path(str(ACDC))
    names = sorted(p.name[: -len("_scribble.nii.gz")] for p in root.glob("train/*_scribble*"))[:2]
    volumes = {
        name: {"image": f"train/{name}.nii.gz", "labels": f"train/{name}_scribble.nii.gz"}
        for name in names
    }
    content = {
        "volumes": volumes,
        "classes": {1: "RV", 2: "Myo", 3: "LV"},
        "not_annotated": [4],
        "axis": 2,
        "size": [64, 64],
        "labelled": names,
    }
    dataset = parse_dataset(content, root, "acdc")
    options = {"channels": [4, 8, 8, 16]}
    settings = make_settings(dataset, "cpu", preset="default", steps=3, options=options)
    case = load_case(dataset.entries[names[0]], dataset, FormatsReader())
    inked = float((case.target != 255).float().mean())
    assert 0 < inked < 0.5
    outcome = train_dataset(dataset, settings, tmp_path, FormatsReader(), CPU)
    assert outcome.finished
