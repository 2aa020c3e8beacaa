"""Pools of reference pixels: what is in them, bounded or not."""

from __future__ import annotations

import torch

from napari_sslseg.methods.reference_pool import ReferencePool, rank_sets

from .test_matching import _maps


def test_bounded_pool_keeps_the_frequencies_of_all_pixels():
    features, labels = _maps(classes=2)
    labels[0, 2:], labels[1, :9] = 3, 255
    whole = ReferencePool.from_maps(features, labels, 4)
    pool = ReferencePool.from_maps(features, labels, 4, most=15)
    assert torch.bincount(pool.symbols).tolist() == [5, 5, 0, 5]
    assert torch.equal(pool.frequencies(), whole.frequencies())
    assert torch.equal(pool.image_frequencies(), whole.image_frequencies())
    assert torch.equal(pool.image_means()[0], whole.image_means()[0])


def test_pool_can_be_bounded_without_losing_rare_labels():
    features, labels = _maps(classes=1)
    labels[0, 0, 0], labels[1, :, 6:] = 3, 255
    g = torch.Generator().manual_seed(0)
    pool = ReferencePool.from_maps(features, labels, 4, most=11, generator=g)
    assert pool.features.shape == (11, 8)
    assert torch.bincount(pool.symbols).tolist() == [10, 0, 0, 1]
    assert pool.valid.all()
    assert pool.image.unique().tolist() == [0, 1]
    whole = ReferencePool.from_maps(features, labels, 4)
    rows = (whole.features[:, None] == pool.features).all(2).any(0)
    assert rows.all()


def test_distinct_sets_are_numbered_in_their_order():
    g = torch.Generator().manual_seed(0)
    for structures in (3, 70):  # more than there are bits in a number
        base = torch.randint(0, 2, (12, structures), generator=g)
        base[0] = 0
        sets = base[torch.randint(1, 12, (200,), generator=g)]
        unique, inverse = torch.cat([base[:1], sets]).unique(dim=0, return_inverse=True)
        assert unique[0].sum() == 0
        assert torch.equal(rank_sets(sets), inverse[1:])


def test_frequencies_are_those_of_the_chosen_image():
    features = torch.eye(2)[[0, 1]].view(2, 2, 1, 1).expand(2, 2, 4, 4)
    labels = torch.ones(2, 4, 4).long()
    labels[1, :2] = 2
    pool = ReferencePool.from_maps(features, labels, 3)
    torch.testing.assert_close(pool.frequencies(), torch.tensor([0, 0.75, 0.25]))
    expected = torch.tensor([[0, 1.0, 0], [0, 0.5, 0.5]])
    torch.testing.assert_close(pool.image_frequencies(), expected)
    means, annotated = pool.image_means()
    torch.testing.assert_close(means, torch.eye(2))
    assert annotated.all()
