"""One propagation within a region of the slices: the stretches between inked slices, one by one."""

from __future__ import annotations

import dataclasses
import itertools
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import torch

from .appearance import Appearance, fit_appearance
from .class_parts import exchange, exchanged_classes, object_first
from .ink_completion import NOT_ANNOTATED, complete_ink, correct_by_ink
from .propagation_result import Propagation, PropagationConfig
from .shape_prior import (
    interpolated_shapes,
    keep_areas,
    keep_areas_of_slices,
    object_radius,
    overlap,
    shrinkage,
    signed_distances,
    thinnest_radius,
)
from .slice_features import StreamedFeatures, gaussian_blur, slice_features, standardise
from .slice_matching import Match, match_pairs, match_slices, pyramid
from .storage import Slices, Storage
from .working_region import inked_pixels

#: Seconds between two reports of progress.
_REPORT_EVERY = 0.2

#: Matches made at once on a GPU: enough to fill it, a few hundred MB for slices of 512 x 512.
_AT_ONCE = 16

#: Fewest slices whose descriptors are kept: a match needs two, and the one before is asked again.
_FEWEST = 3


class _Pyramids:
    """Pyramids of descriptors of the slices of one stretch, the latest of them kept."""

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


@dataclasses.dataclass(frozen=True)
class _Mixed:
    """What the reads make of a slice: labels, their agreement, and the farther read's labels."""

    z: int
    labels: torch.Tensor
    agreement: torch.Tensor
    second: torch.Tensor | None


