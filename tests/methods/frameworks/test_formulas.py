"""Each loss of a framework against its formula, written out on the framework's own predictions."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.augment import StrongAugmentation, WeakAugmentation
from napari_sslseg.methods.frameworks import create
from napari_sslseg.methods.frameworks.semsim_config import SemSimConfig
from napari_sslseg.methods.fusion import SpatialFusion
from napari_sslseg.methods.label_space import LabelSpace
from napari_sslseg.methods.losses import flattened_dice, masked_dice
from napari_sslseg.methods.ramps import warm_up

SMALL = {"channels": (4, 8, 8, 16), "dropout": (0.0,) * 4}
STILL = WeakAugmentation(flip=0, quarter_turns=0, free=0)
CALM = StrongAugmentation(jitter=0.8, blur=0, cutmix=0.0)


def _framework(name, **options):
    torch.manual_seed(0)
    if name == "semsim":
        options.setdefault("fusion_width", 16)
    return create(name, 1, 3, **{**SMALL, "weak": STILL, "strong": CALM, **options})


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _half(framework, confidence):
    """Put the threshold where half of the pixels reach it."""
    ordered = confidence.flatten().sort().values
    middle = ordered.numel() // 2
    least = ordered[middle - 1 : middle + 1].mean().item()
    framework.config = replace(framework.config, threshold=least)
    return confidence >= least


def _semsim(batch, **options):
    framework = _framework("semsim", feature_dropout=0.0, **options).eval()
    batch = batch.normalised()
    return framework, batch, framework.views(batch, _generator())


def _dice_by_hand(probs, target, mask):
    """Return the masked Dice loss, class by class, over pixels that count."""
    terms = []
    for c in range(probs.shape[1]):
        p, g = probs[:, c][mask], (target == c)[mask].float()
        terms.append(1 - (2 * (p * g).sum() + 1e-5) / ((p * p).sum() + g.sum() + 1e-5))
    return sum(terms) / len(terms)


def test_published_settings_are_the_defaults():
    c = SemSimConfig()
    assert (c.threshold, c.sharpness, c.prototype_regions) == (0.95, 1000, 4)
    assert (c.unlabelled, c.intra, c.cross) == (0.5, 0.25, 0.25)
    assert (c.fusion_width, c.grid, c.feature_dropout) == (128, 56, 0.5)
    assert (c.fusion, c.fusion_place, c.second_view) == ("spatial", "side", True)


def test_weak_to_strong_term_by_hand(disc_batch):
    framework, _, views = _semsim(disc_batch())
    probs = views.weak_logits.softmax(1)
    confidence, target = probs.max(1)
    mask = _half(framework, confidence)
    expected = _dice_by_hand(views.strong_logits.softmax(1), target, mask)
    torch.testing.assert_close(framework.weak_to_strong(probs, views.strong_logits), expected)


def test_intra_image_term_by_hand(disc_batch):
    framework, _, views = _semsim(disc_batch())

    def rectified(logits, fused):
        small = F.interpolate(logits, fused.shape[2:], mode="bilinear", antialias=True)
        f = F.normalize(fused.flatten(2), dim=1)
        m = torch.softmax(torch.einsum("bdi,bdj->bij", f, f) / 0.1, dim=2)
        p = small.flatten(2)
        return (p + torch.einsum("bcj,bij->bci", p, m)).view_as(small).softmax(1)

    weak = rectified(views.weak_logits, views.weak_fused)
    strong = rectified(views.strong_logits, views.strong_fused)
    confidence, target = weak.max(1)
    mask = _half(framework, confidence)
    found = framework.intra_image(framework.weak_targets(views)[1], views)
    torch.testing.assert_close(found, _dice_by_hand(strong, target, mask), rtol=1e-4, atol=1e-5)


def test_cross_image_term_by_hand(disc_batch):
    framework, batch, views = _semsim(disc_batch(), threshold=0.5, cross_temperature=0.05)
    labels = F.interpolate(batch.labelled_target[:, None].float(), (8, 8), mode="nearest-exact")
    labels = labels[:, 0].long()
    fused = views.labelled_fused
    images, classes, sides = 2, 3, 2  # 8 pixels, 4 cells of 2

    def prototype(j, c, row, column):
        inside = torch.zeros(8, 8, dtype=torch.bool)
        inside[row * sides : (row + 1) * sides, column * sides : (column + 1) * sides] = True
        own = labels[j] == c
        chosen = own & inside if (own & inside).any() else own
        return fused[j][:, chosen].mean(1) if own.any() else None

    table = {
        (j, c, r, k): prototype(j, c, r, k)
        for j in range(images)
        for c in range(classes)
        for r in range(4)
        for k in range(4)
    }

    def asked(feature, row, column):
        """Return the probabilities and the agreement at one pixel (Eqs. 8 to 12)."""
        m = torch.stack(
            [
                torch.stack(
                    [
                        F.cosine_similarity(feature, table[j, c, row, column], dim=0)
                        for c in range(classes)
                    ]
                )
                for j in range(images)
            ]
        )
        e = (m / 0.05).exp().sum(0)
        q = m.softmax(1)
        mean = q.mean(0)
        kl = (q * (q / mean).log()).sum(1)
        return e / e.sum(), torch.exp(-1000 * kl).mean()

    assert all(v is not None for v in table.values())
    total, pixels = 0.0, 0
    for b in range(3):
        for y in range(8):
            for x in range(8):
                weak, agreement = asked(views.weak_fused[b, :, y, x], y // sides, x // sides)
                learner, _ = asked(views.second_fused[b, :, y, x], y // sides, x // sides)
                if weak.max() >= 0.5:
                    total = total - agreement * learner[weak.argmax()].log()
                    pixels += 1
    assert 0 < pixels < 192
    found = framework.cross_image(batch, views)
    torch.testing.assert_close(found, total / (3 * 64), rtol=2e-3, atol=1e-5)


def test_interaction_of_scales_is_a_pre_norm_transformer_block():
    torch.manual_seed(0)
    fusion = SpatialFusion((4, 8, 16), width=32, windows=1).eval()
    stages = [torch.randn(1, c, 4 * f, 4 * f) for c, f in ((4, 4), (8, 2), (16, 1))]
    with torch.no_grad():
        aligned = [conv(s) for conv, s in zip(fusion.align, stages, strict=True)]
        tokens = torch.cat([a.flatten(2).transpose(1, 2) for a in aligned], 1)
        assert tokens.shape[1] == 16**2 + 8**2 + 4**2
        n = fusion.norm1(tokens)
        q, k, v = F.linear(n, fusion.attention.in_proj_weight, fusion.attention.in_proj_bias).chunk(
            3, 2
        )
        mixed = (q @ k.transpose(1, 2) / math.sqrt(32)).softmax(2) @ v  # one head for 32 channels
        tokens = tokens + fusion.attention.out_proj(mixed)
        tokens = tokens + fusion.mlp(fusion.norm2(tokens))
        fine, middle, coarse = tokens.split([256, 64, 16], 1)
        maps = [
            t.transpose(1, 2).reshape(1, 32, side, side)
            for t, side in ((fine, 16), (middle, 8), (coarse, 4))
        ]
        at_middle = [F.interpolate(m, (8, 8), mode="bilinear") for m in (maps[0], maps[2])]
        expected = fusion.merge(torch.cat([at_middle[0], maps[1], at_middle[1]], 1))
        torch.testing.assert_close(fusion(stages), expected, rtol=1e-4, atol=1e-5)


TOTALS = {
    "mean_teacher": (0.0, 0.4),
    "fixmatch": (0.0, 0.2),
    "unimatch": (0.0, 0.0),
    "cps": (0.0, 0.4),
    "cct": (0.0, 0.4),
    "rdrop": (0.0, 0.4),
}


@pytest.mark.parametrize("metassl", [False, True])
@pytest.mark.parametrize("name", TOTALS)
def test_total_is_the_supervised_loss_and_the_ramped_others(name, metassl, disc_batch):
    losses = _framework(name, metassl=metassl).losses(disc_batch(), 0.15, _generator())
    others = [losses[k] for k in ("unlabelled", "labelled_regions") if k in losses]
    assert len(others) == 1 + metassl
    expected = losses["supervised"] + warm_up(0.15, *TOTALS[name]) * sum(others)
    if name == "unimatch":
        expected = expected / 2
    torch.testing.assert_close(losses["total"], expected)


def test_streams_of_the_strong_baseline_count_half_and_a_quarter_each(disc_batch, monkeypatch):
    framework = _framework("unimatch")
    values = iter([1.0, 4.0, 16.0])
    monkeypatch.setattr(framework, "_stream", lambda *_: torch.tensor(next(values)))
    losses = framework.losses(disc_batch(), 0.5, _generator())
    assert losses["unlabelled"].item() == 0.25 * 1 + 0.25 * 4 + 0.5 * 16
    # (L_x + 1/4 L_s1 + 1/4 L_s2 + 1/2 L_fp) / 2
    published = (losses["supervised"] + 0.25 * 1 + 0.25 * 4 + 0.5 * 16) / 2
    torch.testing.assert_close(losses["total"], published)


@pytest.mark.parametrize("overlapping", [False, True])
def test_thresholded_term_of_reference_guidance_by_hand(overlapping):
    framework = _framework("rpg", threshold=0.8, overlapping=overlapping)
    torch.manual_seed(1)
    z, target = torch.randn(2, 3, 4, 4), 2 * torch.randn(2, 3, 4, 4)
    probs = target.sigmoid() if overlapping else target.softmax(1)
    total = count = 0.0
    if overlapping:  # sure of yes, or of no, or left out
        for p, logit in zip(probs.flatten(), z.flatten(), strict=True):
            if p >= 0.8 or p <= 0.2:
                total += F.softplus(-logit if p >= 0.8 else logit)
                count += 1
    else:
        for b in range(2):
            for i in range(16):
                p = probs[b].flatten(1)[:, i]
                if p.max() >= 0.8:
                    total -= z[b].flatten(1)[:, i].log_softmax(0)[p.argmax()]
                    count += 1
    assert 0 < count < probs.numel()
    torch.testing.assert_close(framework.weak_to_strong(probs, z, None), total / count)


def test_whole_supervised_loss_by_hand():
    logits = torch.tensor([[0.0, 1.0], [2.0, -1.0]]).view(1, 2, 1, 2)
    target = torch.tensor([[[1, 255]]])
    p = torch.tensor([0.0, 2.0]).softmax(0)
    dice = 1 - (2 * p[1] + 1e-5) / (p[1] ** 2 + 1 + 1e-5)  # of the foreground alone
    found = LabelSpace(2).whole_supervised_loss(logits, target)
    torch.testing.assert_close(found, -p[1].log() + dice)
    sets = torch.tensor([[1, 255], [0, 1]]).view(1, 2, 1, 2)
    s = logits.sigmoid()[0, :, 0]
    terms = torch.stack([s[0, 0].log(), (1 - s[1, 0]).log(), s[1, 1].log()])
    overlap, size = s[0, 0] + s[1, 1], s[0, 0] ** 2 + s[1, 0] ** 2 + s[1, 1] ** 2 + 2
    found = LabelSpace(2, overlapping=True).whole_supervised_loss(logits, sets)
    torch.testing.assert_close(found, -terms.mean() + 1 - (2 * overlap + 1) / (size + 1))


def test_flattened_dice_is_by_image_and_masked_dice_without_background_by_class():
    probs, sets = torch.rand(2, 3, 4), torch.randint(0, 2, (2, 3, 4))
    each = [flattened_dice(probs[i : i + 1], sets[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(flattened_dice(probs, sets), sum(each) / 2)
    target = torch.zeros(1, 4, dtype=torch.long)
    perfect = torch.zeros(1, 3, 4)
    perfect[:, 0] = 1
    assert masked_dice(perfect, target, background=False).item() == pytest.approx(0, abs=1e-6)
    assert masked_dice(1 - perfect, target, background=False).item() == pytest.approx(1, abs=1e-4)


def test_reference_guidance_can_use_its_released_supervised_loss(disc_batch):
    half, whole = (
        _framework("rpg", supervised_loss=form).losses(disc_batch(), 0.0, _generator())
        for form in ("half", "whole")
    )
    assert whole["supervised"] > 1.5 * half["supervised"]
