"""What becomes of the reads of a slice."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.label_carrying import Pyramids
from napari_sslseg.methods.label_decision import Decider, Mixed
from napari_sslseg.methods.propagation_result import PropagationConfig
from napari_sslseg.methods.propagation_sources import Sources

SIZE = 16


def sources_of(depth: int, inked: list[int], thickness: float = 1.0) -> Sources:
    """Return the sources of a square that the image shows as well as the inked slices."""
    labels = torch.zeros(depth, SIZE, SIZE, dtype=torch.uint8)
    labels[:, 4:12, 4:12] = 1
    generator = torch.Generator().manual_seed(0)
    image = labels[:, None] + 0.1 * torch.randn(depth, 1, SIZE, SIZE, generator=generator)
    ink = torch.full_like(labels, 255)
    ink[inked] = labels[inked]
    everything, spacing = slice(0, SIZE), (thickness, 1.0, 1.0)
    where = (torch.device("cpu"), everything, everything)
    return Sources(image, ink, 2, PropagationConfig(), None, *where, 1, False, (), spacing)


def share_of_the_cheaper_read(length: int, cost_a_slice: float) -> float:
    """Share of a read of class 1, half way; the other names class 0 and has gathered more cost."""
    decider = Decider(sources_of(length + 1, [0, length]))
    ahead, back = torch.zeros(2, 1, 3, SIZE, SIZE)
    ahead[:, 1], back[:, 0], back[:, -1] = 1.0, 1.0, cost_a_slice * length
    return float(decider.mix([length // 2], (0, length), ahead, back).labels[0, 1, 0, 0])


def test_between_far_slices_the_cost_a_slice_decides():
    config = PropagationConfig()
    shares = [share_of_the_cheaper_read(length, 0.02) for length in (10, 20, 40)]
    expected = torch.tensor(0.02 / config.slice_cost_scale).sigmoid()
    assert shares == pytest.approx([float(expected)] * 3, abs=1e-5)


def test_between_close_slices_all_gathered_cost_does():
    config = PropagationConfig()
    expected = torch.tensor([0.02 * n / config.cost_scale for n in (2, 4)]).sigmoid()
    shares = [share_of_the_cheaper_read(length, 0.02) for length in (2, 4)]
    assert shares == pytest.approx(expected.tolist(), abs=1e-5)


def doubted_object(sources: Sources, z: int, stretch: tuple[int, int]) -> float:
    """Chance of the object at its middle, of which the reads know nothing."""
    doubt = torch.full((1, 2, SIZE, SIZE), 0.5)
    pyramids = Pyramids(sources.features, 2, None)
    mixed = Mixed([z], doubt, doubt[:, 0], None)
    return float(Decider(sources).decide(stretch, mixed, pyramids)[0, 1, 7, 7])


def test_the_appearance_counts_more_the_farther_the_inked_slices_are():
    # Both show the same, so that the interpolated shape is the same evidence every time.
    close = doubted_object(sources_of(5, [0, 4]), 2, (0, 4))
    far = doubted_object(sources_of(31, [0, 30]), 15, (0, 30))
    thick = doubted_object(sources_of(5, [0, 4], thickness=7.5), 2, (0, 4))
    assert 0.5 < close < far
    assert thick == pytest.approx(far, abs=0.01)


def test_beyond_the_last_inked_slice_it_counts_little_however_far():
    sources = sources_of(31, [0])
    chances = [doubted_object(sources, z, (0, 31)) for z in (1, 15, 30)]
    between = doubted_object(sources_of(31, [0, 30]), 15, (0, 30))
    assert chances == pytest.approx([chances[0]] * 3, abs=0.05)
    assert 0.5 < max(chances) < between