class PropagationWork:
    """One propagation within a region of the slices."""

    def __init__(
        self,
        image: torch.Tensor | Slices,
        ink: torch.Tensor,
        classes: int,
        config: PropagationConfig,
        features: torch.Tensor | None,
        device: torch.device,
        rows: slice,
        columns: slice,
        progress: Callable[[float], None] | None,
        workers: int,
        storage: Storage | None,
    ) -> None:
        self.classes, self.config, self.progress = classes, config, progress
        self.workers, self.storage = workers, storage
        self.full_ink, self.rows, self.columns = ink, rows, columns
        self.ink = ink[:, rows, columns]
        pixels = inked_pixels(ink)
        known, whole = pixels > 0, pixels == ink[0].numel()
        self.partial: set[int] = set()
        if bool(whole.any()):
            # Labels are carried from whole slices. Strokes elsewhere correct what arrives there:
            # one stroke says too little about its slice to take the place of all that.
            self.partial = set(torch.nonzero(known & ~whole).flatten().tolist())
            known = whole
        self.anchors: list[int] = torch.nonzero(known).flatten().tolist()
        self.features: torch.Tensor | StreamedFeatures
        if features is None and (storage is not None or not isinstance(image, torch.Tensor)):
            self.features = StreamedFeatures(
                image, rows, columns, config.dimensions, config.scales, device
            )
        elif features is None:
            assert isinstance(image, torch.Tensor)
            crop = standardise(image.to(device))[..., rows, columns]
            self.features = slice_features(crop, config.dimensions, config.scales, workers)
        else:
            crop = features[..., rows, columns].to(device).float()
            spread = crop.var((0, 2, 3)).sum().clamp_min(1e-12)
            self.features = crop / spread.sqrt()
        inked = ink[self.anchors]
        used = torch.zeros(classes, dtype=torch.bool)
        for z in torch.nonzero(pixels).flatten().tolist():
            used[ink[z][ink[z] != NOT_ANNOTATED].unique().long().cpu()] = True
        self.absent = ~used.to(device)
        levels = 1 + math.floor(math.log2(max(1.0, object_radius(inked) / config.coarsest_radius)))
        self.matching = dataclasses.replace(
            config.matching, levels=max(2, min(levels, config.matching.levels + 1))
        )
        self.ends = {z: complete_ink(self.features[z], self.ink[z], classes) for z in self.anchors}
        self.appearance: Appearance | None = fit_appearance(
            (self.features[z] for z in self.anchors), self.ink[self.anchors], classes
        )
        end_labels = torch.stack([self.ends[z].max(0).indices for z in self.anchors])
        self.smoothing = config.smoothing * thinnest_radius(end_labels, classes)
        self.distances: dict[int, torch.Tensor] = {}
        self.trust: dict[tuple[int, int], float] = {}
        self.exclusive: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}
        #: Slices that are matched and decided at once.
        self.at_once = 1 if device.type == "cpu" or storage is not None else _AT_ONCE
        self.carried = 0
        self.stopped = threading.Event()

    def run(self, previous: Propagation | None, changed: Sequence[int] | None) -> Propagation:
        """Carry the labels; see `propagation.propagate` for the parameters."""
        """Propagate, or renew the stretches of a previous result that end at changed slices."""
        depth, height, width = self.full_ink.shape
        shape = (depth, self.classes, height, width)
        if previous is not None and changed is not None:
            if previous.probabilities.shape != shape:
                raise ValueError("The previous propagation is of another volume.")
            device = self.full_ink.device
            copy = self.storage.copy if self.storage is not None else torch.clone
            result = Propagation(
                copy(previous.probabilities.to(device)),
                copy(previous.agreement.to(device)),
                copy(previous.farther.to(device)),
                list(self.anchors),
            )
            # A slice that lost all its ink joins the two stretches beside it.
            dirty = set(changed) | (set(previous.inked_slices) ^ set(self.anchors))
        else:
            result = self._blank(shape)
            dirty = set(range(depth))
        for z in self.anchors:
            if z in dirty:
                self._store(result, z, self.ends[z], torch.ones_like(self.ends[z][0]), self.ends[z])
        stretches = self._stretches(depth)
        stretches = [
            s for s in stretches if dirty & set(range(max(s[0], 0), min(s[1], depth - 1) + 1))
        ]
        # Longest first, so that the last one to finish is short. Stretches share no slice, hence
        # no thread writes where another one does.
        stretches.sort(key=lambda s: s[0] - s[1])
        total = max(1, sum((b - a - 1) * (1 + (a >= 0 and b < depth)) for a, b in stretches))
        pool = ThreadPoolExecutor(self.workers)
        waiting = {pool.submit(self._fill, result, a, b) for a, b in stretches}
        try:
            while waiting:
                done, waiting = wait(waiting, _REPORT_EVERY, FIRST_COMPLETED)
                for task in done:
                    task.result()
                if self.storage is not None:
                    self.storage.release()
                if self.progress is not None:
                    self.progress(min(1.0, self.carried / total))
        finally:
            self.stopped.set()
            pool.shutdown(cancel_futures=True)
        return result

    def _blank(self, shape: tuple[int, int, int, int]) -> Propagation:
        """Background everywhere, of which every read is sure."""
        depth, _, height, width = shape
        volume, device = (depth, height, width), self.full_ink.device
        if self.storage is None:
            probabilities = torch.zeros(shape, device=device)
            agreement = torch.zeros(volume, device=device)
            farther = torch.zeros(volume, dtype=torch.uint8, device=device)
        else:
            probabilities = self.storage.zeros(shape, self.storage.precision)
            agreement = self.storage.zeros(volume, self.storage.precision)
            farther = self.storage.zeros(volume, torch.uint8)
        # What lies beyond the last carried slice of an open end stays like that; all the others
        # are written when their turn comes.
        for z in range(depth):
            probabilities[z, 0] = 1.0
            agreement[z] = 1.0
            if self.storage is not None:
                self.storage.release()
        return Propagation(probabilities, agreement, farther, list(self.anchors))

    @torch.no_grad()  # which holds for one thread only
    def _fill(self, result: Propagation, a: int, b: int) -> None:
        """Propose the slices between two ends."""
        pyramids = _Pyramids(self.features, self.matching.levels, self._kept())
        mixed: list[_Mixed] = []
        for one in self._reads(a, b, pyramids):
            mixed.append(one)
            if len(mixed) == self.at_once:
                self._decide(result, a, b, mixed, pyramids)
                mixed = []
        if mixed:
            self._decide(result, a, b, mixed, pyramids)

    def _reads(self, a: int, b: int, pyramids: _Pyramids) -> Iterator[_Mixed]:
        """Yield the slices between two ends with what the reads from either side make of them."""
        if a < 0 or b >= len(self.full_ink):
            for z, state in self._carry(*((a, b) if a >= 0 else (b, a)), pyramids):
                labels = state[:-1]
                yield _Mixed(z, labels, labels.square().sum(0), None)
            return
        ahead = self._states(b - a - 1)
        for z, state in self._carry(a, b, pyramids):
            ahead[z - a - 1] = state
        for z, backward in self._carry(b, a, pyramids):
            forward = ahead[z - a - 1]
            second = (backward if z - a < b - z else forward)[:-1]
            labels, agreement = self._mix(z, a, b, forward, backward)
            yield _Mixed(z, labels, agreement, second)

    def _kept(self) -> int | None:
        """Slices of a stretch whose descriptors are kept for the way back; None: all."""
        if self.storage is None:
            return None
        pixels = self.ink[0].numel()
        # Descriptors are four bytes each, the coarser levels add a third of them.
        room = self.storage.slices_in_memory(4 * self.config.dimensions * pixels * 4 // 3)
        return max(_FEWEST, room // max(self.workers, 1))

    def _states(self, count: int) -> torch.Tensor:
        """Room for what is carried along a stretch, on every slice of it."""
        shape = (count, self.classes + 1, *self.ink.shape[1:])
        if self.storage is None:
            return torch.empty(shape, device=self.full_ink.device)
        return self.storage.zeros(shape, torch.float32)

    def _stretches(self, depth: int) -> list[tuple[int, int]]:
        """Pairs of ends with slices between them; -1 and ``depth`` are open ends."""
        ends = [-1, *self.anchors, depth]
        return [(a, b) for a, b in itertools.pairwise(ends) if b - a > 1]

    def _distances(self, z: int) -> torch.Tensor:
        """Signed distances of an inked slice's classes."""
        if z not in self.distances:
            self.distances[z] = signed_distances(self.ends[z].max(0).indices, self.classes)
        return self.distances[z]

    def _carry(
        self, start: int, stop: int, pyramids: _Pyramids
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield each slice from start up to stop, with its labels and the gathered cost.

        The cost is the last channel. Towards an open end the signed distances of the shapes are
        carried too.
        """
        open_end = stop in (-1, len(self.full_ink))
        step = 1 if stop > start else -1
        state = torch.cat((self.ends[start], torch.zeros_like(self.ends[start][:1])))
        if open_end:
            shapes = self._distances(start)
            trend = self._trend(start, step)
        path = range(start + step, stop, step)
        for count, (z, match) in enumerate(self._matches(path, step, pyramids), 1):
            if self.stopped.is_set():
                return
            state = match.carry(state)
            state[-1] += gaussian_blur(match.cost[None, None], 1.0)[0, 0]
            if z in self.partial:
                state[:-1] = correct_by_ink(pyramids[z][0], self.ink[z], state[:-1])
            if self.storage is not None:
                self.storage.release()
            self.carried += 1  # two threads may lose a count: it is for the progress bar only
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
        self, path: Sequence[int], step: int, pyramids: _Pyramids
    ) -> Iterator[tuple[int, Match]]:
        """Yield slices with their match with the slice before; on a GPU many are made at once."""
        if self.at_once == 1:
            for z in path:
                yield z, match_slices(pyramids[z], pyramids[z - step], self.matching)
            return
        for i in range(0, len(path), self.at_once):
            part = path[i : i + self.at_once]
            query, key = (
                [torch.stack(maps) for maps in zip(*(pyramids[z] for z in slices), strict=True)]
                for slices in (part, [z - step for z in part])
            )
            yield from zip(part, match_pairs(query, key, self.matching), strict=True)

    def _trend(self, start: int, step: int) -> torch.Tensor:
        """Trend (classes,) of the shapes from the last stretch, towards an open end."""
        neighbour = self.anchors.index(start) - step
        if not 0 <= neighbour < len(self.anchors):
            return torch.zeros(self.classes, device=self.full_ink.device)
        other = self.anchors[neighbour]
        here, there = self.ends[start].max(0).indices, self.ends[other].max(0).indices
        return shrinkage(here, there, abs(start - other), self.classes)

    def _mix(
        self, z: int, a: int, b: int, ahead: torch.Tensor, back: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the labels of a slice from the reads from both sides, and their agreement."""
        config = self.config
        t = (z - a) / (b - a)
        least = torch.minimum(ahead[-1], back[-1])
        near = (1 - t) ** config.distance_power * torch.exp((least - ahead[-1]) / config.cost_scale)
        far = t**config.distance_power * torch.exp((least - back[-1]) / config.cost_scale)
        labels = (near * ahead[:-1] + far * back[:-1]) / (near + far)
        if (a, b) not in self.exclusive:
            self.exclusive[a, b] = exchanged_classes(
                self.ends[a].max(0).indices, self.ends[b].max(0).indices, self.classes
            )
        labels = exchange(
            labels, ahead[:-1], back[:-1], near, far, self.exclusive[a, b], config.class_blur
        )
        return labels, (ahead[:-1] * back[:-1]).sum(0)

    def _decide(
        self, result: Propagation, a: int, b: int, mixed: list[_Mixed], pyramids: _Pyramids
    ) -> None:
        """Turn the reads of some slices into their probabilities, and put these into the result."""
        labels = [object_first(m.labels, self.config.class_temperature) for m in mixed]
        if len(labels) == 1:
            kept = [keep_areas(labels[0])]
        else:
            kept = list(keep_areas_of_slices(torch.stack(labels)))
        for one, areas in zip(mixed, kept, strict=True):
            found = self._with_evidence(one.z, a, b, areas.clamp_min(1e-4).log(), pyramids)
            second = one.second if one.second is not None else found
            self._store(result, one.z, found, one.agreement, second)

    def _with_evidence(
        self, z: int, a: int, b: int, logits: torch.Tensor, pyramids: _Pyramids
    ) -> torch.Tensor:
        """Add appearance, shape and strokes to the read labels of a slice."""
        config = self.config
        if self.appearance is not None:
            logits = logits + config.appearance_weight * self.appearance.evidence(pyramids[z][0])
        logits = gaussian_blur(logits[None], self.smoothing)[0]
        if a in self.ends and b in self.ends:
            if (a, b) not in self.trust:
                common = overlap(self.ends[a].max(0).indices, self.ends[b].max(0).indices)
                self.trust[a, b] = config.shape_weight * common**config.shape_power
            shapes = interpolated_shapes(self._distances(a), self._distances(b), (z - a) / (b - a))
            logits = logits + self.trust[a, b] * shapes
        logits[self.absent] = -math.inf
        labels = logits.softmax(0)
        if z in self.partial:
            labels = correct_by_ink(pyramids[z][0], self.ink[z], labels)
        return labels

    def _store(
        self,
        result: Propagation,
        z: int,
        labels: torch.Tensor,
        agreement: torch.Tensor,
        second: torch.Tensor,
    ) -> None:
        """Put a slice into the result, its ink exact."""
        ink = self.full_ink[z]
        known = ink != NOT_ANNOTATED
        ids = torch.arange(self.classes, device=ink.device)[:, None, None]
        probabilities = (ids == 0).float().expand(-1, *ink.shape).clone()
        probabilities[:, self.rows, self.columns] = labels
        result.probabilities[z] = torch.where(known, (ids == ink).float(), probabilities)
        farther = torch.zeros_like(ink)
        farther[self.rows, self.columns] = second.max(0).indices.to(torch.uint8)
        result.farther[z] = torch.where(known, ink, farther)
        result.agreement[z] = 1.0
        result.agreement[z, self.rows, self.columns] = agreement.clamp(0, 1)
