"""Ink on disk: saved, replayed, and whole after any crash."""

from __future__ import annotations

import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from napari_sslseg.volume import inkstore
from napari_sslseg.volume.annotation import (
    NOT_ANNOTATED,
    Corrections,
    blank_ink,
    corrections,
    merge_ink,
)
from napari_sslseg.volume.ink_journal import Journal
from napari_sslseg.volume.inkstore import InkStore
from napari_sslseg.volume.stored_ink import JoinedInk
from napari_sslseg.volume.user_error import ProjectError

SHAPE = (5, 8, 6)


def painted(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ink = blank_ink(SHAPE)
    ink[rng.integers(5)] = rng.integers(0, 3, SHAPE[1:])
    return ink


def compact(store: InkStore) -> None:
    """Write a new generation, as a store does by itself when its journal is long."""
    store._compact(store._open())


def test_a_new_store_is_blank(tmp_path):
    assert (InkStore(tmp_path, "ink", SHAPE).load() == 255).all()


def test_saved_ink_is_read_back_and_only_changed_slices_are_written(tmp_path):
    store = InkStore(tmp_path, "ink", SHAPE)
    ink = store.load()
    ink[2, 1:3] = 1
    assert store.save(ink) == 1
    assert store.save(ink) == 0
    ink[4] = 0
    assert store.save(ink) == 1
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).load(), ink)


def test_compacting_keeps_the_ink_and_drops_the_journal(tmp_path):
    store = InkStore(tmp_path, "ink", SHAPE)
    ink = painted(0)
    store.save(ink)
    compact(store)
    assert [p.suffix for p in tmp_path.iterdir()] == [".npy"]
    ink[0, 0, 0] = 7
    store.save(ink)
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).load(), ink)


def test_who_reads_waits_while_the_files_are_put_in_order(tmp_path, monkeypatch):
    store = InkStore(tmp_path, "ink", SHAPE)
    ink = painted(0)
    store.save(ink)
    monkeypatch.setattr(inkstore, "MAPPED", 0)
    write_slabs, reading = inkstore.write_slabs, []

    with ThreadPoolExecutor() as pool:

        def written_while_read(*given):
            reading.append(pool.submit(store.stored))
            time.sleep(0.05)
            assert not reading[0].done()
            write_slabs(*given)

        monkeypatch.setattr(inkstore, "write_slabs", written_while_read)
        store.load()
        stored = reading[0].result()
    assert all(np.array_equal(stored[z], ink[z]) for z in range(SHAPE[0]))


def test_a_long_journal_compacts_itself(tmp_path, monkeypatch):
    shape = (4, 1024, 1024)
    store = InkStore(tmp_path, "ink", shape)
    rng = np.random.default_rng(0)
    ink = store.load()
    for _ in range(3):
        ink[:] = rng.integers(0, 255, shape, dtype=np.uint8)  # does not compress
        store.save(ink)
    journal = sum(p.stat().st_size for p in tmp_path.glob("*.journal"))
    assert journal < 2 * ink.nbytes
    assert np.array_equal(InkStore(tmp_path, "ink", shape).load(), ink)


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_journal_cut_short_loses_only_its_last_record(tmp_path, cut):
    store = InkStore(tmp_path, "ink", SHAPE)
    first = painted(1)
    store.save(first)
    second = first.copy()
    second[0] = 2
    store.save(second)
    journal = next(tmp_path.glob("*.journal"))
    data = journal.read_bytes()
    whole = len(data)
    journal.write_bytes(data[: whole - min(cut, 20)])
    again = InkStore(tmp_path, "ink", SHAPE)
    assert np.array_equal(again.load(), first)
    again.save(second)  # writes behind the readable part, not behind the broken one
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).load(), second)


def test_a_flipped_bit_ends_the_replay_instead_of_reading_nonsense(tmp_path):
    store = InkStore(tmp_path, "ink", SHAPE)
    store.save(painted(2))
    journal = next(tmp_path.glob("*.journal"))
    data = bytearray(journal.read_bytes())
    data[-1] ^= 0xFF
    journal.write_bytes(bytes(data))
    assert (InkStore(tmp_path, "ink", SHAPE).load() == 255).all()


def test_a_half_written_base_falls_back_to_the_one_before(tmp_path):
    store = InkStore(tmp_path, "ink", SHAPE)
    ink = painted(3)
    store.save(ink)
    compact(store)
    (tmp_path / "ink.000009.npy").write_bytes(b"\x93NUMPY")
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).load(), ink)


