"""Frequency alignment and clean-up of matched labels."""

from __future__ import annotations

import torch

from napari_sslseg.methods.label_refinement import align_frequencies, clean_up


def test_alignment_moves_predicted_frequencies_to_the_target():
    g = torch.Generator().manual_seed(0)
    scores = 0.8 + 0.2 * torch.rand(2000, 3, generator=g)
    scores[:, 1] += 0.03  # class 1 wins too often against class 2
    target = torch.tensor([0.2, 0.4, 0.4])

    def gap(bias):
        counts = torch.bincount((scores / bias).argmax(1), minlength=3)[1:].float()
        return (counts / counts.sum() - 0.5).abs().sum().item()

    bias = align_frequencies(scores, target)
    assert bias[0].item() == 1
    assert gap(bias) < 0.2 * gap(torch.ones(3))


def test_clean_up_closes_holes_and_removes_specks():
    labels = torch.zeros(1, 12, 12, dtype=torch.long)
    labels[0, 2:8, 2:8] = 1
    expected = labels.clone()
    labels[0, 4, 4] = 0
    labels[0, 10, 10] = 1
    cleaned = clean_up(labels)
    assert cleaned[0, 4, 4] == 1
    assert cleaned[0, 10, 10] == 0
    assert torch.equal(cleaned[0, 3:7, 3:7], expected[0, 3:7, 3:7])
