"""The running average of weights is that of torch, without its count on the processor."""

from __future__ import annotations

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_sslseg.methods.frameworks import registry
from napari_sslseg.training.weight_average import WeightAverage


def test_the_average_is_that_of_torch():
    torch.manual_seed(0)
    framework = registry.create("supervised", 1, 2, channels=(4, 8))
    own = WeightAverage(framework, 0.9)
    theirs = AveragedModel(framework, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for _ in range(3):
        with torch.no_grad():
            for parameter in framework.parameters():
                parameter.add_(torch.randn_like(parameter))
        own.update(framework)
        theirs.update_parameters(framework)
    found, expected = own.module.state_dict(), theirs.module.state_dict()
    for name, value in expected.items():
        if value.is_floating_point():
            assert torch.allclose(found[name], value, atol=1e-6), name
    assert not any(p.requires_grad for p in own.module.parameters())


def test_the_first_update_takes_the_weights_over_and_a_saved_average_goes_on():
    framework = registry.create("supervised", 1, 2, channels=(4, 8))
    average = WeightAverage(framework, 0.5)
    with torch.no_grad():
        for parameter in framework.parameters():
            parameter.fill_(2.0)
    average.update(framework)
    two, three = torch.tensor(2.0), torch.tensor(3.0)
    assert all(torch.allclose(p, two) for p in average.module.parameters())
    other = WeightAverage(framework, 0.5)
    other.load_state_dict(average.state_dict())
    with torch.no_grad():
        for parameter in framework.parameters():
            parameter.fill_(4.0)
    other.update(framework)
    assert all(torch.allclose(p, three) for p in other.module.parameters())


def test_running_statistics_are_averaged_and_counts_are_taken_over():
    framework = registry.create("supervised", 1, 2, channels=(4, 8))
    average = WeightAverage(framework, 0.5)
    for value in (2.0, 4.0):
        for buffer in framework.buffers():
            buffer.fill_(value)
        average.update(framework)
    for buffer in average.module.buffers():
        assert (buffer == (3 if buffer.is_floating_point() else 4)).all()