def test_ink_of_another_shape_is_refused(tmp_path):
    store = InkStore(tmp_path, "ink", SHAPE)
    store.save(painted(4))
    compact(store)
    with pytest.raises(ValueError, match="shape"):
        InkStore(tmp_path, "ink", (5, 8, 7)).load()
    with pytest.raises(ValueError, match="fit"):
        store.save(blank_ink((1, 2, 3)))


def test_a_failed_write_is_tried_again_in_full(tmp_path, monkeypatch):
    store = InkStore(tmp_path, "ink", SHAPE)
    ink = painted(5)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(OSError, match="No space"):
            store.save(ink)
    assert store.save(ink) >= 0
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).load(), ink)


def fails(*args, **options):
    raise MemoryError


def gone(*args, **options):
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("builtins.open", gone),
        ("zlib.compress", fails),
        ("numpy.array", fails),
        ("os.fsync", gone),
    ],
)
def test_whatever_fails_in_a_save_the_next_one_writes_every_slice(tmp_path, monkeypatch, what, how):
    store = InkStore(tmp_path, "ink", SHAPE)
    ink = store.load()
    ink[2, 1:3] = 1
    ink[4, 0] = 2
    with monkeypatch.context() as broken:
        broken.setattr(what, how)
        with pytest.raises((OSError, MemoryError)):
            store.save(ink)
    store.save(ink)
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).read(), ink)


def saved(folder, *slices) -> tuple[InkStore, np.ndarray]:
    """Save slices one after another; returns the store and all of the ink."""
    store = InkStore(folder, "ink", SHAPE)
    ink = store.load()
    for index in slices:
        ink[index, 1:4] = index + 1
        store.save(ink)
    return store, ink


def inked(ink) -> list[int]:
    return [index for index, slice_ink in enumerate(ink) if (slice_ink != 255).any()]


def test_a_folder_that_was_moved_is_not_made_anew_and_nothing_is_lost(tmp_path):
    there, elsewhere = tmp_path / "project", tmp_path / "moved"
    there.mkdir()
    store, ink = saved(there, 1)
    there.rename(elsewhere)
    ink[3] = 2
    with pytest.raises(OSError, match="no longer there"):
        store.save(ink)
    assert not there.exists()
    elsewhere.rename(there)
    store.save(ink)
    assert np.array_equal(InkStore(there, "ink", SHAPE).read(), ink)


def test_what_disappeared_from_the_folder_is_written_again(tmp_path):
    store, ink = saved(tmp_path, 1, 2)
    for path in tmp_path.iterdir():
        path.unlink()
    ink[3] = 2
    store.save(ink)
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).read(), ink)


@pytest.mark.parametrize("compacted", [False, True])
def test_two_windows_do_not_write_over_each_other(tmp_path, compacted):
    first, ink_first = saved(tmp_path)
    second, ink_second = saved(tmp_path)
    ink_first[1] = 1
    first.save(ink_first)
    if compacted:
        compact(first)
    ink_second[3] = 2
    second.save(ink_second)
    ink_first[4] = 1
    first.save(ink_first)
    assert inked(InkStore(tmp_path, "ink", SHAPE).read()) == [1, 3, 4]


