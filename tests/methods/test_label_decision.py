"""What becomes of the reads of a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from napari_sslseg.methods.label_carrying import Pyramids
from napari_sslseg.methods.label_decision import Decider, Mixed
from napari_sslseg.methods.propagation_inputs import Execution, InkedVolume
from napari_sslseg.methods.propagation_result import PropagationConfig
from napari_sslseg.methods.propagation_sources import Sources
from napari_sslseg.methods.shape_prior import interpolated_shapes

SIZE = 16


def sources_of(
    depth: int, inked: list[int], thickness: float = 1.0, empty: Sequence[int] = ()
) -> Sources:
    """Return the sources of a square that the image shows as well as the inked slices."""
    labels = torch.zeros(depth, SIZE, SIZE, dtype=torch.uint8)
    labels[:, 4:12, 4:12] = 1
    generator = torch.Generator().manual_seed(0)
    image = labels[:, None] + 0.1 * torch.randn(depth, 1, SIZE, SIZE, generator=generator)
    ink = torch.full_like(labels, 255)
    ink[inked] = labels[inked]
    volume = InkedVolume(image, ink, 2, (thickness, 1.0, 1.0), empty)
    everything = slice(0, SIZE), slice(0, SIZE)
    return Sources(volume, everything, PropagationConfig(), Execution())


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
    pyramids = Pyramids(sources, None)
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


@pytest.mark.parametrize("empty", [0, 10])
def test_a_read_from_an_empty_slice_counts_as_much_less_as_is_set(empty):
    decider = Decider(sources_of(11, [10 - empty], empty=[empty]))
    ahead, back = torch.zeros(2, 1, 3, SIZE, SIZE)
    (back, ahead)[empty == 0][:, 0] = 1.0
    (ahead, back)[empty == 0][:, 1] = 1.0
    found = decider.mix([5], (0, 10), ahead, back).labels[0, :, 0, 0]
    inked = 1 / (1 + PropagationConfig().empty_weight)
    torch.testing.assert_close(found, torch.tensor([1 - inked, inked]))


def test_reads_agree_as_often_as_draws_from_them_would():
    decider = Decider(sources_of(11, [0, 10]))
    ahead, back = torch.zeros(2, 1, 3, SIZE, SIZE)
    ahead[:, :2] = torch.tensor([0.6, 0.4])[:, None, None]
    back[:, :2] = torch.tensor([0.3, 0.7])[:, None, None]
    mixed = decider.mix([2], (0, 10), ahead, back)
    assert mixed.agreement[0, 0, 0].item() == pytest.approx(0.6 * 0.3 + 0.4 * 0.7)
    assert torch.equal(mixed.second, back[:, :2])
    assert torch.equal(decider.mix([8], (0, 10), ahead, back).second, ahead[:, :2])


def test_beyond_ink_without_background_the_object_alone_is_told_by_its_looks():
    sources = sources_of(9, [4], empty=[8])
    sources.background_met = False
    doubt = torch.full((2, 2, SIZE, SIZE), 0.5)
    pyramids = Pyramids(sources, None)
    found = Decider(sources).decide((-1, 4), Mixed([1, 2], doubt, doubt[:, 0], None), pyramids)
    evidence = sources.appearance.evidence(torch.stack([sources.features[z] for z in (1, 2)]))
    config = PropagationConfig()
    weight = config.appearance_weight + config.appearance_far / 3
    torch.testing.assert_close(found[:, 1], (weight * evidence[:, 1]).sigmoid())


def test_the_shape_between_two_slices_counts_as_much_as_they_overlap():
    sources = sources_of(9, [0, 8])
    sources.ends[8] = sources.ends[8].roll(2, -1)  # 48 pixels in common, of 80
    none = {"appearance_weight": 0.0, "appearance_far": 0.0, "looks_weight": 0.0}
    sources.config = replace(sources.config, **none)
    sources.smoothing = 0.0
    doubt = torch.full((1, 2, SIZE, SIZE), 0.5)
    pyramids = Pyramids(sources, None)
    found = Decider(sources).decide((0, 8), Mixed([2], doubt, doubt[:, 0], None), pyramids)
    shapes = interpolated_shapes(sources.distances(0), sources.distances(8), [0.25])
    expected = (sources.config.shape_weight * 0.6**sources.config.shape_power * shapes).softmax(1)
    torch.testing.assert_close(found, expected)
