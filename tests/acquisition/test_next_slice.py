"""Which slice next, and why."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.acquisition.next_slice import count_regions, first_slices, next_slice


def counts_with(**doubtful: int) -> np.ndarray:
    """Return counts of 20 slices; ``z7=50`` puts 50 DS voxels into slice 7."""
    counts = np.zeros((20, 5), dtype=np.int64)
    counts[:, 1] = 100
    for name, voxels in doubtful.items():
        counts[int(name[1:]), 4] = voxels
    return counts


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_regions_are_counted_slice_by_slice(axis):
    rng = np.random.default_rng(0)
    regions = rng.integers(0, 5, (4, 5, 6)).astype(np.uint8)
    open_voxels = rng.random((4, 5, 6)) < 0.5
    counts = count_regions(regions, axis, open_voxels)
    for z in range(regions.shape[axis]):
        here = np.take(regions, z, axis)[np.take(open_voxels, z, axis)]
        assert counts[z].tolist() == [int((here == code).sum()) for code in range(5)]


def test_the_most_doubtful_slice_comes_first_and_the_reason_says_so():
    found = next_slice(counts_with(z7=50, z15=10), done=[0, 10, 19])
    assert found is not None
    assert found.index == 7
    assert "50 voxels" in found.reason
    assert "3 slices from" in found.reason


def test_known_slices_are_never_suggested():
    found = next_slice(counts_with(z7=50, z15=10), done=[0, 7, 19])
    assert found is not None
    assert found.index not in (0, 7, 19)


def test_disagreement_counts_more_than_mere_doubt():
    counts = counts_with(z5=30)
    counts[14, 2] = 40  # more voxels, but both predictions agree there
    found = next_slice(counts, done=[0, 10, 19])
    assert found is not None
    assert found.index == 5


def test_a_slice_beside_a_known_one_teaches_less():
    found = next_slice(counts_with(z6=50, z11=50), done=[7, 19])
    assert found is not None
    assert found.index == 11


def test_without_doubt_the_farthest_slice_is_suggested():
    found = next_slice(counts_with(), done=[0, 4, 19])
    assert found is not None
    assert found.index in (11, 12)
    assert "little doubt" in found.reason


def test_all_done_means_none():
    assert next_slice(counts_with(), done=list(range(20))) is None


def test_first_slices_lie_inside_what_is_shown():
    content = np.zeros(30)
    content[10:22] = 1
    chosen = first_slices(content, 3)
    assert len(chosen) == 3
    assert all(10 <= z < 22 for z in chosen)
    assert chosen == sorted(chosen)
    assert first_slices(np.zeros(5), 2)
