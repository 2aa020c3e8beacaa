"""CutMix: boxes, partners, and what is mixed by them."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.augment import StrongAugmentation
from napari_sslseg.methods.augment_cutmix import CutMix, sample_cutmix


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_cutmix_with_the_whole_image_is_the_partner():
    maps, partner = torch.rand(3, 2, 8, 8), torch.tensor([1, 2, 0])
    box = CutMix(torch.ones(3, 8, 8, dtype=torch.bool), partner)
    assert torch.equal(box.mix(maps), maps[partner])
    assert torch.equal(box.mix(maps[:, 0, :4, :4]), maps[partner][:, 0, :4, :4])


def test_cutmix_with_an_empty_box_changes_nothing():
    maps = torch.rand(3, 2, 8, 8)
    box = CutMix(torch.zeros(3, 8, 8, dtype=torch.bool), torch.tensor([1, 2, 0]))
    assert torch.equal(box.mix(maps), maps)


def test_cutmix_boxes_have_the_asked_areas_and_other_partners():
    images = torch.rand(200, 1, 64, 64)
    box = sample_cutmix(images, _generator(), StrongAugmentation(cutmix=1.0))
    share = box.mask.float().mean((1, 2))
    assert share.min() > 0.01
    assert share.max() < 0.42
    assert (box.partner != torch.arange(200)).all()
    assert box.partner.unique().numel() == 200
    rows = box.mask.any(2).sum(1) * box.mask.any(1).sum(1)
    assert torch.equal(rows, box.mask.sum((1, 2)))


@pytest.mark.parametrize("count", [2, 3])
def test_cutmix_of_few_images_never_takes_the_image_itself(count):
    for seed in range(20):
        partner = sample_cutmix(torch.rand(count, 1, 8, 8), _generator(seed)).partner
        assert (partner != torch.arange(count)).all()


def test_cutmix_of_a_single_image_or_none_is_harmless():
    one = torch.rand(1, 1, 8, 8)
    assert torch.equal(sample_cutmix(one, _generator()).mix(one), one)
    none = torch.rand(0, 1, 8, 8)
    assert sample_cutmix(none, _generator()).mix(none).shape == none.shape
