"""Cross pseudo supervision: who teaches whom."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks.metassl import PredictionPair

from .small import generator, small, touched


@pytest.mark.parametrize("metassl", [False, True])
@pytest.mark.parametrize("learner", [0, 1])
def test_a_network_of_a_pair_is_not_moved_by_what_it_teaches(metassl, learner, disc_batch):
    framework = small("cps", metassl=metassl)
    batch = disc_batch().normalised()
    nets = (framework.network, framework.second)
    logits = [net(batch.unlabelled_image) for net in nets]
    pair = PredictionPair(logits[1 - learner].softmax(1), logits[learner], 1 - learner)
    framework.metassl.observe([pair])
    framework.metassl.unlabelled([pair]).backward()
    assert touched(nets[learner])
    assert not touched(nets[1 - learner])


def test_labelled_pixels_can_be_partitioned_by_the_other_network(disc_batch):
    values = {}
    for choice in ("own", "other"):
        framework = small("cps", metassl=True, labelled_reference=choice).eval()
        with torch.no_grad():  # a network that is sure, and one that is not
            framework.second.classifier.bias[2] += 5
        batch = disc_batch().normalised()
        logits = [net(batch.labelled_image) for net in (framework.network, framework.second)]
        turn = choice == "other"
        pairs = [
            PredictionPair(logits[k].softmax(1), logits[1 - k if turn else k], k) for k in (0, 1)
        ]
        losses = framework.losses(batch, 1.0, generator())
        expected = framework.metassl.labelled(pairs, batch.labelled_target)
        torch.testing.assert_close(losses["labelled_regions"], expected)
        values[choice] = losses["labelled_regions"].item()
    assert values["own"] != values["other"]
