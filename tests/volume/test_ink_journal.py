"""A journal is read whatever state it is in, and whatever becomes of it meanwhile."""

from __future__ import annotations

import os

import numpy as np
import pytest

from napari_sslseg.volume import ink_journal
from napari_sslseg.volume.ink_journal import Journal, Replay, record

SHAPE = (6, 90, 100)


@pytest.fixture
def slices():
    """Noise, which no compression makes smaller than a page of memory."""
    return np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)


@pytest.fixture
def journal(tmp_path, slices):
    made = Journal(tmp_path / "ink.000000.journal", SHAPE)
    made.append([record(i, slice_ink) for i, slice_ink in enumerate(slices)], 0)
    return made


def read(journal: Journal) -> tuple[dict[int, np.ndarray], Replay]:
    found: dict[int, np.ndarray] = {}
    return found, journal.replay(found.__setitem__)


def test_what_was_appended_is_read(journal, slices):
    found, told = read(journal)
    assert np.array_equal(np.stack([found[i] for i in range(len(slices))]), slices)
    assert told == Replay(journal.size, False)


def test_a_file_that_is_cut_off_while_it_is_read_ends_there(journal, slices):
    found: dict[int, np.ndarray] = {}
    first = len(record(0, slices[0]))

    def take(index, slice_ink):
        found[index] = slice_ink
        os.truncate(journal.path, first)  # as another thread or program may

    assert journal.replay(take) == Replay(first, False)
    assert list(found) == [0]
    assert np.array_equal(found[0], slices[0])


@pytest.mark.parametrize("piece", [4, 5, 7, 1000, 2**20])
def test_what_lies_behind_a_damaged_record_is_found_wherever_it_begins(
    journal, slices, piece, monkeypatch
):
    monkeypatch.setattr(ink_journal._Bytes, "_PIECE", piece)
    data = bytearray(journal.path.read_bytes())
    begin = len(record(0, slices[0]))
    for place in (begin + 20, begin):  # what the second record holds, and then its head
        data[place] ^= 255
        journal.path.write_bytes(data)
        found, told = read(journal)
        assert sorted(found) == [0, 2, 3, 4, 5]
        assert told == Replay(len(data), True)


def test_garbage_at_the_end_is_no_damage(journal):
    end = journal.size
    for rest in (b"SL", b"SLC2", b"\0" * 5000, b"SLC2" + b"\1" * 100):
        with open(journal.path, "ab") as file:
            file.truncate(end)
            file.write(rest)
        found, told = read(journal)
        assert len(found) == SHAPE[0]
        assert told == Replay(end, False)
