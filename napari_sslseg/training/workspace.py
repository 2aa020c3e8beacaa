"""Large arrays in temporary files instead of in memory.

The files are mapped: what is looked at lies in memory, what is not can be taken back by the system
at any time, and is taken back here as soon as the process comes near its budget. They have no name
where the system allows that, so that nothing is left behind whatever happens to the process.
"""

from __future__ import annotations

import contextlib
import errno
import math
import mmap
import os
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import Tensor

from ..volume.array_files import forget_pages, mapping_of
from .freed_memory import give_back

_DTYPES = {torch.float32: np.float32, torch.float16: np.float16, torch.uint8: np.uint8}

#: Part of the budget that, once the process takes it, mapped memory is given back.
_HIGH = 0.75

#: Seconds between two looks at the memory: a disk reads some ten MB in that time.
_LOOK_EVERY = 0.02

#: Part of the budget that is left to what is kept between two slices.
_KEPT = 0.15


class Workspace:
    """Arrays in temporary files, within a budget of memory; a `Storage` of the matching.

    Parameters
    ----------
    folder : Path
        Where there is room for them.
    budget : int
        Bytes that the process may take.
    """

    precision = torch.float16

    def __init__(self, folder: Path, budget: int) -> None:
        self.folder, self.budget = Path(folder), budget
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._changing = threading.Lock()
        self._process = psutil.Process()
        self._room = int(_KEPT * budget)

    def zeros(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return zeros in a file of their own, which goes when the last reference does.

        Parameters
        ----------
        shape : sequence of int
        dtype : torch.dtype
            Float32, float16 or uint8.

        Raises
        ------
        OSError
            When the disk is full.
        """
        return torch.from_numpy(self.array(shape, _DTYPES[dtype]))

    def array(self, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return zeros like `zeros`, of any type of numpy's, as an array that can be written to."""
        kind = np.dtype(dtype)
        size = max(1, math.prod(shape)) * kind.itemsize
        with tempfile.TemporaryFile(dir=self.folder, prefix="work-") as file:
            # Reserved now: a full disk would end the process when a mapped page is written.
            file.truncate(size)
            if hasattr(os, "posix_fallocate"):
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError as error:
                    if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # not on every disk
                        raise
            mapped = mmap.mmap(file.fileno(), size)
        with self._changing:
            self._maps.add(mapped)
        return np.frombuffer(mapped, kind, math.prod(shape)).reshape(shape)

    def copy(self, source: Tensor) -> Tensor:
        """Return a copy of a tensor of one of the types of `zeros` in a file of its own."""
        result = self.zeros(source.shape, source.dtype)
        for there, here in zip(result, source, strict=True):
            there.copy_(here)
            self.release()
        return result

    def watch(self, array: npt.NDArray[Any]) -> None:
        """Give back the memory of a mapped array too when it is time, if it is read-only."""
        if (mapped := mapping_of(array)) is not None:
            with self._changing:
                self._maps.add(mapped)

    def slices_in_memory(self, bytes_each: int) -> int:
        """Return how many slices of this size, bytes, all threads together may hold at a time."""
        return self._room // max(bytes_each, 1)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Look after the budget in a thread of its own, whatever is being done meanwhile."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(_LOOK_EVERY):
                self.release()

        watcher = threading.Thread(target=look, name="memory", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def release(self) -> None:
        """Give mapped memory back if the process has come near its budget."""
        if self._process.memory_info().rss < _HIGH * self.budget:
            return
        with self._changing:
            for mapped in list(self._maps):
                forget_pages(mapped)
        give_back()
