"""How much memory a run may use, and how much it will need. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil

#: Share of the free memory that a run uses when nothing else is said: the viewer, the system's
#: file cache and other programs want some too.
SHARE = 0.5

#: What the program itself takes before it has looked at anything: Python, torch, its kernels.
PROGRAM = 600 * 2**20

#: What training a network takes at most beside the volume: weights, activations, a batch.
NETWORK = 700 * 2**20

#: Whole slices that a network is shown at once to measure its batch statistics.
_SHOWN = 16


def free_memory() -> int:
    """Return the bytes that can be used now, within the limits of a container."""
    free = int(psutil.virtual_memory().available)
    return max(0, min([free, *_left_in_groups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))]))


def default_budget() -> int:
    """Return half of the free memory, bytes."""
    return int(SHARE * free_memory())


def propagating(voxels: int, classes: int) -> int:
    """Return the bytes that propagating labels once more at the same time takes at most.

    Parameters
    ----------
    voxels : int
    classes : int
        Background included.
    """
    return (60 + 16 * classes + 16) * voxels


@dataclass(frozen=True)
class Need:
    """Size of a job, and the memory that it takes.

    Parameters
    ----------
    depth, pixels : int
        Slices, and pixels of each.
    channels, classes : int
        Of the image; of the labels, background included.
    region : int
        Pixels of each slice that are worked on: the objects' surroundings.
    references : int
        Slices that labels are carried from.
    trains : bool
        Whether a network is trained.
    workers : int
        Threads that match slices.
    """

    depth: int
    pixels: int
    channels: int
    classes: int
    region: int
    references: int
    trains: bool
    workers: int

    @property
    def whole(self) -> int:
        """Bytes with all of the volume in memory at once; measured, and rounded up."""
        voxel = 20 * self.channels + 8 * self.classes + 40
        voxel += 16 * self.classes + 16 if self.trains else 0
        around = 60 * self.depth * self.region
        return PROGRAM + (NETWORK if self.trains else 0) + voxel * self.depth * self.pixels + around

    @property
    def least(self) -> int:
        """Bytes that cannot be done without when the volume is worked on in blocks."""
        # Each thread: descriptors of three slices, costs of the window, labels.
        thread = (3 * 54 + 8 * 21 + 27 * 4 + 32 * self.classes) * self.region
        ends = (12 * self.classes + 16) * self.references * self.region
        # A few whole slices are read, and written, at a time.
        slabs = 16 * self.pixels * self.channels
        # Each with its two neighbours and three positions, gathered and then put together.
        shown = _SHOWN * 2 * 3 * 4 * (self.channels + 1)
        network = (NETWORK + shown * self.region) if self.trains else 0
        return PROGRAM + max(self.workers * thread, network) + ends + slabs

    @property
    def disk(self) -> int:
        """Bytes of files that replace the memory for as long as the run takes."""
        probabilities = 2 * self.classes * (4 if self.trains else 3)
        carried = 4 * (self.classes + 1)
        return self.depth * self.region * (2 * self.channels + probabilities + carried + 16)


def _left_in_groups(membership: Path, root: Path) -> list[int]:
    """Bytes that the control groups of this process leave it, innermost first; Linux only."""
    left: list[int] = []
    try:
        rows = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return left
    for row in rows:
        if len(row) != 3:
            continue
        if row[1] == "":
            base, names = root, ("memory.max", "memory.current")
        elif "memory" in row[1].split(","):
            base = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        folder = base / row[2].lstrip("/")
        for place in (folder, *folder.parents):
            if not place.is_relative_to(base):
                break
            limit, used = (_number(place / name) for name in names)
            if limit is not None and used is not None:
                left.append(max(0, limit - max(0, used - _reclaimable(place / "memory.stat"))))
    return left


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _reclaimable(path: Path) -> int:
    """Bytes of the file cache that the system gives back when memory is asked for."""
    try:
        words = dict(line.split() for line in path.read_text().splitlines())
        return int(words.get("total_inactive_file", words.get("inactive_file", 0)))
    except (OSError, ValueError):
        return 0
