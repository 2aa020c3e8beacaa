"""What is carried from slice to slice, and what becomes of it at an open end."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.label_carrying import Carrier, Pyramids
from napari_sslseg.methods.propagation_inputs import Execution, InkedVolume
from napari_sslseg.methods.propagation_result import PropagationConfig
from napari_sslseg.methods.propagation_sources import Sources
from napari_sslseg.methods.slice_matching import match_pairs

SIZE = 24


def sources_of(sides: dict[int, tuple[int, int]], depth: int = 10) -> Sources:
    """Return the sources of noise with squares of two classes in some slices, inked wholly."""
    image = torch.randn(depth, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    ink = torch.full((depth, SIZE, SIZE), 255, dtype=torch.uint8)
    for z, (first, second) in sides.items():
        ink[z] = 0
        ink[z, 1 : 1 + first, 1 : 1 + first] = 1
        ink[z, 12 : 12 + second, 12 : 12 + second] = 2
    everything = slice(0, SIZE), slice(0, SIZE)
    return Sources(InkedVolume(image, ink, 3), everything, PropagationConfig(), Execution())


def test_cost_is_gathered_on_the_way():
    sources = sources_of({0: (8, 4), 4: (4, 8)})
    pyramids = Pyramids(sources, None)
    carried = dict(Carrier(sources, None, 1).carry(0, 4, pyramids))
    assert list(carried) == [1, 2, 3]
    first, second = (
        match_pairs(pyramids.of([z]), pyramids.of([z - 1]), sources.matching)[0] for z in (1, 2)
    )
    _, cost = first.carry(sources.ends[0])
    torch.testing.assert_close(carried[1][3], cost)
    gathered, more = second.carry(cost[None])
    torch.testing.assert_close(carried[2][3], gathered[0] + more)
    assert cost.min() > 0


@pytest.mark.parametrize(("start", "stop", "other"), [(6, 10, 2), (3, -1, 7)])
def test_what_shrank_towards_an_open_end_goes_on_and_what_grew_stays(start, stop, other):
    # The inscribed radius of the first class falls from 4 to 2 pixels in four slices.
    sources = sources_of({start: (4, 8), other: (8, 4)})
    states = torch.zeros(2, 7, SIZE, SIZE)  # labels, cost and distances
    states[:, :3] = torch.tensor([0.2, 0.5, 0.3])[:, None, None]
    states[:, 3:] = torch.tensor([9.0, 5.0, 0.25, 7.0])[:, None, None]
    step = 1 if stop > start else -1
    slices = [start + step, start + 3 * step]
    found = Carrier(sources, None, 2).fading(start, stop, slices, states)
    for labels, away in zip(found[:, :, 0, 0], (1, 3), strict=True):
        object_ = 0.5 * torch.tensor(0.25 - 0.5 * away + 1).sigmoid()
        torch.testing.assert_close(labels, torch.stack([0.7 - object_, object_, object_ * 0 + 0.3]))
