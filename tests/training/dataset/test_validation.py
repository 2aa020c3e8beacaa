"""The score that picks the best model of a run, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from napari_sslseg.training.dataset import validation
from napari_sslseg.training.dataset.cases import Case


def test_the_score_of_a_model_leaves_out_what_is_not_annotated(monkeypatch):
    predicted = torch.tensor([[[1, 1, 0, 0]]], dtype=torch.uint8).numpy()
    monkeypatch.setattr(validation, "predict_case", lambda *args: predicted)
    target = torch.tensor([[[1, 255, 0, 0]]], dtype=torch.uint8)
    case = Case("a", torch.zeros(1, 1, 1, 4), target, (1, 4), (1.0, 1.0), False)
    dataset = SimpleNamespace(classes={1: "a", 2: "b"}, overlapping=False)
    # Class 1 is right where it is known; class 2 is neither there nor found.
    assert validation.mean_dice(None, case, dataset, torch.device("cpu"), False) == 1
