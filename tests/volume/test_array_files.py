"""Arrays that are written and read piece by piece."""

from __future__ import annotations

import hashlib

import dask.array as da
import numpy as np
import pytest

from napari_sslseg.volume import array_files
from napari_sslseg.volume.array_files import (
    mapping_of,
    pieces,
    value_counts,
    writable_copy,
    write_hashed,
    write_slabs,
)

ARRAY = np.arange(7 * 5 * 6, dtype=np.uint16).reshape(7, 5, 6)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(array_files, "_PIECE", 150)
    monkeypatch.setattr(array_files, "_SCATTERED", 150)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("lazy", [False, True])
def test_a_file_is_that_of_the_whole_array(tmp_path, small_pieces, order, lazy):
    array = np.asarray(ARRAY, order=order)
    if lazy:
        array = da.from_array(array, chunks=(3, 5, 6))
    digest = write_hashed(tmp_path / "image.npy", array)
    assert np.array_equal(np.load(tmp_path / "image.npy"), ARRAY)
    np.save(tmp_path / "whole.npy", ARRAY)
    assert (tmp_path / "image.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert digest == hashlib.sha256(ARRAY.tobytes()).hexdigest()


def test_pieces_of_a_lazy_array_are_its_blocks(small_pieces):
    lengths = [len(piece) for piece in pieces(da.from_array(ARRAY, chunks=(3, 5, 6)))]
    assert lengths == [3, 3, 1]


def test_pieces_of_a_mapped_file_can_be_read_again(tmp_path, small_pieces):
    np.save(tmp_path / "a.npy", ARRAY)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    for _ in range(2):
        assert np.array_equal(np.concatenate(list(pieces(mapped))), ARRAY)


def test_an_incomplete_array_replaces_nothing(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, ARRAY)
    with pytest.raises(ValueError, match="slabs"):
        write_slabs([path], ARRAY.shape, ARRAY.dtype, ((slab,) for slab in ARRAY[:4]))
    assert np.array_equal(np.load(path), ARRAY)
    assert [item.name for item in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("error", [OSError, ValueError, MemoryError, KeyboardInterrupt])
def test_an_array_that_cannot_be_read_to_its_end_leaves_nothing(tmp_path, error):
    def slabs():
        yield ARRAY[0], ARRAY[0]
        raise error

    with pytest.raises(error):
        write_slabs([tmp_path / "a.npy", tmp_path / "b.npy"], ARRAY.shape, ARRAY.dtype, slabs())
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_is_left_as_it_was(tmp_path, files_end_at):
    with files_end_at(300), pytest.raises(OSError, match="File too large"):
        write_hashed(tmp_path / "a.npy", ARRAY)
    assert not list(tmp_path.iterdir())


def test_values_are_counted(small_pieces):
    labels = np.random.default_rng(0).integers(0, 256, (5, 30, 40)).astype(np.uint8)
    assert np.array_equal(value_counts(labels), np.bincount(labels.ravel(), minlength=256))


def test_a_writable_copy_leaves_its_file_alone(tmp_path):
    np.save(tmp_path / "a.npy", ARRAY)
    for mode in (None, "r"):
        source = np.load(tmp_path / "a.npy", mmap_mode=mode)
        copy = writable_copy(source)
        copy[2, 3] = 9
        assert (copy[2, 3] == 9).all()
        assert np.array_equal(source, ARRAY)
        assert np.array_equal(np.load(tmp_path / "a.npy"), ARRAY)


def test_only_read_only_files_are_forgotten(tmp_path):
    # What was written to a private copy would be lost.
    np.save(tmp_path / "a.npy", ARRAY)
    assert mapping_of(ARRAY) is None
    assert mapping_of(np.load(tmp_path / "a.npy", mmap_mode="c")) is None
    read_only = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert mapping_of(read_only) is not None
    assert mapping_of(np.asarray(read_only)[1:, ::2]) is not None
