"""What must, and what must not, receive gradient; formulas on a framework's own predictions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.affinity import affinity
from napari_sslseg.methods.augment import StrongAugmentation, WeakAugmentation
from napari_sslseg.methods.augment_warp import Warp
from napari_sslseg.methods.frameworks import Batch, create
from napari_sslseg.methods.frameworks.metassl import MetaSSL, MetaSSLConfig, PredictionPair
from napari_sslseg.methods.matching import match
from napari_sslseg.methods.reference_pool import ReferencePool

SMALL = {"channels": (4, 8, 8, 16), "dropout": (0.0,) * 4}
STILL = WeakAugmentation(flip=0, quarter_turns=0, free=0)
CALM = StrongAugmentation(jitter=0, blur=0, cutmix=0)


def _framework(name, **options):
    torch.manual_seed(0)
    if name == "semsim":
        options.setdefault("fusion_width", 16)
    return create(name, 1, 3, **{**SMALL, "weak": STILL, **options})


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _touched(module):
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    return any(g.abs().sum() > 0 for g in grads)


@pytest.mark.parametrize("metassl", [False, True])
@pytest.mark.parametrize("learner", [0, 1])
def test_a_network_of_a_pair_is_not_moved_by_what_it_teaches(metassl, learner, disc_batch):
    framework = _framework("cps", metassl=metassl)
    batch = disc_batch().normalised()
    nets = (framework.network, framework.second)
    logits = [net(batch.unlabelled_image) for net in nets]
    pair = PredictionPair(logits[1 - learner].softmax(1), logits[learner], 1 - learner)
    framework.metassl.observe([pair])
    framework.metassl.unlabelled([pair]).backward()
    assert _touched(nets[learner])
    assert not _touched(nets[1 - learner])


def test_direction_of_cross_consistency_can_be_one_way(disc_batch):
    for direction, both in (("both", True), ("one", False)):
        framework = _framework("cct", metassl=True, direction=direction)
        losses = framework.losses(disc_batch(), 1.0, _generator())
        losses["unlabelled"].backward()
        assert _touched(framework.network.decoders)
        assert _touched(framework.second.decoders) == both


def test_plain_cross_consistency_moves_the_perturbed_decoder_and_the_encoder(disc_batch):
    framework = _framework("cct")
    losses = framework.losses(disc_batch(), 1.0, _generator())
    losses["unlabelled"].backward()
    assert _touched(framework.second.decoders)
    assert _touched(framework.network.encoders)
    assert not _touched(framework.network.decoders)


def test_plain_cross_consistency_is_the_squared_difference(disc_batch):
    framework = _framework("cct", feature_dropout=0.0).eval()
    batch = disc_batch()
    output = framework.predict(batch.unlabelled_image)
    second = 2 * output.rectified - output.plain
    losses = framework.losses(batch, 1.0, _generator())
    expected = (second - output.plain).square().mean()
    torch.testing.assert_close(losses["unlabelled"].detach(), expected)


def test_r_drop_is_zero_without_dropout_and_positive_with(disc_batch):
    for dropout, least, most in ((0.0, 0.0, 1e-9), (0.4, 1e-6, 10.0)):
        framework = _framework("rdrop", dropout=(dropout,) * 4)
        value = framework.losses(disc_batch(), 1.0, _generator())["unlabelled"].item()
        assert least <= value <= most


def test_mean_teacher_learns_from_labelled_regions_of_its_teacher(disc_batch):
    framework = _framework("mean_teacher", metassl=True)
    losses = framework.losses(disc_batch(), 1.0, _generator())
    losses["labelled_regions"].backward()
    assert _touched(framework.network)
    assert not _touched(framework.teacher)


def test_squared_difference_to_the_teacher_by_hand(disc_batch):
    framework = _framework("mean_teacher", noise=0.0).eval()
    batch = disc_batch()
    with torch.no_grad():
        framework.teacher.classifier.bias.add_(1 + torch.arange(3))
        p = framework.network(batch.unlabelled_image).softmax(1)
        q = framework.teacher(batch.unlabelled_image).softmax(1)
    losses = framework.losses(batch, 1.0, _generator())
    torch.testing.assert_close(losses["unlabelled"].detach(), (p - q).square().mean())


def test_labelled_pixels_can_be_partitioned_by_the_other_network(disc_batch):
    values = {}
    for choice in ("own", "other"):
        framework = _framework("cps", metassl=True, labelled_reference=choice).eval()
        with torch.no_grad():  # a network that is sure, and one that is not
            framework.second.classifier.bias[2] += 5
        batch = disc_batch().normalised()
        logits = [net(batch.labelled_image) for net in (framework.network, framework.second)]
        turn = choice == "other"
        pairs = [
            PredictionPair(logits[k].softmax(1), logits[1 - k if turn else k], k) for k in (0, 1)
        ]
        losses = framework.losses(batch, 1.0, _generator())
        expected = framework.metassl.labelled(pairs, batch.labelled_target)
        torch.testing.assert_close(losses["labelled_regions"], expected)
        values[choice] = losses["labelled_regions"].item()
    assert values["own"] != values["other"]


def test_agreement_of_labelled_pixels_can_be_that_of_the_predictions():
    # Reference says class 1 surely, the learner class 0, the annotation 1.
    reference = torch.tensor([0.05, 0.95]).view(1, 2, 1)
    logits = torch.tensor([2.0, 0.0]).view(1, 2, 1)
    annotation = torch.tensor([[1]])
    config = {"normalisation": "region_mean", "scale": 2.0}
    for choice, weight in (("annotation", 1.0), ("predictions", 0.0)):
        part = MetaSSL(2, 1, MetaSSLConfig(labelled_agreement=choice, **config))
        part.labelled_weights.zero_()[1] = 1.0  # UC alone
        loss = part.labelled([PredictionPair(reference, logits)], annotation)
        expected = weight * F.cross_entropy(logits, annotation) / 2
        torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("reference", ["teacher", "student"])
def test_labelled_pixels_of_mean_teacher_are_partitioned_by_the_named_network(
    reference, disc_batch
):
    framework = _framework("mean_teacher", metassl=True, labelled_reference=reference).eval()
    with torch.no_grad():  # a teacher that is sure of one class
        framework.teacher.classifier.bias[2] += 5
    batch = disc_batch().normalised()
    losses = framework.losses(batch, 1.0, _generator())
    student = framework.network(batch.labelled_image)
    chosen = framework.teacher if reference == "teacher" else framework.network
    pair = PredictionPair(chosen(batch.labelled_image).softmax(1), student)
    expected = framework.metassl.labelled([pair], batch.labelled_target)
    torch.testing.assert_close(losses["labelled_regions"], expected)


@pytest.mark.parametrize("noisy", [False, True])
def test_dropout_acts_in_the_teacher_only_where_asked(noisy):
    framework = _framework("mean_teacher", dropout=(0.5,) * 4, teacher_dropout=noisy)
    seen = []
    framework.teacher.register_forward_hook(
        lambda module, *_: seen.append({m.training for m in module.modules() if _is_dropout(m)})
    )
    image = torch.randn(2, 1, 32, 32)
    batch = Batch(image, torch.zeros(2, 32, 32, dtype=torch.uint8), image)
    framework.losses(batch, 1.0, _generator())
    assert seen == [{noisy}]


def _is_dropout(module):
    return isinstance(module, torch.nn.Dropout)


@pytest.mark.parametrize("view", ["weak", "strong", "both"])
def test_matched_labels_teach_the_chosen_views_and_nothing_of_the_pool(view, disc_batch):
    framework = _framework("rpg", matched_on=view)
    batch = disc_batch().normalised()
    taps = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
    found = framework.matches(taps.decoder, batch)
    assert not found.weight.requires_grad
    assert not found.probabilities.requires_grad
    weak, strong = (torch.randn(3, 3, 32, 32, requires_grad=True) for _ in range(2))
    box = framework.cutmix(batch.unlabelled_image, _generator())
    framework.matched_loss(found, weak, strong, box).backward()
    assert (weak.grad is not None) == (view != "strong")
    assert (strong.grad is not None) == (view != "weak")


def test_matched_loss_is_the_formula_on_the_matches(disc_batch):
    framework = _framework("rpg", grid=16, strong=CALM).eval()
    batch = disc_batch().normalised()
    with torch.no_grad():
        taps = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
        pool = ReferencePool.from_maps(taps.decoder[:2], batch.labelled_target, 3, 16)
        found = match(taps.decoder[2:], pool, grid=16)
        z = F.interpolate(taps.logits[2:], (16, 16), mode="nearest-exact")
        ce = F.cross_entropy(z, found.labels, reduction="none")
        expected = (found.weight * ce).mean()
    losses = framework.losses(batch, 1.0, _generator())
    torch.testing.assert_close(losses["matched"].detach(), expected)


def test_total_of_reference_guidance_has_one_ramp_for_both_terms(disc_batch):
    framework = _framework("rpg", threshold=0.0)
    losses = framework.losses(disc_batch(), 0.25, _generator())
    ramp = torch.tensor(-5 * 0.25).exp()
    expected = losses["supervised"] + ramp * (losses["matched"] + losses["unlabelled"])
    torch.testing.assert_close(losses["total"], expected)


@pytest.mark.parametrize(
    "options",
    [
        {"refine": "full"},
        {"refine": "features", "morph": True},
        {"refine": "distribution"},
        {"standardise": True, "agreement": "binary"},
        {"agreement": "unclamped", "ramp": "steps"},
        {"metassl": True, "heterogeneous": ("plain", "matched")},
        {"metassl": True, "heterogeneous": ("matched",), "matched_on": "both"},
        {"temperature": 0.1, "supervised_loss": "whole"},
        {"strong_geometry": 0.8, "matched_on": "both"},
        {"strong_geometry": 0.8, "metassl": True, "heterogeneous": ("plain", "matched")},
    ],
)
def test_every_option_of_reference_guidance_trains(options, disc_batch):
    framework = _framework("rpg", **options)
    losses = framework.losses(disc_batch(), 0.5, _generator())
    losses["total"].backward()
    assert losses["total"].isfinite()
    assert _touched(framework.network)
    if "matched" in options.get("heterogeneous", ()):
        assert (framework.thresholds.values[1, 0] != 0.9).any()


@pytest.mark.parametrize(
    "options",
    [
        {"affinity_axis": "output", "affinity_temperature": 1.0},
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
    framework = _framework("semsim", threshold=0.3, overlapping=overlapping, **options)
    batch = disc_batch()
    if overlapping:
        ids = batch.labelled_target.long()
        sets = torch.stack([(ids >= c).long() for c in range(3)], 1)
        batch.labelled_target = torch.where(ids[:, None] == 255, ids[:, None], sets)
    losses = framework.losses(batch, 0.5, _generator())
    losses["total"].backward()
    assert losses["total"].isfinite()
    assert _touched(framework.fusion)
    assert _touched(framework.network)


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
        framework = _framework("semsim", affinity_axis=axis, affinity_values=values)
        found = framework.rectified(logits, fused)
        torch.testing.assert_close(found.flatten(2), wanted)
        torch.testing.assert_close(found.softmax(1).sum(1), torch.ones(1, 4, 4))


def test_only_the_affinities_learn_where_asked():
    fused = torch.rand(1, 5, 4, 4, requires_grad=True)
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    framework = _framework("semsim", affinity_learns="affinity")
    framework.rectified(logits, fused).square().sum().backward()
    assert fused.grad.abs().sum() > 0
    assert logits.grad is None


def test_printed_threshold_of_the_cross_term_can_never_be_met(disc_batch):
    framework = _framework("semsim", cross_temperature=1.0, threshold=0.95)
    assert framework.losses(disc_batch(), 1.0, _generator())["cross"].item() == 0
    framework = _framework("semsim", cross_temperature=1.0, cross_mask="weak", cross_threshold=0.0)
    assert framework.losses(disc_batch(), 1.0, _generator())["cross"].item() > 0


def test_uncertain_pixels_weigh_less_in_the_cross_term(disc_batch):
    values = []
    for sharpness in (0.0, 1e6):
        framework = _framework("semsim", sharpness=sharpness, threshold=0.0)
        values.append(framework.losses(disc_batch(), 1.0, _generator())["cross"].item())
    assert 0 < values[1] < values[0]


def test_dropped_features_reach_the_fusion_only_where_asked(disc_batch):
    fused = {}
    for place in ("decoder", "decoder+fusion"):
        for p in (0.0, 0.6):
            framework = _framework("semsim", feature_dropout_at=place, feature_dropout=p).eval()
            batch = disc_batch().normalised()
            fused[place, p] = framework.views(batch, _generator())
    a, b = fused["decoder", 0.0], fused["decoder", 0.6]
    torch.testing.assert_close(a.strong_fused, b.strong_fused)
    a, b = fused["decoder+fusion", 0.0], fused["decoder+fusion", 0.6]
    assert (a.strong_fused - b.strong_fused).abs().max() > 1e-4
    torch.testing.assert_close(a.labelled_fused, b.labelled_fused)


def test_regions_can_take_the_place_of_the_threshold_of_the_cross_term(disc_batch):
    framework = _framework("semsim", metassl=True, heterogeneous=("cross",), threshold=2.0)
    assert framework.thresholds.values.shape[0] == 3
    assert _framework("semsim", metassl=True).thresholds.values.shape[0] == 2
    batch = disc_batch().normalised()
    views = framework.views(batch, _generator())
    framework.cross_image(batch, views).backward()  # no pixel would reach the threshold
    assert (framework.thresholds.values[2, 0] != 0.9).any()
    assert (framework.thresholds.values[:2] == 0.9).all()
    assert _touched(framework.fusion)
    assert not _touched(framework.network.decoders)


def test_uncertainty_stays_where_regions_weigh_the_cross_term(disc_batch):
    values = []
    for sharpness in (0.0, 1e6):
        framework = _framework(
            "semsim", metassl=True, heterogeneous=("cross",), sharpness=sharpness
        )
        values.append(framework.losses(disc_batch(), 1.0, _generator())["cross"].item())
    assert 0 < values[1] < values[0]


def test_fusion_in_the_main_path_starts_without_effect_and_is_then_needed(disc_batch):
    side, main = (_framework("semsim", fusion_place=p) for p in ("side", "main"))
    main.load_state_dict(side.state_dict(), strict=False)
    image = torch.randn(2, 1, 33, 40)
    torch.testing.assert_close(main.predict_plain(image), side.predict_plain(image))
    with torch.no_grad():
        main.back.weight.normal_(std=1e3)
    changed = main.predict_plain(image)
    assert (changed - side.predict_plain(image)).abs().max() > 1e-3
    torch.testing.assert_close(main.predict(image).plain, changed)
    losses = main.losses(disc_batch(), 1.0, _generator())
    losses["supervised"].backward()
    assert _touched(main.fusion)
    assert _touched(main.back)


def test_class_that_no_reference_has_is_never_matched(disc_batch):
    framework = _framework("rpg")
    batch = disc_batch().normalised()
    batch.labelled_target[batch.labelled_target == 2] = 255
    taps = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
    found = framework.matches(taps.decoder, batch)
    assert set(found.labels.unique().tolist()) <= {0, 1}
    assert found.probabilities[:, 2].sum() == 0


def test_nothing_is_taught_where_the_warped_view_shows_nothing(disc_batch):
    framework = _framework("rpg", matched_on="strong", threshold=0.0)
    batch = disc_batch().normalised()
    taps = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
    found = framework.matches(taps.decoder, batch)
    theta = torch.tensor([[[1.0, 0, 1], [0, 1, 0]]]).expand(3, 2, 3)  # half a side to the left
    hidden = torch.zeros(3, 32, 32, dtype=torch.bool)
    hidden[:, :8] = True
    box, warp = framework.cutmix(batch.unlabelled_image, _generator()), Warp(theta, hidden)
    strong = torch.randn(3, 3, 32, 32, requires_grad=True)
    framework.matched_loss(found, strong.detach(), strong, box, warp).backward()
    assert strong.grad[..., 8:, :16].abs().sum() > 0
    assert strong.grad[..., :8, :].abs().sum() == 0
    assert strong.grad[..., 16:].abs().sum() == 0
    strong.grad = None
    probs = torch.rand(3, 3, 32, 32).softmax(1)
    framework.weak_to_strong(probs, strong, warp).backward()
    assert strong.grad[..., 8:, :16].abs().sum() > 0
    assert strong.grad[..., :8, :].abs().sum() + strong.grad[..., 16:].abs().sum() == 0


def test_geometry_of_volumes_is_refused():
    with pytest.raises(ValueError, match="images"):
        create("rpg", 1, 2, network="unet3d", strong_geometry=0.5)


PAIRS = ["mean_teacher", "fixmatch", "cps", "cct", "rdrop", "semsim", "rpg"]


@pytest.mark.parametrize("name", PAIRS)
def test_one_interface_serves_every_framework(name, disc_batch, monkeypatch):
    seen = []
    original = MetaSSL.unlabelled

    def spy(self, pairs):
        seen.extend(pairs)
        return original(self, pairs)

    monkeypatch.setattr(MetaSSL, "unlabelled", spy)
    framework = _framework(name, metassl=True)
    losses = framework.losses(disc_batch(), 0.9, _generator())
    assert losses["unlabelled"] > 0
    assert losses["labelled_regions"] > 0
    assert seen
    for pair in seen:
        assert not pair.reference_probs.requires_grad
        assert pair.supervised_logits.requires_grad
        assert 0 <= pair.index < framework.reference_predictions


def test_plain_prediction_is_made_without_the_side_branch():
    framework = _framework("semsim")
    image = torch.randn(2, 1, 33, 40)
    expected = framework.predict(image).plain
    calls = []
    framework.fusion.register_forward_hook(lambda *_: calls.append(1))
    found = framework.predict_plain(image)
    assert not calls
    torch.testing.assert_close(found, expected)


def test_counters_let_a_combined_run_go_on(disc_batch):
    torch.manual_seed(0)
    framework = create("combined", 1, 3, channels=(4, 8, 8, 16), fusion_width=16)
    framework.losses(disc_batch(), 0.9, _generator())
    assert framework.counters() == {"steps": 1}
    other = create("combined", 1, 3, channels=(4, 8, 8, 16), fusion_width=16)
    other.set_counters(framework.counters())
    assert other.counters() == {"steps": 1}
