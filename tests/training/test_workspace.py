"""Arrays in temporary files."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import psutil
import pytest
import torch

from napari_sslseg.training.workspace import Workspace


def test_arrays_are_written_and_read(tmp_path):
    space = Workspace(tmp_path, 2**40)
    tensor = space.zeros((3, 4, 5), torch.float16)
    assert tensor.shape == (3, 4, 5)
    assert not bool(tensor.any())
    tensor[1] = 2.5
    copy = space.copy(tensor)
    tensor[1, 0, 0] = 0
    assert float(copy[1, 0, 0]) == 2.5
    assert space.array((2, 2), np.uint16).dtype == np.uint16


def test_nothing_is_lost_when_memory_is_given_back(tmp_path):
    space = Workspace(tmp_path, 1)  # every time
    tensor = space.zeros((64, 1000), torch.float32)
    expected = torch.rand(64, 1000, generator=torch.Generator().manual_seed(0))
    for z in range(64):
        tensor[z] = expected[z]
        space.release()
    assert torch.equal(tensor, expected)


@pytest.mark.skipif(sys.platform != "linux", reason="the system decides elsewhere")
def test_given_back_memory_is_free(tmp_path):
    process, size = psutil.Process(), 64 * 2**20
    space = Workspace(tmp_path, 1)
    tensor = space.zeros((size,), torch.uint8)
    before = process.memory_info().rss
    tensor.fill_(7)
    assert process.memory_info().rss > before + size // 2
    space.release()
    assert process.memory_info().rss < before + size // 2
    assert int(tensor[size // 2]) == 7


@pytest.mark.skipif(sys.platform == "win32", reason="files have names there while they are open")
def test_no_file_is_left_behind(tmp_path):
    space = Workspace(tmp_path, 2**40)
    tensor = space.zeros((1000, 1000), torch.uint8)
    assert list(tmp_path.iterdir()) == []
    maps = space._maps
    assert len(maps) == 1
    del tensor
    gc.collect()
    assert len(maps) == 0


def test_a_read_only_file_may_be_watched(tmp_path):
    np.save(tmp_path / "image.npy", np.arange(10_000))
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    space = Workspace(tmp_path, 1)
    space.watch(mapped[None])
    space.release()
    assert mapped.sum() == np.arange(10_000).sum()


def test_a_guarded_workspace_gives_memory_back_whatever_is_done_meanwhile(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path, 1)  # any memory is too much
    given_back = threading.Event()
    release = workspace.release

    def seen() -> None:
        release()
        given_back.set()

    monkeypatch.setattr(workspace, "release", seen)
    with workspace.guarded():
        array = workspace.array((64, 64), np.uint8)
        array[:] = 7
        assert given_back.wait(10)
        # What was given back is read again.
        assert (array == 7).all()
    before = threading.active_count()
    with workspace.guarded():
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
