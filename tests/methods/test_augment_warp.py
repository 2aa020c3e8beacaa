"""Strong geometry: targets follow, and nothing is taught where nothing is seen."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.augment_warp import Warp, sample_warp


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _shift(columns: float, side: int = 8) -> Warp:
    theta = torch.tensor([[[1.0, 0, 2 * columns / side], [0, 1, 0]]])
    return Warp(theta, torch.zeros(1, side, side, dtype=torch.bool))


def test_a_shift_by_hand():
    warp = _shift(2)
    labels = torch.arange(8).expand(1, 8, 8).clone()
    assert warp.labels(labels)[0, 0].tolist() == [2, 3, 4, 5, 6, 7, 255, 255]
    assert warp.trust(torch.ones(1, 8, 8))[0, 0].tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    image = labels[:, None].float()
    torch.testing.assert_close(warp.images(image)[0, 0, 0, :6], torch.arange(2.0, 8))


def test_a_cut_out_shows_the_mean_and_teaches_nothing():
    hidden = torch.zeros(1, 8, 8, dtype=torch.bool)
    hidden[:, 2:4, 2:4] = True
    warp = Warp(_shift(0).theta, hidden)
    image = torch.rand(1, 2, 8, 8)
    view = warp.images(image)
    torch.testing.assert_close(
        view[:, :, 2:4, 2:4], image.mean((2, 3))[..., None, None].expand(1, 2, 2, 2)
    )
    torch.testing.assert_close(view[:, :, 4:], image[:, :, 4:])
    assert torch.equal(warp.trust(torch.ones(1, 8, 8)) == 0, hidden)
    assert warp.trust(torch.ones(1, 4, 4)).sum() == 15  # on a coarser grid


def test_drawn_warps_move_maps_and_labels_alike():
    images = torch.rand(32, 1, 40, 60)
    warp = sample_warp(images, _generator(), 0.7)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 60), indexing="ij")
    half = (x + 0.5 * y > 0).long().expand(32, 40, 60)
    moved = warp.labels(half)
    soft = warp.maps(half[:, None].float())[:, 0]
    inside = warp.trust(torch.ones(32, 40, 60)) > 0
    agree = (soft > 0.5).long() == moved
    assert agree[inside & (moved != 255)].float().mean() > 0.98
    assert 0.4 < inside.float().mean() < 0.95
    assert not inside[moved == 255].any()


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_chance_of_a_warp(chance):
    images = torch.rand(16, 1, 32, 32)
    warp = sample_warp(images, _generator(), chance)
    same = torch.allclose(warp.images(images), images, atol=1e-5)
    assert same == (chance == 0)
    assert warp.hidden.any() == (chance == 1)
