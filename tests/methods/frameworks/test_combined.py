"""The default preset's schedule: cheap steps first, dear terms now and then."""

from __future__ import annotations

import torch

from napari_sslseg.methods.frameworks.registry import create

SIMILARITY = {"intra", "cross", "matched"}


def framework(**options):
    torch.manual_seed(0)
    return create("combined", 1, 3, channels=(4, 8, 16, 32), fusion_width=16, **options)


def test_first_steps_use_ink_and_prior_only(disc_batch):
    model = framework(ramp_begin=0.4, ramp_end=0.6)
    parts = model.losses(disc_batch(), 0.1, torch.Generator())
    assert set(parts) <= {"total", "supervised", "prior", "labelled_prior"}
    parts["total"].backward()
    assert all(p.grad is None for p in model.fusion.parameters())


def test_similarity_terms_come_in_every_so_many_steps(disc_batch):
    model = framework(similarity_every=3)
    batch = disc_batch()
    came = []
    for _ in range(6):
        parts = model.losses(batch, 0.9, torch.Generator())
        came.append(set(parts) >= SIMILARITY)
        assert "unlabelled" in parts
    assert came == [False, False, True, False, False, True]


def test_rare_similarity_terms_are_not_made_heavier():
    always, rarely = framework(), framework(similarity_every=4)
    for name in SIMILARITY:
        assert rarely.weights(1.0)[name] == always.weights(1.0)[name] > 0


def test_quick_steps_update_the_thresholds_and_train_the_network(disc_batch):
    model = framework(similarity_every=100)
    before = model.thresholds.get().clone()
    model.losses(disc_batch(), 0.9, torch.Generator())["total"].backward()
    assert not torch.equal(model.thresholds.get(), before)
    assert all(p.grad is not None for p in model.network.parameters())


def test_positions_are_left_alone_by_intensity_changes():
    model = create("combined", 5, 3, channels=(4, 8, 16, 32), fusion_width=16, position_channels=2)
    images = torch.randn(3, 5, 32, 32)
    seen = model.strong_view(images, torch.Generator().manual_seed(1))
    assert torch.equal(seen[:, 3:], images[:, 3:])
    assert not torch.equal(seen[:, :3], images[:, :3])
