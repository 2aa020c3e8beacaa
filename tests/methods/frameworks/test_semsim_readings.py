"""SemSim: every reading of what the paper leaves open."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.affinity import resize, spread
from napari_sslseg.methods.losses import masked_dice, pixel_cross_entropy
from napari_sslseg.methods.prototypes import query

from .small import LIVELY, generator, pasted, small, touched


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


def _affinities(fused):
    """Return Eq. 4 at the default temperature; rows sum to one."""
    f = torch.nn.functional.normalize(fused.flatten(2), dim=1)
    return (f.transpose(1, 2) @ f / 0.1).softmax(-1)


def test_readings_of_the_rectification_by_hand():
    torch.manual_seed(0)
    fused, logits = torch.rand(1, 5, 4, 4), torch.randn(1, 3, 4, 4)
    m = _affinities(fused)
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
    z, m = small_ones.flatten(2), _affinities(fused)
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


@pytest.mark.parametrize("overlapping", [False, True])
def test_predictions_spread_what_the_training_spreads(overlapping):
    image = torch.randn(1, 1, 32, 32)
    framework = small("semsim", affinity_values="probabilities", overlapping=overlapping)
    found = framework.predict(image).rectified
    framework.eval()
    with torch.no_grad():
        features = framework.network.encode(image)
        logits = framework.network.decode(features)[0]
        probs = logits.sigmoid() if overlapping else logits.softmax(1)
        fused = framework.fuse(features)
        own = resize(logits, (fused.shape[-2], fused.shape[-1]))
        own = own.sigmoid() if overlapping else own.softmax(1)
        total = probs + resize(spread(own, fused), (32, 32))
        expected = total / (2 if overlapping else total.sum(1, keepdim=True))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_intra_term_can_be_compared_at_the_size_of_the_image(disc_batch):
    options = {"intra_at": "image", "threshold": 0.0, "strong": LIVELY}
    framework = small("semsim", **options)
    batch = disc_batch().normalised()
    views = framework.views(batch, generator())
    rectified = framework.weak_targets(views)[1]
    size = tuple(batch.unlabelled_image.shape[-2:])
    with torch.no_grad():
        weak = framework.rectified(views.weak_logits, views.weak_fused)
        own = framework.rectified(views.strong_logits, views.strong_fused)
    target = pasted(resize(weak, size).softmax(1), views.first_box).argmax(1)
    expected = masked_dice(resize(own, size).softmax(1), target)
    torch.testing.assert_close(framework.intra_image(rectified, views).detach(), expected)


def test_printed_mask_of_the_cross_term_is_that_of_the_query(disc_batch):
    # The decoder is sure of nothing, the prototypes are of everything.
    values = {}
    for mask in ("query", "weak"):
        framework = small("semsim", cross_mask=mask, cross_temperature=0.001, threshold=0.9)
        with torch.no_grad():
            framework.network.classifier.weight.zero_()
            framework.network.classifier.bias.zero_()
        values[mask] = framework.losses(disc_batch(), 1.0, generator())["cross"].item()
    assert values["query"] > 0
    assert values["weak"] == 0


@pytest.mark.parametrize("certainty_of", ["weak", "strong"])
def test_certainty_of_the_cross_term_is_that_of_the_named_view(certainty_of, disc_batch):
    options = {"threshold": 0.0, "strong": LIVELY, "sharpness": 1e4}
    framework = small("semsim", certainty_of=certainty_of, **options)
    batch = disc_batch().normalised()
    views = framework.views(batch, generator())
    with torch.no_grad():
        (prototypes,) = framework.prototypes(views.labelled_fused, batch.labelled_target)
        weak = query(views.weak_fused, prototypes, sharpness=1e4)
        strong = query(views.second_fused, prototypes, sharpness=1e4)
        said = pasted(weak.log_probs, views.second_box).argmax(1)
        weight = pasted(weak.weight, views.second_box)
        assert (weight - strong.weight).abs().max() > 1e-3
        ce = pixel_cross_entropy(strong.log_probs, said)
        expected = (ce * (strong.weight if certainty_of == "strong" else weight)).mean()
    torch.testing.assert_close(framework.cross_image(batch, views).detach(), expected)


def test_soft_targets_of_the_cross_term_by_hand(disc_batch):
    framework = small("semsim", targets="soft", threshold=0.0, sharpness=0.0, strong=LIVELY)
    batch = disc_batch().normalised()
    views = framework.views(batch, generator())
    with torch.no_grad():
        (prototypes,) = framework.prototypes(views.labelled_fused, batch.labelled_target)
        weak = query(views.weak_fused, prototypes).log_probs.exp()
        strong = query(views.second_fused, prototypes).log_probs
        expected = -(pasted(weak, views.second_box) * strong).sum(1).mean()
    torch.testing.assert_close(framework.cross_image(batch, views).detach(), expected)


def test_without_a_second_view_the_first_serves_both_similarities(disc_batch):
    for second in (True, False):
        framework = small("semsim", second_view=second, strong=LIVELY)
        views = framework.views(disc_batch().normalised(), generator())
        assert (views.second_box is views.first_box) != second
        assert torch.equal(views.second_fused, views.strong_fused) != second


@pytest.mark.parametrize("noisy", [False, True])
def test_dropout_acts_in_the_weak_view_only_where_asked(noisy, disc_batch):
    framework = small("semsim", dropout=(0.5,) * 4, weak_dropout=noisy)
    batch, seen = disc_batch().normalised(), []
    for _ in range(2):
        torch.manual_seed(len(seen))
        seen.append(framework.views(batch, generator()).weak_logits)
    assert torch.equal(*seen) != noisy


def test_fusion_module_is_made_as_asked():
    framework = small("semsim", fusion_heads=4, fusion_mlp_ratio=2, fusion_windows=2)
    fusion = framework.fusion
    assert (fusion.attention.num_heads, fusion.mlp[0].out_features, fusion.windows) == (4, 32, 2)


def test_dropped_channels_are_the_same_for_decoder_and_fusion(disc_batch, monkeypatch):
    framework = small("semsim", feature_dropout_at="decoder+fusion", feature_dropout=0.6)
    fused, decoded = [], []
    fuse, decode = framework.fuse, framework.network.decode
    monkeypatch.setattr(framework, "fuse", lambda f: fused.append(f) or fuse(f))
    monkeypatch.setattr(
        framework.network, "decode", lambda f, *rest: decoded.append((f, *rest)) or decode(f, *rest)
    )
    framework.views(disc_batch().normalised(), generator())
    seen, drop, *_ = decoded[-1]
    assert drop is None
    for a, b in zip(fused[-1], seen, strict=True):
        assert torch.equal(a[: len(b)], b)


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
