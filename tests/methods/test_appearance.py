"""What classes look like, and how far that alone tells them."""

from __future__ import annotations

import torch

from napari_sslseg.methods.appearance import fit_appearance, told_by_looks

SIZE = 24


def _told(looks_of_the_rest: float, ink_of_the_rest: int = 0) -> torch.Tensor:
    """Dice by the looks of a bright square, beside a stripe far away that looks as it is told."""
    labels = torch.zeros(4, SIZE, SIZE, dtype=torch.uint8)
    labels[:, 2:8, 2:8] = 1
    image = labels.float()
    image[:, 20:] = looks_of_the_rest
    ink = labels.clone()
    ink[:, 20:] = ink_of_the_rest
    noise = 0.05 * torch.randn(4, 2, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return told_by_looks(image[:, None] + noise, range(4), ink, 3)


def test_a_class_that_nothing_else_looks_like_is_told_by_its_looks() -> None:
    told = _told(0.0)
    assert told[1] > 0.95
    assert told[0] == told[2] == 0


def test_what_looks_like_the_class_far_away_speaks_against_its_looks() -> None:
    assert _told(1.0)[1] < 0.6


def test_nothing_is_said_of_what_is_not_annotated() -> None:
    assert _told(1.0, 255)[1] > 0.95


def test_one_slice_tells_nothing() -> None:
    labels = torch.zeros(1, SIZE, SIZE, dtype=torch.uint8)
    labels[:, 2:8, 2:8] = 1
    assert not told_by_looks(labels[:, None].float(), [0], labels, 2).any()


def test_what_is_learned_is_where_the_loss_is_least() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (2, SIZE, SIZE), generator=generator).to(torch.uint8)
    features = labels[:, None] * torch.tensor([1.0, -0.5])[:, None, None]
    features = features + torch.randn(2, 2, SIZE, SIZE, generator=generator)
    fitted = fit_appearance(features, labels, 3)
    assert fitted is not None
    samples = features.transpose(0, 1).flatten(1) / fitted.scale[:, None]
    rows = torch.cat((samples, samples.square().clamp_max(9), torch.ones_like(samples[:1])))
    weights = fitted.weights.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy((weights @ rows).T, labels.flatten().long())
    (loss + 1e-3 * weights.square().sum()).backward()
    assert weights.grad is not None
    assert weights.grad.abs().max() < 1e-3
    shares = torch.bincount(labels.flatten()) + 1
    evidence = fitted.evidence(features)
    expected = (weights @ rows).log_softmax(0) - (shares / shares.sum()).log()[:, None]
    assert torch.allclose(evidence.transpose(0, 1).flatten(1), expected, atol=1e-5)
