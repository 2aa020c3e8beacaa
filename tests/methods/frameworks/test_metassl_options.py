"""MetaSSL: options away from their defaults, against losses written out on four regions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from napari_sslseg.methods.frameworks.metassl import MetaSSL, MetaSSLConfig, PredictionPair

from . import by_hand
from .small import generator, small

DEFAULTS: dict[str, Any] = {
    "formula": "phi",
    "beta": 3.0,
    "unlabelled_step": 0.6,
    "labelled_step": 0.3,
    "ratio": 1.25,
    "factor": 5.0,
    "labelled_ratio": 1.4,
    "normalisation": "weight_map",
    "unanimous": "halves",
    "rate": 0.5,
    "initial": 0.9,
    "cap": None,
}


def _limits(probs: Tensor, o: dict[str, Any]) -> Tensor:
    sure, said = probs.max(1)
    means = torch.stack([sure[said == c].sum() / ((said == c).sum() + 1) for c in range(3)])
    used = o["rate"] * means + (1 - o["rate"]) * o["initial"]
    return used if o["cap"] is None else used.clamp(max=o["cap"])


def _weights(split: str, o: dict[str, Any]) -> list[float]:
    """Return the weights of UC, US, DC and DS."""
    if o["formula"] == "phi":
        ranks = [
            float(torch.exp(torch.tensor(-((k * o[f"{split}_step"]) ** o["beta"]))))
            for k in range(4)
        ]
    elif split == "labelled":
        ranks = [o["labelled_ratio"] ** -k for k in range(4)]
    else:
        r, f = o["ratio"], o["factor"]
        ranks = [1, 1 / r, 1 / (r * r * f), 1 / (r * r * f * r * f * f)]
    return ranks if split == "unlabelled" else [ranks[0], ranks[1], ranks[3], ranks[2]]


def _by_hand(pair: PredictionPair, annotation: Tensor, split: str, o: dict[str, Any]) -> Tensor:
    probs, logits = pair.reference_probs, pair.supervised_logits
    said = probs.argmax(1)
    labelled = split == "labelled"
    target, compared = (annotation,) * 2 if labelled else (said, logits.argmax(1))
    masks = by_hand.masks(probs, compared, _limits(probs, o))
    assert all(bool(m.any()) for m in masks)
    weights, ce = _weights(split, o), by_hand.pixels(logits, target)
    if o["normalisation"] == "weight_map":
        weight = sum(w * m for w, m in zip(weights, masks, strict=True))
        return (weight * ce).sum() / weight.sum()
    background = masks[0] & (said == 0)
    parts = {
        "halves": [background, masks[0] & ~background],
        "whole": [masks[0]],
        "background": [background] * 2,
    }[o["unanimous"]]
    parts = [(m, weights[0]) for m in parts] + list(zip(masks[1:], weights[1:], strict=True))
    return sum(w * ce[m].sum() / (m.sum() + 1) for m, w in parts)


@pytest.mark.parametrize("split", ["unlabelled", "labelled"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cap": 0.6},
        {"rate": 0.2},
        {"initial": 0.3},
        {"rate": 0.0, "initial": 0.7},
        {"beta": 1.5},
        {"unlabelled_step": 0.4, "labelled_step": 0.5},
        {"formula": "ratio", "ratio": 1.5, "labelled_ratio": 1.9},
        {"formula": "ratio", "factor": 2.0, "labelled_ratio": 1.9},
        {"normalisation": "region_mean"},
        {"normalisation": "region_mean", "unanimous": "whole"},
        {"normalisation": "region_mean", "unanimous": "background"},
    ],
)
def test_losses_of_each_option_by_hand(split, options):
    g = generator(2)
    probs = (2 * torch.randn(2, 3, 12, 12, generator=g)).softmax(1)
    pair = PredictionPair(probs, torch.randn(2, 3, 12, 12, generator=g))
    annotation = torch.randint(0, 3, (2, 12, 12), generator=g)

    def loss(**options: Any) -> Tensor:
        part = MetaSSL(3, config=MetaSSLConfig(**options))
        part.observe([pair], [pair], annotation)
        if split == "unlabelled":
            return part.unlabelled([pair])
        return part.labelled([pair], annotation)

    expected = _by_hand(pair, annotation, split, DEFAULTS | options)
    torch.testing.assert_close(loss(**options), expected)
    assert not options or (loss() - expected).abs() > 1e-4


@pytest.mark.parametrize("metassl", [False, True])
def test_the_teacher_sees_what_the_student_sees_where_regions_weigh(metassl, disc_batch):
    framework = small("mean_teacher", metassl=metassl, noise=1.0)
    seen = []
    for network in (framework.network, framework.teacher):
        network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    batch = disc_batch()
    framework.losses(batch, 1.0, generator())
    student, teacher = seen
    assert torch.equal(student, torch.cat([batch.labelled_image, batch.unlabelled_image]))
    assert torch.equal(student, teacher) == metassl
