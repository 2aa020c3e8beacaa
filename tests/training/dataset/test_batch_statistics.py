"""Batch statistics measured for weights that were never trained with."""

from __future__ import annotations

import torch
from torch import nn

from napari_sslseg.methods.frameworks import create
from napari_sslseg.training.dataset.batch_statistics import measure_statistics


def _semsim(**options):
    torch.manual_seed(0)
    return create("semsim", 1, 2, channels=(4, 8, 8, 16), fusion_width=16, **options)


def test_statistics_are_those_of_the_images_whatever_they_were_before():
    model = _semsim()
    model.eval()
    images = [5 + 3 * torch.randn(4, 1, 32, 32) for _ in range(3)]
    first = model.network.encoders[0][1]
    before = first.momentum
    first.running_mean.fill_(99)
    measure_statistics(model, images)
    with torch.no_grad():
        maps = [model.network.encoders[0][0](x) for x in images]
    expected = torch.stack([m.mean((0, 2, 3)) for m in maps]).mean(0)
    torch.testing.assert_close(first.running_mean, expected)
    expected = torch.stack([m.var((0, 2, 3)) for m in maps]).mean(0)
    torch.testing.assert_close(first.running_var, expected)
    assert first.momentum == before
    assert not any(m.training for m in model.modules())


def test_statistics_of_layers_that_do_not_predict_are_left():
    model = create("mean_teacher", 1, 2, channels=(4, 8))
    state = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    own = {k: v.clone() for k, v in model.network.state_dict().items()}
    measure_statistics(model, [torch.randn(2, 1, 16, 16)])
    assert all(torch.equal(v, state[k]) for k, v in model.teacher.state_dict().items())
    assert any(not torch.equal(v, own[k]) for k, v in model.network.state_dict().items())


def test_the_side_branch_is_measured_as_well_and_nothing_without_images():
    model = _semsim()
    norms = [m for m in model.fusion.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.running_mean.clone() for m in norms]
    measure_statistics(model, [])
    assert all(torch.equal(m.running_mean, b) for m, b in zip(norms, before, strict=True))
    measure_statistics(model, [torch.randn(2, 1, 32, 32)])
    assert all(not torch.equal(m.running_mean, b) for m, b in zip(norms, before, strict=True))


def test_dropout_does_not_act_while_statistics_are_measured():
    model = create("supervised", 1, 2, channels=(4, 8), dropout=(0.9, 0.9))
    images = torch.rand(2, 1, 16, 16)
    found = []
    for _ in range(2):
        measure_statistics(model, [images])
        found.append([b.clone() for b in model.buffers()])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)
