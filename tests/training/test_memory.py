"""How much memory may be used, and how much is needed."""

from __future__ import annotations

import dataclasses

from napari_sslseg.training.memory import (
    Need,
    _left_in_groups,
    default_budget,
    free_memory,
)

NEED = Need(1000, 1024 * 1024, 1, 2, 450 * 450, 9, False, 2)


def test_half_of_the_free_memory_is_the_default():
    assert 0.3 * free_memory() < default_budget() < 0.7 * free_memory()


def test_the_limit_of_a_container_counts(tmp_path):
    group = tmp_path / "fs" / "outer" / "inner"
    group.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/outer/inner\n")
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("100\n")
    (group.parent / "memory.max").write_text("1000\n")
    (group.parent / "memory.current").write_text("700\n")
    (group.parent / "memory.stat").write_text("anon 600\ninactive_file 100\n")
    assert _left_in_groups(tmp_path / "cgroup", tmp_path / "fs") == [400]


def test_the_limit_of_an_older_container_counts(tmp_path):
    group = tmp_path / "fs" / "memory" / "box"
    group.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("5:cpu,memory:/box\n4:cpuset:/box\n")
    (group / "memory.limit_in_bytes").write_text("1000")
    (group / "memory.usage_in_bytes").write_text("250")
    assert _left_in_groups(tmp_path / "cgroup", tmp_path / "fs") == [750]


def test_no_groups_no_limit(tmp_path):
    assert _left_in_groups(tmp_path / "missing", tmp_path) == []


def test_a_large_volume_needs_blocks_on_a_laptop_and_they_fit():
    assert NEED.whole > 32 * 2**30
    assert NEED.least < 2 * 2**30


def test_blocks_do_not_need_more_for_more_slices():
    longer = dataclasses.replace(NEED, depth=5000)
    assert longer.least == NEED.least
    assert longer.whole > 4 * NEED.whole
    assert longer.disk == 5 * NEED.disk


def test_all_channels_of_the_slices_that_a_network_is_shown_at_once_count():
    alone = dataclasses.replace(NEED, trains=True, pixels=NEED.region)
    three = dataclasses.replace(alone, channels=3)
    # Two channels more of 16 slices with their neighbours, once gathered and once put together.
    assert three.least - alone.least >= 2 * (16 * 3 * 4) * 2 * NEED.region
