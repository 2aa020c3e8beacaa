"""Overlapping classes through every framework."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.augment import WeakAugmentation
from napari_sslseg.methods.frameworks import Batch, available, create

from .small import CALM, STILL

SMALL = {"channels": (4, 8, 8, 16), "overlapping": True}
NAMES = [(name, False) for name in available()] + [
    (name, True) for name in available() if not name.startswith("combined")
]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def _create(name, metassl=False, **options):
    if name.startswith(("semsim", "combined")):
        options.setdefault("fusion_width", 16)
    if metassl:
        options["metassl"] = True
    return create(name, 1, 2, **{**SMALL, **options})


def _films(count, seed, side=32):
    """Images of two bars that cross, each of its own brightness; sets of classes."""
    g = torch.Generator().manual_seed(seed)
    images, sets = torch.zeros(count, 1, side, side), torch.zeros(count, 2, side, side)
    for i in range(count):
        row, column = (8 + 12 * torch.rand(2, generator=g)).int().tolist()
        sets[i, 0, row : row + 8] = 1
        sets[i, 1, :, column : column + 8] = 1
    images[:, 0] = sets[:, 0] + 2 * sets[:, 1]
    return images + 0.3 * torch.randn(images.shape, generator=g), sets.to(torch.uint8)


def _batch(unlabelled=3):
    image, target = _films(2, 0)
    target[:, :, :, :6] = 255
    return Batch(image, target, _films(3, 1)[0][:unlabelled])


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("name", "metassl"), NAMES)
def test_losses_are_finite_and_teach_the_network(name, metassl):
    framework = _create(name, metassl)
    losses = framework.losses(_batch(), 0.5, _generator())
    assert all(v.ndim == 0 and v.isfinite() for v in losses.values())
    losses["total"].backward()
    assert all(p.grad is not None for p in framework.network.parameters())


@pytest.mark.parametrize("name", available())
def test_prediction_is_by_structure(name):
    framework = _create(name)
    output = framework.predict(torch.randn(2, 1, 37, 45))
    assert output.plain.shape == output.rectified.shape == (2, 2, 37, 45)
    total = output.plain.sum(1)
    assert (total - 1).abs().max() > 1e-2  # no softmax


@pytest.mark.parametrize("name", ["supervised", "rpg", "semsim", "combined"])
def test_learns_structures_that_overlap(name):
    still = WeakAugmentation(flip=0.5, quarter_turns=0, free=0)
    framework = _create(name, channels=(8, 16, 16, 16), dropout=(0.0,) * 4, weak=still)
    optimiser = torch.optim.AdamW(framework.parameters(), 1e-2)
    g, steps = _generator(), 30
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, steps)
    for i in range(steps):
        losses = framework.losses(_batch(), i / steps, g)
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
        schedule.step()
        framework.after_step()
    images, sets = _films(4, 9)
    found = framework.predict(images).plain > 0.5
    both = (sets[:, 0] & sets[:, 1]).bool()
    assert (found[:, 0] & found[:, 1])[both].float().mean() > 0.6  # a softmax could not
    assert (found == sets.bool()).float().mean() > 0.9


def test_matched_sets_are_those_of_the_pool():
    framework = _create("rpg")
    batch = _batch().normalised()
    decoder = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
    found = framework.matches(decoder.decoder, batch)
    present = set(map(tuple, batch.labelled_target.movedim(1, -1).reshape(-1, 2).tolist()))
    matched = set(map(tuple, found.labels.movedim(1, -1).reshape(-1, 2).int().tolist()))
    assert matched <= {p for p in present if 255 not in p}


def test_matched_sets_are_taught_whole_where_regions_weigh_them():
    options = {"weak": STILL, "strong": CALM, "grid": 16, "heterogeneous": ("matched",)}
    options |= {"overlapping": True, "metassl": True, "channels": (4, 8, 8, 16)}
    framework = create("rpg", 1, 3, **options).eval()
    g = _generator()
    one = torch.nn.functional.one_hot(torch.randint(0, 3, (2, 32, 32), generator=g), 3)
    batch = Batch(
        torch.randn(2, 1, 32, 32, generator=g),
        one.movedim(-1, 1).to(torch.uint8),
        torch.randn(3, 1, 32, 32, generator=g),
    ).normalised()
    with torch.no_grad():
        taps = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
    found = framework.matches(taps.decoder, batch)
    losses = framework.losses(batch, 1.0, g)
    # Each reference has one structure: where neighbours differ, no marginal need reach one half.
    assert (found.probabilities <= 0.5).all(1).float().mean() > 0.2
    assert (found.labels.sum(1) == 1).all()
    z = taps.logits[2:, :, 1::2, 1::2]
    stated = found.labels == 1
    confidence = torch.where(stated, found.probabilities, 1 - found.probabilities)
    limits = torch.zeros_like(confidence)
    for k in range(3):
        for answer in (True, False):
            same = stated[:, k] == answer
            mean = confidence[:, k][same].sum() / (same.sum() + 1)
            limits[:, k][same] = 0.5 * mean + 0.45
    sure, agree = confidence > limits, stated == (z > 0)
    rank = (~sure).float() + 2 * (~agree).float()
    weight = torch.exp(-((0.6 * rank) ** 3))
    heard = found.weight[:, None] > 0
    bce = torch.nn.functional.softplus(torch.where(stated, -z, z)) * heard
    expected = (weight * bce).sum() / weight.sum()
    torch.testing.assert_close(losses["matched"].detach(), expected)


def test_priors_of_overlapping_classes_teach():
    framework = _create("supervised")
    batch = _batch()
    batch.prior = torch.rand(3, 2, 32, 32)
    losses = framework.losses(batch, 0.5, _generator())
    assert losses["prior"] > 0.3
    batch.prior_weight = torch.zeros(3, 32, 32)
    assert framework.losses(batch, 0.5, _generator())["prior"].item() == 0
