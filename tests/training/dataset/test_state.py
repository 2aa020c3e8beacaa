"""States of runs: which can be gone on from."""

from __future__ import annotations

import torch

from napari_sslseg.training.dataset.state import random_states, set_random_states


def test_generators_of_apples_gpu_are_kept_too(monkeypatch):
    held = torch.arange(3, dtype=torch.uint8)
    given: list[torch.Tensor] = []
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: held)
    monkeypatch.setattr(torch.mps, "set_rng_state", given.append)
    mps, cpu = torch.device("mps"), torch.device("cpu")
    states = random_states(mps)
    assert torch.equal(states["mps"], held)
    assert "mps" not in random_states(cpu)
    set_random_states(states, cpu)
    set_random_states(random_states(cpu), mps)
    assert given == []
    set_random_states(states, mps)
    assert len(given) == 1
    assert torch.equal(given[0], held)
