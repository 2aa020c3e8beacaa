"""Sizes of memory and files, read and spoken."""

from __future__ import annotations

import pytest

from napari_sslseg.volume.sizes import parse_size, spoken


@pytest.mark.parametrize(
    ("text", "size"),
    [("4G", 4 * 2**30), ("500 MB", 500 * 2**20), ("1.5GiB", 3 * 2**29), ("1048576", 2**20)],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "0", "4 X", "9" * 400])
def test_what_is_no_size_is_refused_in_words(text):
    with pytest.raises(ValueError, match="write it like 4G"):
        parse_size(text)


def test_sizes_are_spoken():
    assert spoken(1.5 * 2**30) == "1.5 GB"
    assert spoken(200 * 2**20) == "200 MB"
    said = [spoken(size) for size in (0, 500, 1500, 1.25 * 2**20, 2**30, 0.96 * 2**40)]
    assert said == ["0 bytes", "500 bytes", "1.46 kB", "1.25 MB", "1.0 GB", "1.0 TB"]
