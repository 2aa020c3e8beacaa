"""Grey values to show: as the file asks, as CT is looked at, or by percentiles."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_sslseg.volume.window import SOFT_TISSUE, default_window, sample_of

RNG = np.random.default_rng(0)


def ct(dtype=np.int16):
    values = RNG.choice([-1024, -1000, -100, 40, 60, 400], size=(20, 64, 64))
    return (values + RNG.integers(-9, 9, values.shape)).astype(dtype)


def test_what_the_file_asks_for_is_taken_where_it_shows_anything():
    assert default_window(ct(), "CT", (-1000.0, 500.0)) == (-1000.0, 500.0)
    assert default_window(ct(), "CT", (5000.0, 6000.0)) == SOFT_TISSUE
    assert default_window(ct(), "CT", (100.0, 100.0)) == SOFT_TISSUE


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_ct_is_recognized_by_its_hounsfield_units(dtype):
    assert default_window(ct(dtype)) == SOFT_TISSUE
    assert default_window(ct(), "CT") == SOFT_TISSUE
    assert default_window(ct(), "MR") != SOFT_TISSUE


def test_what_only_resembles_hounsfield_units_is_not_shown_as_ct():
    noise = np.random.default_rng(1)
    whole = noise.integers(-1000, 2000, (20, 30, 30))
    assert default_window(whole) == SOFT_TISSUE
    assert default_window(whole * 30) != SOFT_TISSUE  # below all padding values
    assert default_window(noise.integers(-1000, 40, (20, 30, 30))) != SOFT_TISSUE  # nothing dense
    fractions = noise.uniform(-1000, 2000, (20, 30, 30))
    assert default_window(fractions) != SOFT_TISSUE


def test_a_few_bright_voxels_do_not_darken_the_rest():
    mr = RNG.uniform(0, 1000, (20, 64, 64)).astype(np.float32)
    mr[0, :3, :3] = 60000
    low, high = default_window(mr)
    assert 0 <= low < 20
    assert 950 < high < 1000


def test_images_of_few_values():
    assert default_window(np.zeros((3, 4, 5))) is None
    assert default_window(np.full((3, 4, 5), np.nan)) is None
    rare = np.zeros((30, 40, 50), np.uint8)
    rare[0, 0, 0] = 7
    assert default_window(rare) == (0, 7)


def test_little_of_a_lazy_array_is_read():
    read = []

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.ones((400, 300, 1), np.uint8) * len(read)

    lazy = da.map_blocks(
        block, chunks=((400,), (300,), (1,) * 50), dtype=np.uint8, meta=np.empty(0, np.uint8)
    )
    assert default_window(lazy) is not None
    assert len(read) == 7
    assert sample_of(np.zeros((500, 400, 300), np.uint8)).size < 4e5


def test_what_is_no_number_does_not_matter():
    values = np.random.default_rng(1).uniform(0, 1000, (20, 30, 30))
    values[::2, 0] = np.nan
    values[1::2, 0] = np.inf
    low, high = default_window(values)
    assert 0 <= low < 20
    assert 950 < high <= 1000
