"""The default preset's schedule: cheap steps first, dear terms now and then."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks.metassl import MetaSSLConfig
from napari_sslseg.methods.frameworks.registry import create
from napari_sslseg.methods.matching import match
from napari_sslseg.methods.reference_pool import ReferencePool, sample_nearest
from napari_sslseg.methods.teacher_trust import TeacherTrust

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


def test_first_steps_come_first_however_short_the_training_is(disc_batch):
    model = framework(first_steps=2)
    for early in (True, True, False):
        assert ("unlabelled" in model.losses(disc_batch(), 0.9, torch.Generator())) != early
    for before in (1, 2, 3):  # steps that the weights were trained for already
        gone_on = framework(first_steps=2)
        gone_on.go_on(before)
        for early in (before < 2, False):
            assert ("unlabelled" in gone_on.losses(disc_batch(), 0.9, torch.Generator())) != early
    assert framework().repeats
    assert not model.repeats


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


def test_counters_let_a_combined_run_go_on(disc_batch):
    torch.manual_seed(0)
    framework = create("combined", 1, 3, channels=(4, 8, 8, 16), fusion_width=16)
    framework.losses(disc_batch(), 0.9, torch.Generator())
    assert framework.counters() == {"steps": 1, "first": 0}
    other = create("combined", 1, 3, channels=(4, 8, 8, 16), fusion_width=16)
    other.set_counters(framework.counters())
    assert other.counters() == {"steps": 1, "first": 0}


def test_every_term_is_weighed_by_what_is_known_of_its_teacher(disc_batch, monkeypatch):
    batch, names = disc_batch(), ("unlabelled", "intra", "cross", "matched")
    before = framework(threshold=0.3).losses(batch, 1.0, torch.Generator().manual_seed(0))
    assert framework().trust is None

    def trusted(value):
        def of_classes(self, teacher):
            return torch.full((3,), value), torch.full((3,), value)

        monkeypatch.setattr(TeacherTrust, "of_classes", of_classes)
        model = framework(gated=True, threshold=0.3)
        assert model.trust.teachers == names
        return model.losses(batch, 1.0, torch.Generator().manual_seed(0))

    full, half, none = trusted(1.0), trusted(0.5), trusted(0.0)
    for name in names:
        assert before[name] > 0
        torch.testing.assert_close(full[name], before[name])
        assert none[name] == 0
        # Also of a Dice, which by itself is free of the scale of its weights.
        torch.testing.assert_close(half[name], full[name] / 2)


@pytest.mark.parametrize("terms", [("cross",), ("plain", "intra")])
def test_trust_also_weighs_terms_whose_pixels_are_weighed_by_regions(
    terms, disc_batch, monkeypatch
):
    options = {"heterogeneous": terms, "regions": MetaSSLConfig(), "gated": True}
    values = []
    for value in (1.0, 0.5):
        monkeypatch.setattr(
            TeacherTrust, "of_classes", lambda self, teacher, v=value: (torch.full((3,), v),) * 2
        )
        model = framework(**options)
        values.append(model.losses(disc_batch(), 1.0, torch.Generator().manual_seed(0)))
    for term in terms:
        name = {"plain": "unlabelled"}.get(term, term)
        assert values[0][name] > 0
        torch.testing.assert_close(values[1][name], values[0][name] / 2)


@pytest.mark.parametrize("overlapping", [False, True])
def test_teachers_are_tried_out_in_every_step(overlapping, disc_batch):
    model = framework(gated=True, overlapping=overlapping)
    batch = disc_batch()
    if overlapping:
        batch.labelled_target = batch.labelled_target[:, None].clamp(max=1).expand(-1, 3, -1, -1)
    losses = model.losses(batch, 1.0, torch.Generator().manual_seed(0))
    losses["total"].backward()
    assert losses["total"].isfinite()
    tried = model.trust.size.sum((1, 2)) > 0
    assert tried.tolist() == [False, True, True, True]  # the plain one is what they are compared to
    assert (model.trust.shares.sum(2) > 0).all()
    assert "trust.shares" in model.state_dict()


def test_a_single_labelled_image_leaves_trust_to_the_shares(disc_batch):
    model = framework(gated=True)
    batch = disc_batch()
    batch.labelled_image, batch.labelled_target = (
        batch.labelled_image[:1],
        batch.labelled_target[:1],
    )
    assert model.losses(batch, 1.0, torch.Generator())["total"].isfinite()
    assert (model.trust.size.sum((1, 2)) > 0).tolist() == [False, True, False, False]


def test_matching_is_tried_by_leaving_each_image_out(disc_batch):
    model = framework(gated=True, grid=16).eval()
    batch = disc_batch().normalised()
    views = model.views(batch, torch.Generator().manual_seed(0))
    model.reference_matching(batch, views)
    size = (8, 8)  # half the grid
    features = sample_nearest(views.labelled_decoder, size)
    target = sample_nearest(batch.labelled_target[:, None].float(), size)[:, 0].long()
    found = torch.full((2, 8, 8), 255)
    for own in (0, 1):
        pool = ReferencePool.from_maps(features[1 - own : 2 - own], target[1 - own : 2 - own], 3)
        found[own] = match(features[own : own + 1], pool).labels[0]
    known = target != 255
    for c in range(3):
        p, t = (found == c) & known, (target == c) & known
        expected = 2 * (p & t).sum() / (p.sum() + t.sum())
        torch.testing.assert_close(model.trust.accuracy("matched")[0, c], expected)
