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
from .slice_features import StreamedFeatures, gaussian_blur
from .slice_matching import Match, match_pairs, match_slices, pyramid
from .storage import Storage


class Pyramids:
    """Pyramids of descriptors of the slices of one stretch, the latest of them kept.

    Parameters
    ----------
    features : Tensor or StreamedFeatures
    levels : int
    kept : int, optional
        How many; all of them if not given.
    """

    def __init__(
        self, features: torch.Tensor | StreamedFeatures, levels: int, kept: int | None
    ) -> None:
        self._features, self._levels, self._kept = features, levels, kept
        self._made: OrderedDict[int, list[torch.Tensor]] = OrderedDict()

    def __getitem__(self, z: int) -> list[torch.Tensor]:
        if z in self._made:
            self._made.move_to_end(z)
            return self._made[z]
        made = self._made[z] = pyramid(self._features[z], self._levels)
        if self._kept is not None and len(self._made) > self._kept:
            self._made.popitem(last=False)
        return made


class Carrier:
    """Carries labels from an end.

    Parameters
    ----------
    sources : Sources
    storage : Storage, optional
        What memory is given back to after each slice.
    at_once : int
        Slices that are matched at once.
    """

    def __init__(self, sources: Sources, storage: Storage | None, at_once: int) -> None:
        self._sources, self._storage, self._at_once = sources, storage, at_once
        #: Slices carried so far: two threads may lose one, it is for the progress bar only.
        self.carried = 0
        self.stopped = threading.Event()

    def carry(
        self, start: int, stop: int, pyramids: Pyramids
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield each slice from start up to stop, with its labels and the gathered cost.

        The cost is the last channel. Towards an open end the signed distances of the shapes are
        carried too.
        """
        sources = self._sources
        open_end = stop in (-1, sources.depth)
        step = 1 if stop > start else -1
        state = torch.cat((sources.ends[start], torch.zeros_like(sources.ends[start][:1])))
        if open_end:
            shapes = sources.distances(start)
            trend = self._trend(start, step)
        path = range(start + step, stop, step)
        for count, (z, match) in enumerate(self._matches(path, step, pyramids), 1):
            if self.stopped.is_set():
                return
            check_point()
            state = match.carry(state)
            state[-1] += gaussian_blur(match.cost[None, None], 1.0)[0, 0]
            if z in sources.partial:
                state[:-1] = correct_by_ink(pyramids[z][0], sources.ink[z], state[:-1])
            if self._storage is not None:
                self._storage.release()
            self.carried += 1
            if not open_end:
                yield z, state
                continue
            shapes = match.carry(shapes)
            remains = torch.sigmoid(shapes + trend[:, None, None] * count + 1.0)
            remains[0] = 1.0
            labels = state[:-1] * torch.where(trend < 0, 1.0, 0.0)[:, None, None] * remains
            labels = labels + state[:-1] * torch.where(trend < 0, 0.0, 1.0)[:, None, None]
            labels[0] += 1 - labels.sum(0)
            yield z, torch.cat((labels, state[-1:]))

    def _matches(
        self, path: Sequence[int], step: int, pyramids: Pyramids
    ) -> Iterator[tuple[int, Match]]:
        """Yield slices with their match with the slice before; on a GPU many are made at once."""
        matching = self._sources.matching
        if self._at_once == 1:
            for z in path:
                yield z, match_slices(pyramids[z], pyramids[z - step], matching)
            return
        for i in range(0, len(path), self._at_once):
            part = path[i : i + self._at_once]
            query, key = (
                [torch.stack(maps) for maps in zip(*(pyramids[z] for z in slices), strict=True)]
                for slices in (part, [z - step for z in part])
            )
            yield from zip(part, match_pairs(query, key, matching), strict=True)

    def _trend(self, start: int, step: int) -> torch.Tensor:
        """Trend (classes,) of the shapes from the last stretch, towards an open end."""
        sources = self._sources
        neighbour = sources.anchors.index(start) - step if start in sources.anchors else -1
        if not 0 <= neighbour < len(sources.anchors):
            return torch.zeros(sources.classes, device=sources.ink.device)
        other = sources.anchors[neighbour]
        here, there = sources.classes_at(start), sources.classes_at(other)
        return shrinkage(here, there, abs(start - other), sources.classes)
