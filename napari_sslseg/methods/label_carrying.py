"""Carrying the labels of an end from slice to slice, up to the other end of a stretch."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import torch

from .check_point import check_point
from .ink_completion import correct_by_ink
from .propagation_sources import Sources
from .shape_prior import shrinkage
from .slice_matching import Match, match_pairs, pyramid
from .storage import Storage


class Pyramids:
    """Pyramids of descriptors of the slices of one stretch, the latest of them kept.

    Parameters
    ----------
    sources : Sources
    kept : int, optional
        How many; all of them if not given.
    """

    def __init__(self, sources: Sources, kept: int | None) -> None:
        self._sources, self._kept = sources, kept
        self._made: OrderedDict[int, list[torch.Tensor]] = OrderedDict()

    def __getitem__(self, z: int) -> list[torch.Tensor]:
        if z in self._made:
            self._made.move_to_end(z)
            return self._made[z]
        self._make([z])
        return self._made[z]

    def of(self, slices: Sequence[int]) -> list[torch.Tensor]:
        """Return the pyramid of several slices together.

        Parameters
        ----------
        slices : sequence of int

        Returns
        -------
        list of Tensor
            Finest level first, each (B, D, H, W).
        """
        self._make([z for z in slices if z not in self._made])
        return [stacked(maps) for maps in zip(*(self[z] for z in slices), strict=True)]

    def _make(self, slices: Sequence[int]) -> None:
        if not slices:
            return
        maps = stacked([self._sources.descriptors(z) for z in slices])
        levels = pyramid(maps, self._sources.matching.levels)
        for i, z in enumerate(slices):
            self._made[z] = [level[i] for level in levels]
        while self._kept is not None and len(self._made) > self._kept:
            self._made.popitem(last=False)


def stacked(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack tensors along a new first axis; a single one is not copied."""
    return maps[0][None] if len(maps) == 1 else torch.stack(tuple(maps))


class Course:
    """How far the carrying of all stretches has come, and whether it is to stop."""

    def __init__(self) -> None:
        #: Pixels carried so far: two threads may lose some, they are for the progress bar only.
        self.carried = 0
        self.stopped = threading.Event()


class Carrier:
    """Carries labels from an end.

    Parameters
    ----------
    sources : Sources
        Within the window to work on.
    storage : Storage, optional
        What memory is given back to after each slice.
    at_once : int
        Slices that are matched at once.
    course : Course, optional
        Shared with the other stretches.
    """

    def __init__(
        self,
        sources: Sources,
        storage: Storage | None,
        at_once: int,
        course: Course | None = None,
    ) -> None:
        self._sources, self._storage, self._at_once = sources, storage, at_once
        self._course = course or Course()

    def carry(
        self, start: int, stop: int, pyramids: Pyramids
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Carry what is known of an end from slice to slice.

        Parameters
        ----------
        start : int
            An end, see `Sources.ends`.
        stop : int
            The other end, or, of an open end, -1 or the number of slices; it is not reached.
        pyramids : Pyramids

        Yields
        ------
        int
            Each slice on the way.
        Tensor, (M, H, W)
            What is carried there: the labels, then the gathered cost. Towards an open end the
            signed distances of the shapes follow.
        """
        sources, classes = self._sources, self._sources.classes
        labels = sources.ends[start]
        parts = [labels, torch.zeros_like(labels[:1])]
        if self._open(stop):
            parts.append(sources.distances(start))
        state = torch.cat(parts)
        step = 1 if stop > start else -1
        for z, match in self._matches(range(start + step, stop, step), step, pyramids):
            if self._course.stopped.is_set():
                return
            check_point()
            state, cost = match.carry(state)
            state[classes] += cost
            if z in sources.partial:
                corrected = correct_by_ink(pyramids[z][0], sources.ink[z], state[:classes])
                state = torch.cat((corrected, state[classes:]))
            if self._storage is not None:
                self._storage.release()
            self._course.carried += state[0].numel()
            yield z, state

    def fading(
        self, start: int, stop: int, slices: Sequence[int], states: torch.Tensor
    ) -> torch.Tensor:
        """Let labels on the way to an open end shrink as their shapes did before.

        Parameters
        ----------
        start, stop : int
            As for `carry`.
        slices : sequence of int
        states : Tensor, (B, M, H, W)
            What `carry` yielded for them.

        Returns
        -------
        Tensor, (B, classes, H, W)
        """
        classes = self._sources.classes
        labels, shapes = states[:, :classes], states[:, classes + 1 :]
        trend = self._trend(start, 1 if stop > start else -1)[:, None, None]
        away = [abs(z - start) for z in slices]
        count = torch.tensor(away, device=trend.device)[:, None, None, None]
        remains = torch.sigmoid(shapes + trend * count + 1.0)
        labels = labels * torch.where(trend < 0, remains, 1.0)
        labels[:, 0] += 1 - labels.sum(1)
        return labels

    def _open(self, stop: int) -> bool:
        return stop in (-1, self._sources.depth)

    def _matches(
        self, path: Sequence[int], step: int, pyramids: Pyramids
    ) -> Iterator[tuple[int, Match]]:
        """Yield slices with their match with the slice before."""
        for i in range(0, len(path), self._at_once):
            part = path[i : i + self._at_once]
            query, key = pyramids.of(part), pyramids.of([z - step for z in part])
            yield from zip(part, match_pairs(query, key, self._sources.matching), strict=True)

    def _trend(self, start: int, step: int) -> torch.Tensor:
        """Trend (classes,) of the shapes from the last stretch, towards an open end."""
        sources = self._sources
        neighbour = sources.anchors.index(start) - step if start in sources.anchors else -1
        if not 0 <= neighbour < len(sources.anchors):
            return torch.zeros(sources.classes, device=sources.ink.device)
        other = sources.anchors[neighbour]
        # The shapes of another stretch may lie beside what is worked on in this one.
        here, there = (sources.whole.classes_at(z) for z in (start, other))
        return shrinkage(here, there, abs(start - other), sources.classes)
