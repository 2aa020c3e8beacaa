"""What every framework must do, and that each learns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.augment import StrongAugmentation, WeakAugmentation
from napari_sslseg.methods.frameworks import available, create

SMALL = {"channels": (4, 8, 8, 16)}
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
    extra = {"fusion_width": 16} if "fusion_width" in _options(name) else {}
    if metassl:
        extra["metassl"] = True
    return create(name, 1, 3, **{**SMALL, **extra, **options})


def _options(name):
    return create(name, 1, 2, **SMALL).config.__dataclass_fields__


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("name", "metassl"), NAMES)
def test_losses_are_finite_scalars_and_teach_the_network(name, metassl, disc_batch):
    framework = _create(name, metassl)
    losses = framework.losses(disc_batch(), 0.5, _generator())
    assert next(iter(losses)) == "total"
    assert all(v.ndim == 0 and v.isfinite() for v in losses.values())
    losses["total"].backward()
    assert all(p.grad is not None for p in framework.network.parameters())
    framework.after_step()


@pytest.mark.parametrize("name", available())
def test_no_unlabelled_images_still_train(name, disc_batch):
    framework = _create(name)
    losses = framework.losses(disc_batch(unlabelled=0), 0.5, _generator())
    losses["total"].backward()
    assert losses["supervised"] > 0
    assert "unlabelled" not in losses


@pytest.mark.parametrize("name", available())
def test_nothing_annotated_gives_a_finite_loss(name, disc_batch):
    batch = disc_batch()
    batch.labelled_target.fill_(255)
    framework = _create(name)
    losses = framework.losses(batch, 0.5, _generator())
    losses["total"].backward()
    assert losses["supervised"].item() == 0
    assert losses["total"].isfinite()
    assert all(p.grad.isfinite().all() for p in framework.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", available())
@pytest.mark.parametrize("side", [40, 45])
def test_any_crop_size_trains(name, side, disc_batch):
    losses = _create(name).losses(disc_batch(side=side, prior=True), 0.5, _generator())
    assert losses["total"].isfinite()
    assert losses["prior"] > 0


@pytest.mark.parametrize("name", available())
def test_prediction_has_the_size_of_the_image_and_leaves_training_mode(name):
    framework = _create(name).train()
    before = {k: v.clone() for k, v in framework.state_dict().items()}
    for image in (torch.randn(2, 1, 45, 77), torch.randn(1, 1, 16, 16), torch.randn(0, 1, 32, 32)):
        output = framework.predict(image)
        for probs in output:
            assert probs.shape == (image.shape[0], 3, *image.shape[2:])
            total = probs.sum(1)
            torch.testing.assert_close(total, torch.ones_like(total))
    assert all(m.training for m in framework.modules())
    assert all(torch.equal(v, before[k]) for k, v in framework.state_dict().items())


@pytest.mark.parametrize("name", available())
def test_mixed_precision_gives_nearly_the_same_losses(name, disc_batch):
    results = []
    for enabled in (False, True):
        torch.manual_seed(1)
        framework = _create(name)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses = framework.losses(disc_batch(prior=True), 0.5, _generator(4))
        losses["total"].backward()
        results.append(losses["total"].item())
    assert results[1] == pytest.approx(results[0], rel=0.05)


@pytest.mark.parametrize("name", available())
def test_a_step_repeats_with_its_seeds(name, disc_batch):
    totals = []
    for _ in range(2):
        torch.manual_seed(1)
        framework = _create(name)
        totals.append(framework.losses(disc_batch(), 0.5, _generator(4))["total"].item())
    assert totals[0] == totals[1]


@pytest.mark.parametrize("name", available())
def test_state_carries_thresholds(name, disc_batch):
    framework, other = _create(name), _create(name)
    framework.losses(disc_batch(), 0.5, _generator())
    assert (framework.thresholds.values != 0.9).any()
    other.load_state_dict(framework.state_dict())
    assert torch.equal(other.thresholds.values, framework.thresholds.values)


@pytest.mark.parametrize("name", available())
def test_prior_weights_silence_pixels(name, disc_batch):
    framework = _create(name)
    batch = disc_batch(prior=True)
    batch.prior_weight = torch.zeros(3, 32, 32)
    assert framework.losses(batch, 0.5, _generator())["prior"].item() == 0


def test_prior_of_labelled_images_counts_only_without_ink(disc_batch):
    still = WeakAugmentation(flip=0, quarter_turns=0, free=0)
    framework = _create("supervised", weak=still)
    batch = disc_batch()
    batch.labelled_prior = torch.full((2, 3, 32, 32), 1 / 3)
    batch.labelled_prior_weight = (batch.labelled_target != 255).float()
    assert framework.losses(batch, 0.5, _generator())["labelled_prior"].item() == 0
    batch.labelled_prior_weight = None
    assert framework.losses(batch, 0.5, _generator())["labelled_prior"].item() > 0.5


def test_unknown_names_and_options_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="semsim"):
        create("magic", 1, 2)
    with pytest.raises(ValueError, match="channels"):
        create("supervised", 1, 2, depth=3)


def test_teacher_follows_the_student_without_gradient(disc_batch):
    framework = _create("mean_teacher", True)
    framework.losses(disc_batch(), 1.0, _generator())["total"].backward()
    assert all(p.grad is None for p in framework.teacher.parameters())
    with torch.no_grad():
        for p in framework.network.parameters():
            p.add_(1.0)
    framework.after_step()  # t = 0: a decay of 1 - 1 / 1
    for own, followed in zip(
        framework.teacher.parameters(), framework.network.parameters(), strict=True
    ):
        torch.testing.assert_close(own, followed)


@pytest.mark.parametrize("metassl", [False, True])
def test_cross_supervision_teaches_both_networks_equally_many_ways(metassl, disc_batch):
    framework = _create("cps", metassl)
    losses = framework.losses(disc_batch(), 1.0, _generator())
    losses["unlabelled"].backward()
    for net in (framework.network, framework.second):
        assert all(p.grad is not None for p in net.parameters())


def test_each_network_learns_the_hard_labels_of_the_other(disc_batch):
    framework = _create("cps")
    seen = []
    for net in (framework.network, framework.second):
        net.register_forward_hook(lambda _m, _i, out: seen.append(out.detach()[2:]))
    losses = framework.losses(disc_batch(), 1.0, _generator())
    first, second = seen
    expected = F.cross_entropy(first, second.argmax(1)) + F.cross_entropy(second, first.argmax(1))
    torch.testing.assert_close(losses["unlabelled"].detach(), expected)


def test_fixmatch_mixes_targets_and_priors_like_the_strong_view(disc_batch):
    whole = StrongAugmentation(jitter=0, blur=0, cutmix=1, area=(1, 1), aspect=1)
    still = WeakAugmentation(flip=0, quarter_turns=0, free=0)
    framework = _create("fixmatch", strong=whole, weak=still, threshold=0.0).eval()
    with torch.no_grad():  # predictions that differ between pixels and images
        framework.network.classifier.weight.sub_(
            framework.network.classifier.weight.mean((2, 3), keepdim=True)
        ).mul_(300)
        framework.network.classifier.bias.zero_()
    batch = disc_batch()
    probs = framework.predict(batch.unlabelled_image).plain
    batch.prior = probs
    losses = framework.losses(batch, 1.0, _generator())
    # Each strong view is its partner's weak view, so predictions and targets coincide.
    expected = -probs.amax(1).log().mean()
    torch.testing.assert_close(losses["unlabelled"].detach(), expected, rtol=1e-3, atol=1e-4)
    entropy = -(probs * probs.log()).sum(1).mean()
    torch.testing.assert_close(losses["prior"].detach(), entropy, rtol=1e-3, atol=1e-4)


def test_fixmatch_threshold_masks_everything_an_untrained_network_says(disc_batch):
    framework = _create("fixmatch", threshold=1.1)
    losses = framework.losses(disc_batch(), 1.0, _generator())
    losses["unlabelled"].backward()
    assert losses["unlabelled"].item() == 0
    assert all(p.grad.abs().sum() == 0 for p in framework.network.parameters())


def test_weak_branch_of_fixmatch_carries_no_gradient():
    framework = _create("fixmatch")
    assert not framework._teach(torch.randn(2, 1, 32, 32)).requires_grad


def test_matching_starts_after_its_warm_up(disc_batch):
    framework = _create("rpg")
    early = framework.losses(disc_batch(), 0.05, _generator())
    assert early["matched"] > 0
    torch.testing.assert_close(early["total"], early["supervised"])


def _dice(framework, images, labels):
    predicted = framework.predict(images)
    scores = []
    for probs in predicted:
        classes = probs.argmax(1)
        for c in (1, 2):
            both = ((classes == c) & (labels == c)).sum()
            scores.append(2 * both / ((classes == c).sum() + (labels == c).sum()))
    return torch.stack(scores).min().item()


@pytest.mark.parametrize("name", available())
def test_learns_discs_from_two_partly_annotated_images(name, disc_batch, discs):
    framework = _create(name, channels=(8, 16, 16, 16), dropout=(0.0,) * 4)
    images, labels = discs(4, 50)
    assert _dice(framework, images, labels) < 0.5
    optimiser = torch.optim.AdamW(framework.parameters(), 1e-2)
    g, steps = _generator(), 36
    # At a constant rate the last step may be a bad one, and which is one differs by processor.
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimiser, steps)
    for i in range(steps):
        losses = framework.losses(disc_batch(), i / steps, g)
        optimiser.zero_grad()
        losses["total"].backward()
        optimiser.step()
        schedule.step()
        framework.after_step()
    assert _dice(framework, images, labels) > 0.8
