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

    symbols = torch.arange(3).expand(2000, 3)
    bias = align_frequencies(scores, symbols, target)
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


def test_one_step_of_the_alignment_by_hand():
    # Label 1 wins three times and label 2 once, where both are wanted alike often; the last query
    # is background and counts for neither.
    scores = torch.tensor([[0.9, 0.1], [0.9, 0.7], [0.9, 0.8], [0.1, 0.9], [0.9, 0.1]])
    symbols = torch.tensor([[1, 2]] * 4 + [[0, 1]])
    target = torch.tensor([0.6, 0.2, 0.2])
    bias = align_frequencies(scores, symbols, target, steps=1, rate=0.4)
    # 1 +- 0.4 (3/4 - 1/2): .9 / 1.1 < .8 / .9, so the third query changes sides and no gap is left.
    torch.testing.assert_close(bias, torch.tensor([1.0, 1.1, 0.9]))
    again = align_frequencies(scores, symbols, target, steps=9, rate=0.4)
    torch.testing.assert_close(again, bias)  # kept, as nothing is better


def test_of_steps_back_and_forth_the_best_divisors_are_kept():
    # All queries change sides at once: first all are label 1, then all are label 2, half of each
    # is wanted. Neither is better, and the first stays.
    scores, symbols = torch.tensor([[0.9, 0.8]] * 4), torch.tensor([[1, 2]] * 4)
    target = torch.tensor([0.0, 0.5, 0.5])
    for steps in (1, 2):
        found = align_frequencies(scores, symbols, target, steps=steps, rate=0.4)
        assert torch.equal(found, torch.ones(3))


def test_majority_is_that_of_the_neighbourhood_and_keeps_the_own_label_in_a_tie():
    labels = torch.zeros(1, 3, 4, dtype=torch.long)
    labels[:, :, 2:] = 1
    assert torch.equal(clean_up(labels), labels)
    corner = torch.zeros(1, 4, 4, dtype=torch.long)
    corner[0, 0, 0] = 5  # the closing keeps it, the majority of the four inside does not
    assert clean_up(corner)[0, 0, 0] == 0