def flip(path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("bad", [0, 2, 4])
def test_a_damaged_record_costs_its_slice_alone_and_is_kept(tmp_path, bad):
    saved(tmp_path, *range(bad))
    (journal,) = [*tmp_path.glob("*.journal")] or [tmp_path / "ink.000000.journal"]
    start = journal.stat().st_size if bad else 0
    saved(tmp_path, *range(bad, 5))
    flip(journal, start + 20)
    bytes_before = journal.read_bytes()
    store = InkStore(tmp_path, "ink", SHAPE)
    found = store.load()
    assert inked(found) == [z for z in range(5) if z != bad]
    assert "damaged" in store.trouble
    found[bad, 0, 0] = 7
    store.save(found)
    again = InkStore(tmp_path, "ink", SHAPE)
    assert np.array_equal(again.load(), found)
    assert not again.trouble
    assert (tmp_path / "ink.000000.journal.damaged").read_bytes() == bytes_before


def test_zeros_in_place_of_a_record_cut_short_are_no_record(tmp_path):
    saved(tmp_path, 1)
    (journal,) = tmp_path.glob("*.journal")
    end = journal.stat().st_size
    _, ink = saved(tmp_path, 3)
    data = journal.read_bytes()
    for kept in (1, 4, 8, 14):  # of the header; a power cut may leave pages of zeros
        journal.write_bytes(data[: end + kept] + bytes(len(data) - end - kept))
        store = InkStore(tmp_path, "ink", SHAPE)
        found = store.load()
        assert inked(found) == [1]
        found[3] = ink[3]
        store.save(found)
        assert inked(InkStore(tmp_path, "ink", SHAPE).read()) == [1, 3]
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_record_is_not_taken_for_that_of_another_slice(tmp_path):
    saved(tmp_path, 1)
    (journal,) = tmp_path.glob("*.journal")
    flip(journal, 5)  # the second byte of the slice's number
    flip(journal, 4)
    assert inked(InkStore(tmp_path, "ink", SHAPE).load()) == []


def test_records_of_before_are_read(tmp_path):
    _, ink = saved(tmp_path, 2)
    (journal,) = tmp_path.glob("*.journal")
    payload = journal.read_bytes()[16:]
    head = struct.pack("<4sIII", b"SLC1", 2, len(payload), zlib.crc32(payload))
    journal.write_bytes(head + payload)
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).load(), ink)


def test_after_a_failed_flush_everything_is_written_and_flushed_again(tmp_path, monkeypatch):
    store, ink = saved(tmp_path, 1)
    (journal,) = tmp_path.glob("*.journal")
    confirmed = journal.read_bytes()
    ink[3] = 2
    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", gone)
        with pytest.raises(OSError, match="Input/output"):
            store.save(ink)
    flushed = []
    monkeypatch.setattr("os.fsync", lambda file: flushed.append(journal.read_bytes()))
    assert store.save(ink) == 1
    assert len(flushed) == 1
    assert flushed[0].startswith(confirmed)
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).read(), ink)


def test_a_reader_sees_all_ink_while_the_writer_puts_its_files_in_order(tmp_path, monkeypatch):
    store, ink = saved(tmp_path, 1, 3)
    reader, read = InkStore(tmp_path, "ink", SHAPE), Journal.replay
    looks = []

    def late(journal, take):
        looks.append(journal)
        if len(looks) == 1:
            compact(store)
        return read(journal, take)

    monkeypatch.setattr(Journal, "replay", late)
    assert np.array_equal(reader.read(), ink)


def test_a_damaged_base_is_an_error_not_blank_ink(tmp_path):
    store, ink = saved(tmp_path, 1)
    compact(store)
    ink[3] = 2
    store.save(ink)
    (base,) = tmp_path.glob("*.npy")
    base.write_bytes(base.read_bytes()[:40])
    before = sorted(path.name for path in tmp_path.iterdir())
    other = InkStore(tmp_path, "ink", SHAPE)
    for look in (other.load, other.read, other.stored, lambda: other.save(ink)):
        with pytest.raises(ProjectError, match=r"ink\.000001\.npy cannot be read \(it is damaged"):
            look()
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    # As the message says: what was painted since is still there.
    base.rename(tmp_path / "elsewhere")
    assert inked(InkStore(tmp_path, "ink", SHAPE).load()) == [3]


def test_what_was_painted_after_a_damaged_base_goes_on_from_the_one_before(tmp_path, monkeypatch):
    store, ink = saved(tmp_path, 1)
    compact(store)
    (older,) = tmp_path.glob("*.npy")
    kept = older.read_bytes()
    compact(store)
    older.write_bytes(kept)  # as on Windows, where a mapped file cannot be removed
    ink[3] = 2
    store.save(ink)
    newest = max(tmp_path.glob("*.npy"))
    newest.write_bytes(b"")
    again = InkStore(tmp_path, "ink", SHAPE)
    assert np.array_equal(again.load(), ink)
    assert "damaged" in again.trouble
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).load(), ink)


def test_a_disk_too_full_to_put_files_in_order_still_saves(tmp_path, monkeypatch):
    store = InkStore(tmp_path, "ink", (4, 1024, 1024))
    ink, rng = store.load(), np.random.default_rng(0)

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_sslseg.volume.inkstore.write_slabs", full)
    for _ in range(3):
        ink[:] = rng.integers(0, 250, ink.shape)
        assert store.save(ink) == 4
    assert np.array_equal(InkStore(tmp_path, "ink", ink.shape).read(), ink)


