"""Volumes through the frameworks that take them."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.augment import WeakAugmentation
from napari_sslseg.methods.frameworks import Batch, create

pytest.importorskip("monai")

SMALL = {"channels": (4, 4, 8, 8, 8), "network": "unet3d"}
NAMES = ["supervised", "mean_teacher", "cps", "fixmatch", "unimatch", "rdrop", "rpg"]


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def _balls(count, seed, side=32):
    g = torch.Generator().manual_seed(seed)
    axes = [torch.arange(side)] * 3
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    centre = side * (0.35 + 0.3 * torch.rand(count, 3, 1, 1, 1, generator=g))
    labels = ((grid[None] - centre).square().sum(1) < (side / 4) ** 2).to(torch.uint8)
    return labels[:, None] + 0.4 * torch.randn(count, 1, *labels.shape[1:], generator=g), labels


def _batch(unlabelled=2):
    image, target = _balls(1, 0)
    target[:, :4] = 255
    return Batch(image, target, _balls(2, 1)[0][:unlabelled])


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("metassl", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_losses_of_volumes_teach_the_network(name, metassl):
    options = {"grid": 6} if name == "rpg" else {}
    framework = create(name, 1, 2, metassl=metassl, **SMALL, **options)
    losses = framework.losses(_batch(), 0.5, _generator())
    losses["total"].backward()
    assert all(v.isfinite() for v in losses.values())
    assert all(p.grad is not None for p in framework.network.parameters())
    framework.after_step()
    output = framework.predict(torch.randn(1, 1, 20, 33, 16))
    assert output.plain.shape == (1, 2, 20, 33, 16)


@pytest.mark.parametrize("network", ["unet3d", "vnet"])
def test_two_passes_of_a_volume_differ_without_being_told_to(network):
    options = {**SMALL, "network": network}
    framework = create("rdrop", 1, 2, **options)
    assert framework.losses(_batch(1), 1.0, _generator())["unlabelled"].item() > 1e-4


def test_dropout_of_volumes_can_be_switched_off():
    still = create("rdrop", 1, 2, dropout=(0.0,), **SMALL)
    assert still.losses(_batch(1), 1.0, _generator())["unlabelled"].item() < 1e-9


def test_windows_are_for_images():
    for weak in (WeakAugmentation(crop=0.9), WeakAugmentation(stretch=0.5)):
        with pytest.raises(ValueError, match="made for images"):
            create("rpg", 1, 2, weak=weak, **SMALL)


def test_v_net_trains_with_mean_teacher():
    options = {**SMALL, "network": "vnet", "dropout": (0.1,)}
    framework = create("mean_teacher", 1, 2, metassl=True, **options)
    losses = framework.losses(_batch(1), 1.0, _generator())
    losses["total"].backward()
    assert losses["total"].isfinite()


@pytest.mark.parametrize("name", ["semsim", "combined", "cct"])
def test_methods_defined_on_images_refuse_volumes(name):
    with pytest.raises(ValueError, match="volumes"):
        create(name, 1, 2, **SMALL)


def test_the_loss_on_balls_falls():
    flips = WeakAugmentation(quarter_turns=0, free=0)
    framework = create("mean_teacher", 1, 2, metassl=True, weak=flips, **SMALL)
    optimiser = torch.optim.AdamW(framework.parameters(), 1e-2)
    g, steps, seen = _generator(), 15, []
    for i in range(steps):
        losses = framework.losses(_batch(1), i / steps, g)
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
        framework.after_step()
        seen.append(losses["supervised"].item())
    assert sum(seen[-3:]) < 0.75 * sum(seen[:3])
