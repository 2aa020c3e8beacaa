"""Intensities of any image on one scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_sslseg.methods.intensity import (
    NotFiniteError,
    fit_scales,
    sampling_step,
    standardise,
)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def test_channels_have_unit_spread_whatever_their_scale():
    image = np.concatenate((noise(4, 1, 30, 30) * 900 + 50, noise(4, 1, 30, 30) * 0.01), 1)
    result = standardise(image)
    assert result.dtype == torch.float32
    assert torch.allclose(result.mean((0, 2, 3)), torch.zeros(2), atol=1e-2)
    assert torch.allclose(result.std((0, 2, 3)), torch.ones(2), atol=3e-2)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "u8", "f8", ">f4", ">u2"])
def test_scale_offset_and_type_do_not_matter(dtype):
    image = (np.clip(noise(3, 1, 20, 20), -3, 3) * 20 + 100).round()
    expected = standardise(image.astype(np.float32))
    assert torch.allclose(standardise(image.astype(dtype)), expected, atol=1e-4)
    assert torch.allclose(standardise(image * 7e6 + 1e9), expected, atol=1e-4)


def test_a_large_offset_costs_no_precision():
    image = noise(3, 1, 20, 20)
    assert torch.allclose(standardise(image + 1e9), standardise(image), atol=1e-4)
    whole = np.arange(2**30, 2**30 + 400, dtype=np.int32).reshape(1, 1, 20, 20)
    assert len(standardise(whole).unique()) == 400


def test_constant_and_binary_channels():
    assert torch.equal(standardise(np.full((2, 1, 4, 4), 7)), torch.zeros(2, 1, 4, 4))
    mask = np.zeros((4, 1, 50, 50), bool)
    mask[1, 0, 3, 4] = True  # less than the percentiles see, and perhaps than the sample does
    found = standardise(mask)
    assert len(found.unique()) == 2
    assert found[1, 0, 3, 4] > 10


def test_an_outlier_takes_not_the_whole_range():
    image = noise(4, 1, 50, 50)
    plain = standardise(image)
    for outlier in (1e6, 1e30, 3e38):
        image[0, 0, 0, 0] = outlier
        found = standardise(image)
        assert found[0, 0, 0, 0] < 100
        assert torch.allclose(found[1:], plain[1:], atol=2e-2)


def test_between_the_percentiles_values_are_scaled_and_beyond_them_compressed():
    image = np.arange(100_001.0).reshape(1, 1, -1, 1) / 1000  # 0 to 100: percentiles .5 and 99.5
    found = standardise(image).flatten().double()
    unit = (found[60_000] - found[40_000]) / 20
    inner = found[500:99_500].diff() * 1000
    assert torch.allclose(inner, unit.expand_as(inner), rtol=1e-2)
    # A full range beyond: log(2) of a range.
    scale = fit_scales(lambda: iter([image.reshape(-1, 1)]), (100_001,))[0]
    far = scale.apply(np.array([99.5 + 99.0, 0.5 - 99.0]))
    ends = scale.apply(np.array([99.5, 0.5]))
    expected = 99 * math.log(2) / scale.spread
    assert far - ends == pytest.approx([expected, -expected], rel=1e-4)


def test_small_bright_objects_keep_their_differences():
    image = noise(10, 1, 60, 60)
    image[4, 0, 10:20, 10:16] += 10  # both together fill .3 % of the volume
    image[4, 0, 30:40, 30:36] += 20
    found = standardise(image)[4, 0]
    assert found[30:40, 30:36].min() > found[10:20, 10:16].max()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("share", [0.001, 0.7])
def test_voxels_without_a_number_count_as_the_lowest_value_of_their_channel(value, share):
    image = noise(4, 2, 40, 40) * [[[1.0]], [[50.0]]] + 7
    gaps = np.random.default_rng(1).random(image.shape) < share
    broken, filled = image.copy(), image.copy()
    broken[gaps] = value
    for c in range(2):
        filled[:, c][gaps[:, c]] = image[:, c][~gaps[:, c]].min()
    assert torch.equal(standardise(broken), standardise(filled))


def test_a_channel_without_any_number_is_refused_by_its_number():
    image = noise(2, 3, 8, 8)
    image[:, 1] = np.nan
    with pytest.raises(NotFiniteError, match=r"^Channel 2 of 3 holds no number in any voxel"):
        standardise(image)
    columns = np.moveaxis(image, 1, -1).reshape(-1, 3)
    with pytest.raises(NotFiniteError, match=r"^Channel 2 of 3 holds no number in any voxel"):
        fit_scales(lambda: iter([columns]), (2, 8, 8))
    with pytest.raises(NotFiniteError, match=r"^The image holds no number in any voxel"):
        standardise(image[:, 1:2])


def test_the_largest_numbers_are_scaled():
    assert torch.isfinite(standardise(np.full((1, 1, 2, 2), 3e38, np.float32) * [[-1], [1]])).all()


@pytest.mark.parametrize("shape", [(100, 256, 256), (31, 62, 93), (7, 11, 13), (500, 512, 512)])
def test_a_sample_looks_at_all_columns(shape):
    step = sampling_step(shape, most=2000)
    assert math.prod(shape) / step <= 2100
    columns = np.arange(0, math.prod(shape), step) % shape[-1]
    assert len(np.unique(columns)) > 0.9 * shape[-1]


def test_what_is_read_in_pieces_is_scaled_alike():
    image = noise(6, 1, 16, 16)
    image[2] += 5
    (whole,) = fit_scales(lambda: iter([image.reshape(-1, 1)]), (6, 16, 16))
    pieces = image.reshape(-1, 1)
    (found,) = fit_scales(lambda: iter([pieces[:100], pieces[100:101], pieces[101:]]), (6, 16, 16))
    assert found == pytest.approx(whole)
    assert np.allclose(whole.apply(image), standardise(image).numpy(), atol=1e-5)