def test_only_one_thread_writes_at_a_time(tmp_path, monkeypatch):
    store = InkStore(tmp_path, "ink", SHAPE)
    first, second = store.load(), store.load()
    first[0], second[1] = 1, 2
    inside, most = [], []

    def slow_disk(_: int) -> None:
        inside.append(None)
        most.append(len(inside))
        time.sleep(0.2)
        inside.pop()

    monkeypatch.setattr("os.fsync", slow_disk)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(store.save, (first, second)))
    assert max(most) == 1


def test_stored_ink_is_read_slice_by_slice(tmp_path):
    store = InkStore(tmp_path, "ink", SHAPE)
    assert store.blank
    assert all(store.stored()[i] is None for i in range(SHAPE[0]))
    ink = store.load()
    ink[1, 2] = 3
    store.save(ink)
    assert not store.blank
    stored = InkStore(tmp_path, "ink", SHAPE).stored()
    assert np.array_equal(stored[1], ink[1])
    assert stored[0] is None
    compact(store)
    ink[0, 0] = 1
    store.save(ink)
    stored = InkStore(tmp_path, "ink", SHAPE).stored()
    assert all(np.array_equal(stored[i], ink[i]) for i in range(SHAPE[0]))


def test_joined_ink_is_merged_ink(tmp_path):
    one, two = (InkStore(tmp_path, name, SHAPE) for name in ("one", "two"))
    first, second = one.load(), two.load()
    first[0, 1], second[0, 1:3], second[2] = 5, 6, 7
    one.save(first)
    two.save(second)
    joined = JoinedInk([one.stored(), two.stored()])
    assert joined[1] is None
    expected = merge_ink(first, [second])
    for index in (0, 2):
        assert np.array_equal(joined[index], expected[index])


def test_what_was_not_saved_yet_is_found(tmp_path):
    store = InkStore(tmp_path, "ink", SHAPE)
    ink = store.load()
    assert store.changed_since(ink).size == 0
    ink[1, 2] = 3
    store.save(ink)
    ink[2, 1, 0], ink[1, 2, 1] = 4, NOT_ANNOTATED
    places = store.changed_since(ink)
    found = np.zeros(SHAPE, bool)
    found.flat[places] = True
    assert np.argwhere(found).tolist() == [[1, 2, 1], [2, 1, 0]]


def test_large_ink_is_mapped_and_painted_on_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sslseg.volume.inkstore.MAPPED", 10)
    store = InkStore(tmp_path, "ink", SHAPE)
    ink = store.load()
    assert isinstance(ink.base, np.memmap)
    assert (ink == NOT_ANNOTATED).all()
    ink[1, 1] = 4
    assert (InkStore(tmp_path, "ink", SHAPE).load() == NOT_ANNOTATED).all(), "not saved yet"
    assert store.save(ink) == 1
    assert store.save(ink) == 0
    again = InkStore(tmp_path, "ink", SHAPE).load()
    assert np.array_equal(again, ink)


def test_a_reader_leaves_the_files_of_large_ink_to_their_writer(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sslseg.volume.inkstore.MAPPED", 10)
    writer, ink = InkStore(tmp_path, "ink", SHAPE), blank_ink(SHAPE)
    ink[1, 1] = 4
    writer.save(ink)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).read(), ink)  # as a trainer does
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    ink[2, 2] = 3
    writer.save(ink)
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).read(), ink)
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).load(), ink)


def test_lazy_ink_is_saved(tmp_path):
    edited, proposed = np.ones(SHAPE, np.uint8), np.ones(SHAPE, np.uint8)
    edited[2, 0] = 0
    store = InkStore(tmp_path, "corrections", SHAPE)
    assert store.save(Corrections(edited, proposed)) == 1
    found = InkStore(tmp_path, "corrections", SHAPE).load()
    assert np.array_equal(found, corrections(edited, proposed))


def test_other_data_types_are_refused_and_leave_what_was_saved(tmp_path):
    store = InkStore(tmp_path, "ink", SHAPE)
    ink = store.load()
    ink[1] = 4
    store.save(ink)
    wide = ink.astype(np.int16)
    wide[1], wide[2] = 300, 511
    with pytest.raises(ValueError, match="unsigned bytes, not as int16"):
        store.save(wide)
    assert np.array_equal(InkStore(tmp_path, "ink", SHAPE).read(), ink)
    ink[2] = 5
    assert store.save(ink) == 1
