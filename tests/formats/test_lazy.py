"""Arrays that read a block of their file when it is looked at."""

from __future__ import annotations

import numpy as np

from napari_sslseg.formats import lazy
from napari_sslseg.formats.lazy import in_native_order


def test_small_arrays_are_turned_at_once():
    swapped = np.arange(24, dtype=">u2").reshape(2, 3, 4)
    native = in_native_order("x", swapped)
    assert isinstance(native, np.ndarray)
    assert native.dtype.isnative
    assert np.array_equal(native, swapped)


def test_large_mapped_files_are_turned_as_they_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "EAGER_BYTES", 10)
    values = np.arange(24, dtype=">u2").reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", values)
    for mapped in (np.load(tmp_path / "a.npy", mmap_mode="r"), np.load(tmp_path / "a.npy", "r").T):
        native = in_native_order("x", mapped)
        assert not isinstance(native, np.ndarray)
        assert native.dtype.isnative
        assert native.chunks[int(np.argmax(mapped.strides))] == (1, 1)
        assert np.array_equal(np.asarray(native[..., 1]), mapped[..., 1])
