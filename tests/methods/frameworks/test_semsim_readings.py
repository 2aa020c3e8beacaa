"""SemSim: every reading of what the paper leaves open."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.affinity import affinity

from .small import generator, small, touched


@pytest.mark.parametrize(
    "options",
    [
        {"affinity_axis": "output", "affinity_temperature": 1.0},
        {"affinity_resize": "plain"},
        {"affinity_values": "probabilities"},
        {"affinity_learns": "affinity"},
        {"intra_at": "image"},
        {"targets": "soft"},
        {"cross_mask": "weak", "cross_threshold": 0.5},
        {"divergence": "raw", "cross_temperature": 1.0},
        {"feature_dropout_at": "decoder+fusion"},
        {"feature_dropout": 0.0},
        {"fusion_windows": 2},
        {"fusion": "simple"},
        {"metassl": True, "heterogeneous": ("plain", "intra")},
        {"metassl": True, "heterogeneous": ("intra",)},
        {"metassl": True, "heterogeneous": ("plain", "intra", "cross")},
        {"fusion_place": "main"},
    ],
)
@pytest.mark.parametrize("overlapping", [False, True])
def test_every_reading_of_semsim_trains(options, overlapping, disc_batch):
    framework = small("semsim", threshold=0.3, overlapping=overlapping, **options)
    batch = disc_batch()
    if overlapping:
        ids = batch.labelled_target.long()
        sets = torch.stack([(ids >= c).long() for c in range(3)], 1)
        batch.labelled_target = torch.where(ids[:, None] == 255, ids[:, None], sets)
    losses = framework.losses(batch, 0.5, generator())
    losses["total"].backward()
    assert losses["total"].isfinite()
    assert touched(framework.fusion)
    assert touched(framework.network)


def test_readings_of_the_rectification_by_hand():
    torch.manual_seed(0)
    fused, logits = torch.rand(1, 5, 4, 4), torch.randn(1, 3, 4, 4)
    m = affinity(fused, 0.1)  # rows sum to one
    z, p = logits.flatten(2), logits.softmax(1).flatten(2)
    expected = {
        ("source", "logits"): z + z @ m.transpose(1, 2),
        ("output", "logits"): z + z @ m,
    }
    total = p + p @ m.transpose(1, 2)
    expected["source", "probabilities"] = (total / 2).log()
    total = p + p @ m
    expected["output", "probabilities"] = (total / total.sum(1, keepdim=True)).log()
    for (axis, values), wanted in expected.items():
        framework = small("semsim", affinity_axis=axis, affinity_values=values)
        found = framework.rectified(logits, fused)
        torch.testing.assert_close(found.flatten(2), wanted)
        torch.testing.assert_close(found.softmax(1).sum(1), torch.ones(1, 4, 4))


@pytest.mark.parametrize("learns", ["both", "affinity"])
def test_printed_resizing_does_not_smooth(learns):
    fused, logits = torch.rand(1, 5, 4, 4), torch.randn(1, 3, 16, 16)
    small_ones = torch.nn.functional.interpolate(logits, (4, 4), mode="bilinear")
    z, m = small_ones.flatten(2), affinity(fused, 0.1)
    framework = small("semsim", affinity_resize="plain", affinity_learns=learns)
    found = framework.rectified(logits, fused)
    torch.testing.assert_close(found.flatten(2), z + z @ m.transpose(1, 2))
    smoothed = small("semsim", affinity_learns=learns).rectified(logits, fused)
    assert (smoothed - found).abs().max() > 0.1


def test_predictions_are_rectified_with_the_resizing_of_the_training():
    image = torch.randn(1, 1, 32, 32)
    found = [small("semsim", affinity_resize=r).predict(image) for r in ("plain", "smoothed")]
    torch.testing.assert_close(found[0].plain, found[1].plain)
    assert (found[0].rectified - found[1].rectified).abs().max() > 1e-4


def test_only_the_affinities_learn_where_asked():
    fused = torch.rand(1, 5, 4, 4, requires_grad=True)
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    framework = small("semsim", affinity_learns="affinity")
    framework.rectified(logits, fused).square().sum().backward()
    assert fused.grad.abs().sum() > 0
    assert logits.grad is None


def test_printed_threshold_of_the_cross_term_can_never_be_met(disc_batch):
    framework = small("semsim", cross_temperature=1.0, threshold=0.95)
    assert framework.losses(disc_batch(), 1.0, generator())["cross"].item() == 0
    framework = small("semsim", cross_temperature=1.0, cross_mask="weak", cross_threshold=0.0)
    assert framework.losses(disc_batch(), 1.0, generator())["cross"].item() > 0


def test_uncertain_pixels_weigh_less_in_the_cross_term(disc_batch):
    values = []
    for sharpness in (0.0, 1e6):
        framework = small("semsim", sharpness=sharpness, threshold=0.0)
        values.append(framework.losses(disc_batch(), 1.0, generator())["cross"].item())
    assert 0 < values[1] < values[0]


def test_dropped_features_reach_the_fusion_only_where_asked(disc_batch):
    fused = {}
    for place in ("decoder", "decoder+fusion"):
        for p in (0.0, 0.6):
            framework = small("semsim", feature_dropout_at=place, feature_dropout=p).eval()
            batch = disc_batch().normalised()
            fused[place, p] = framework.views(batch, generator())
    a, b = fused["decoder", 0.0], fused["decoder", 0.6]
    torch.testing.assert_close(a.strong_fused, b.strong_fused)
    a, b = fused["decoder+fusion", 0.0], fused["decoder+fusion", 0.6]
    assert (a.strong_fused - b.strong_fused).abs().max() > 1e-4
    torch.testing.assert_close(a.labelled_fused, b.labelled_fused)


def test_regions_can_take_the_place_of_the_threshold_of_the_cross_term(disc_batch):
    framework = small("semsim", metassl=True, heterogeneous=("cross",), threshold=2.0)
    assert framework.thresholds.values.shape[0] == 3
    assert small("semsim", metassl=True).thresholds.values.shape[0] == 2
    batch = disc_batch().normalised()
    views = framework.views(batch, generator())
    framework.cross_image(batch, views).backward()  # no pixel would reach the threshold
    assert (framework.thresholds.values[2, 0] != 0.9).any()
    assert (framework.thresholds.values[:2] == 0.9).all()
    assert touched(framework.fusion)
    assert not touched(framework.network.decoders)


def test_uncertainty_stays_where_regions_weigh_the_cross_term(disc_batch):
    values = []
    for sharpness in (0.0, 1e6):
        framework = small("semsim", metassl=True, heterogeneous=("cross",), sharpness=sharpness)
        values.append(framework.losses(disc_batch(), 1.0, generator())["cross"].item())
    assert 0 < values[1] < values[0]


def test_fusion_in_the_main_path_starts_without_effect_and_is_then_needed(disc_batch):
    side, main = (small("semsim", fusion_place=p) for p in ("side", "main"))
    main.load_state_dict(side.state_dict(), strict=False)
    image = torch.randn(2, 1, 33, 40)
    torch.testing.assert_close(main.predict_plain(image), side.predict_plain(image))
    with torch.no_grad():
        main.back.weight.normal_(std=1e3)
    changed = main.predict_plain(image)
    assert (changed - side.predict_plain(image)).abs().max() > 1e-3
    torch.testing.assert_close(main.predict(image).plain, changed)
    losses = main.losses(disc_batch(), 1.0, generator())
    losses["supervised"].backward()
    assert touched(main.fusion)
    assert touched(main.back)


def test_plain_prediction_is_made_without_the_side_branch():
    framework = small("semsim")
    image = torch.randn(2, 1, 33, 40)
    expected = framework.predict(image).plain
    calls = []
    framework.fusion.register_forward_hook(lambda *_: calls.append(1))
    found = framework.predict_plain(image)
    assert not calls
    torch.testing.assert_close(found, expected)
