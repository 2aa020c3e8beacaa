"""SemSim: options away from their defaults, against losses written out without its own parts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.augment_cutmix import CutMix
from napari_sslseg.methods.frameworks import Batch
from napari_sslseg.methods.frameworks.semsim_views import Views

from . import by_hand
from .small import CALM, LIVELY, generator, outspoken, pasted, small, watched

SIDE, WIDTH = 8, 5


def _views(weak_logits=None):
    """Return predictions of two labelled and three unlabelled images, all on one grid.

    Only some views have boxes, so that what is mixed has other means, too.
    """
    g = generator(3)

    def drawn(*shape, of=torch.randn):
        return of(*shape, SIDE, SIDE, generator=g)

    boxes = []
    for image in (0, 2):
        mask = torch.zeros(3, SIDE, SIDE, dtype=torch.bool)
        mask[image, 1:6, 2:7] = True
        boxes.append(CutMix(mask, torch.tensor([1, 2, 0])))
    labelled = drawn(2, 3)
    weak = 2 * drawn(3, 3) if weak_logits is None else weak_logits
    return Views(
        labelled_logits=labelled,
        labelled_fused=drawn(2, WIDTH, of=torch.rand),
        clean_labelled=labelled.softmax(1),
        labelled_decoder=labelled,
        weak_logits=weak,
        weak_decoder=weak,
        weak_fused=drawn(3, WIDTH, of=torch.rand),
        strong_logits=2 * drawn(3, 3),
        strong_fused=drawn(3, WIDTH, of=torch.rand),
        second_fused=drawn(3, WIDTH, of=torch.rand),
        first_box=boxes[0],
        second_box=boxes[1],
    )


def _batch():
    labels = torch.randint(0, 3, (2, SIDE, SIDE), generator=generator(1))
    labels[:, 0] = 255
    return Batch(torch.zeros(2, 1, SIDE, SIDE), labels, torch.zeros(3, 1, SIDE, SIDE))


def _rectified(logits, fused, temperature=0.1):
    f = fused.flatten(2)
    cosines = torch.cosine_similarity(f[..., :, None], f[..., None, :], dim=1)
    z = logits.flatten(2)
    read = torch.einsum("bcj,bij->bci", z, (cosines / temperature).softmax(-1))
    return (z + read).view_as(logits)


def _dice(probs, target_probs, threshold, soft=False, absent=True):
    """Return the masked Dice loss, class by class, over the pixels that reach the threshold."""
    mask = target_probs.amax(1) >= threshold
    assert 0 < mask.sum() < mask.numel()
    hard = F.one_hot(target_probs.argmax(1), 3).movedim(-1, 1).float()
    goal, terms = target_probs if soft else hard, []
    for c in range(3):
        p, g = probs[:, c][mask], goal[:, c][mask]
        if absent or g.any():
            size = p.square().sum() + g.square().sum()
            terms.append(1 - (2 * (p * g).sum() + 1e-5) / (size + 1e-5))
    assert absent == (len(terms) == 3)
    return sum(terms) / len(terms)


def _without_class_two(logits):
    return logits - 50 * torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)


@pytest.mark.parametrize("options", [{"targets": "soft"}, {"dice_of_absent": False}])
def test_plain_term_of_each_option_by_hand(options):
    framework, views = small("semsim", threshold=0.6, **options), _views()
    weak, how = views.weak_logits, {"soft": options.get("targets") == "soft"}
    if "dice_of_absent" in options:
        weak, how = _without_class_two(weak), {"absent": False}
    expected = _dice(views.strong_logits.softmax(1), weak.softmax(1), 0.6, **how)
    found = framework.weak_to_strong(weak.softmax(1), views.strong_logits)
    torch.testing.assert_close(found, expected)
    plain = small("semsim", threshold=0.6).weak_to_strong(weak.softmax(1), views.strong_logits)
    assert (plain - expected).abs() > 1e-3


@pytest.mark.parametrize(
    "options", [{"affinity_temperature": 0.02}, {"targets": "soft"}, {"dice_of_absent": False}]
)
def test_intra_term_of_each_option_by_hand(options):
    absent = options.get("dice_of_absent", True)
    drawn = _views()
    views = drawn if absent else _views(_without_class_two(drawn.weak_logits))
    temperature = options.get("affinity_temperature", 0.1)
    weak = _rectified(views.weak_logits, views.weak_fused, temperature).softmax(1)
    strong = _rectified(views.strong_logits, views.strong_fused, temperature).softmax(1)
    soft = options.get("targets") == "soft"
    expected = _dice(strong, pasted(weak, views.first_box), 0.6, soft, absent)

    def term(**options):
        framework = small("semsim", threshold=0.6, **options)
        return framework.intra_image(framework.weak_targets(views)[1], views)

    torch.testing.assert_close(term(**options), expected)
    assert (term() - expected).abs() > 1e-3


def test_regions_of_the_intra_term_alone_are_those_of_the_thresholds_of_rectified_predictions():
    options = {"metassl": True, "heterogeneous": ("intra",), "threshold": 0.6}
    framework, views = small("semsim", **options), _views()
    limits = torch.tensor([0.5, 0.6, 0.7])
    framework.thresholds.values[0, 0] = 0.2
    framework.thresholds.values[1, 0] = limits
    weak, rectified = framework.weak_targets(views)
    target = pasted(rectified, views.first_box)
    learner = _rectified(views.strong_logits, views.strong_fused)
    found = by_hand.masks(target, learner.argmax(1), limits)
    expected = by_hand.weight_map(learner, target.argmax(1), found, by_hand.FALLING)
    torch.testing.assert_close(framework.intra_image(rectified, views), expected)
    # The plain term, which is not named, keeps its threshold.
    expected = _dice(views.strong_logits.softmax(1), weak, 0.6)
    torch.testing.assert_close(framework.weak_to_strong(weak, views.strong_logits), expected)


def _asked(fused, known, labels, regions=4, divergence="softmax", sharpness=1000.0):
    """Return what prototypes answer, and how alike (Eqs. 7 to 12), in double precision."""
    side, known = SIDE // regions, known.double()
    means = known.new_zeros(2, 3, WIDTH, SIDE, SIDE)
    for j in range(2):
        for c in range(3):
            own = labels[j] == c
            for y in range(0, SIDE, side):
                for x in range(0, SIDE, side):
                    cell = torch.zeros_like(own)
                    cell[y : y + side, x : x + side] = True
                    chosen = own & cell if (own & cell).any() else own
                    mean = known[j][:, chosen].mean(1)
                    means[j, c, :, y : y + side, x : x + side] = mean[:, None, None]
    m = torch.cosine_similarity(fused.double()[:, None, None], means, dim=3)
    e = (m / 0.1).exp().sum(1)
    q = m.softmax(2) if divergence == "softmax" else m
    dissent = (q * (q / q.mean(1, keepdim=True)).log()).sum(2)
    return e / e.sum(1, keepdim=True), (-sharpness * dissent).exp().clamp(max=1).mean(1)


@pytest.mark.parametrize(
    "options",
    [{"prototype_regions": 2}, {"divergence": "raw"}, {"cross_mask": "weak"}],
)
def test_cross_term_of_each_option_by_hand(options):
    views, batch = _views(), _batch()
    shared = {"sharpness": 20.0, "cross_threshold": 0.6}
    box, how = views.second_box, {"sharpness": 20.0}
    how |= {"regions": options.get("prototype_regions", 4)}
    how |= {"divergence": options.get("divergence", "softmax")}
    known = (views.labelled_fused, batch.labelled_target)
    weak, agreement = _asked(views.weak_fused, *known, **how)
    learner, _ = _asked(views.second_fused, *known, **how)
    sure, said = pasted(weak, box).max(1)
    if "cross_mask" in options:
        sure = pasted(views.weak_logits.softmax(1), box).amax(1)
    mask = sure >= 0.6
    assert 0 < mask.sum() < mask.numel()
    ce = -learner.gather(1, said[:, None])[:, 0].log()
    expected = (mask * pasted(agreement, box) * ce).mean().float()
    found = small("semsim", **shared, **options).cross_image(batch, views)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    plain = small("semsim", **shared).cross_image(batch, views)
    assert (plain - expected).abs() > 1e-3


def _on_the_threshold():
    """Return weak logits whose likeliest class has one half exactly, or less."""
    half = torch.tensor([0.0, 0.0, -200.0]).view(1, 3, 1, 1).expand(3, 3, SIDE, SIDE).clone()
    half[..., 4:] = 0
    assert half.softmax(1).amax(1)[..., :4].eq(0.5).all()
    return half


def test_a_pixel_on_the_threshold_is_taught_by_all_terms():
    views, batch = _views(_on_the_threshold()), _batch()
    options = {"threshold": 0.5, "cross_mask": "weak", "sharpness": 0.0}
    framework = small("semsim", **options)
    probs = views.weak_logits.softmax(1)
    expected = _dice(views.strong_logits.softmax(1), probs, 0.5)
    torch.testing.assert_close(framework.weak_to_strong(probs, views.strong_logits), expected)
    weak, _ = _asked(views.weak_fused, views.labelled_fused, batch.labelled_target)
    learner, _ = _asked(views.second_fused, views.labelled_fused, batch.labelled_target)
    said = pasted(weak, views.second_box).argmax(1)
    ce = -learner.gather(1, said[:, None])[:, 0].log()
    ce[pasted(probs, views.second_box).amax(1) < 0.5] = 0
    torch.testing.assert_close(framework.cross_image(batch, views), ce.mean().float())


def test_similarities_of_a_step_are_of_the_grid_that_is_asked_for(disc_batch):
    framework = small("semsim", grid=4, strong=CALM).eval()
    batch = disc_batch().normalised()
    views = framework.views(batch, generator())
    for images, found in (
        (batch.labelled_image, (views.labelled_fused,)),
        (batch.unlabelled_image, (views.weak_fused, views.strong_fused, views.second_fused)),
    ):
        expected = F.avg_pool2d(framework.fusion(framework.network.encode(images)[1:4]), 2)
        assert expected.shape[2:] == (4, 4)
        for each in found:
            torch.testing.assert_close(each, expected)


def test_thresholds_of_a_step_are_of_predictions_that_no_box_has_mixed(disc_batch, monkeypatch):
    batch = disc_batch()
    framework = outspoken(small("semsim", strong=LIVELY), batch)
    framework.thresholds.values.fill_(0.9)
    _, boxes = watched(framework, monkeypatch)
    framework.losses(batch, 1.0, generator())
    with torch.no_grad():
        features = framework.network.encode(batch.unlabelled_image)
        weak = framework.network.decode(features)[0]
        fused = framework.fusion(features[1:4])
        small_ones = F.interpolate(weak, fused.shape[2:], mode="bilinear", antialias=True)
        own = framework.network(batch.labelled_image).softmax(1)
    plain, rectified = weak.softmax(1), _rectified(small_ones, fused).softmax(1)
    values = framework.thresholds.values
    for k, probs in enumerate((plain, rectified)):
        expected = by_hand.thresholds(probs)
        torch.testing.assert_close(values[k, 0], expected)
        assert (by_hand.thresholds(pasted(probs, boxes[0])) - expected).abs().max() > 1e-4
    torch.testing.assert_close(values[0, 1], by_hand.thresholds(own, batch.labelled_target))


def test_weights_of_all_parts_are_heard(disc_batch):
    weights = {"unlabelled": 0.7, "intra": 0.3, "cross": 0.2}
    framework = small("semsim", metassl=True, threshold=0.0, **weights)
    losses = framework.losses(disc_batch(), 0.5, generator())
    expected = losses["supervised"] + 0.7 * (losses["labelled_regions"] + losses["unlabelled"])
    expected = expected + 0.3 * losses["intra"] + 0.2 * losses["cross"]
    torch.testing.assert_close(losses["total"], expected / 2)
