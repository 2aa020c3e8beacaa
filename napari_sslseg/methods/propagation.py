"""Reference-guided labels inside one volume: matching carried from slice to slice.

Seibold et al. (RPG, AAAI 2022) give a pixel the label of the most similar reference pixels. Inside
one volume the reference slice and its neighbour show the same patient, so the match can be local:

1. Every pixel is described by the patches around it (`slice_features`), or by learned features.
2. Between each slice and the next, a displacement and a windowed soft read (`slice_matching`).
3. From each wholly inked slice the labels are carried towards the next one, both ways, together
   with the matching cost gathered on the way. Strokes on slices in between, or a slice inked across
   them, correct the labels as they come by (`ink_completion`). The two results are averaged, the
   nearer one and, pixel by pixel, the better matching one counting more.
4. Parts of one object that the two inked slices show instead of each other are told apart by
   nearness (`class_parts`). The classes are rebalanced to keep their area
   (`shape_prior.keep_areas`). As further evidence come the appearance of the classes in the inked
   slices (`appearance`) and, where the shapes of the two inked slices overlap well, the shape
   interpolated between them.
5. Beyond the outermost inked slices, labels are carried one way, and shapes that were shrinking
   towards the end go on shrinking at that rate.

The stretch between two inked slices depends on these two alone, apart from the appearance, so a
corrected slice only renews the stretches on either side of it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import torch
import torch.nn.functional as F

from .appearance import Appearance, fit_appearance
from .class_parts import exchange, exchanged_classes, object_first
from .ink_completion import NOT_ANNOTATED, complete_ink, correct_by_ink
from .propagation_result import Propagation, PropagationConfig
from .shape_prior import (
    interpolated_shapes,
    keep_areas,
    object_radius,
    overlap,
    shrinkage,
    signed_distances,
    thinnest_radius,
)
from .slice_features import gaussian_blur, slice_features, standardise
from .slice_matching import Match, match_slices, pyramid
from .working_region import grow_where_touched, working_region

__all__ = ["Propagation", "PropagationConfig", "propagate"]


def propagate(
    image: torch.Tensor,
    ink: torch.Tensor,
    classes: int,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    config: PropagationConfig | None = None,
    progress: Callable[[float], None] | None = None,
    features: torch.Tensor | None = None,
    device: torch.device | str | None = None,
    previous: Propagation | None = None,
    changed: Sequence[int] | None = None,
    workers: int = 1,
) -> Propagation:
    """Carry the labels of a few inked slices through the whole volume.

    Parameters
    ----------
    image : (Z, C, H, W) real tensor
        The volume, slicing axis first.
    ink : (Z, H, W) uint8 tensor
        Class of each annotated voxel, 255 (not annotated) elsewhere: whole slices or strokes.
    classes : int
        Number of classes, background (0) included.
    spacing : three floats
        Distance (mm) of slices, rows and columns.
    config : PropagationConfig, optional
    progress : callable, optional
        Called with the finished part in [0, 1].
    features : (Z, D, H, W) float tensor, optional
        Learned descriptors to match on instead of the built-in ones. They are scaled as a whole
        to unit mean variance, nothing else is assumed of them.
    device : torch.device or str, optional
        Where to compute and return; default: where ``image`` is.
    previous : Propagation, optional
        Result before the slices ``changed`` were inked or corrected; it is not modified.
    changed : sequence of int, optional
        Slices whose ink differs from that of ``previous``. Only the stretches that end at one of
        them are computed again, with an appearance learned from the ink as it is now; all other
        slices are taken over.
    workers : int
        Threads, each of which works on a stretch between two inked slices. The operations are too
        small for several threads in each: leave torch at one thread.

    Returns
    -------
    Propagation

    Raises
    ------
    ValueError
        If nothing is inked, shapes do not fit, or ink names a class beyond ``classes``.
    """
    config = config or PropagationConfig()
    target = torch.device(device) if device is not None else image.device
    _check(image, ink, classes, spacing, features)
    ink = ink.to(target)
    with torch.no_grad():
        region = working_region(ink, config.margin, config.minimum_margin)
        while True:
            work = _Work(image, ink, classes, config, features, target, *region, progress, workers)
            result = work.run(previous, changed)
            grown = grow_where_touched(result.probabilities, *region)
            if grown == region:
                break
            region = grown
    if progress is not None:
        progress(1.0)
    return result


class _Work:
    """One propagation within a region of the slices."""

    def __init__(
        self,
        image: torch.Tensor,
        ink: torch.Tensor,
        classes: int,
        config: PropagationConfig,
        features: torch.Tensor | None,
        device: torch.device,
        rows: slice,
        columns: slice,
        progress: Callable[[float], None] | None,
        workers: int,
    ) -> None:
        self.classes, self.config, self.progress = classes, config, progress
        self.workers = workers
        self.full_ink, self.rows, self.columns = ink, rows, columns
        self.ink = ink[:, rows, columns]
        known = (ink != NOT_ANNOTATED).flatten(1)
        self.partial: set[int] = set()
        whole = known.all(1)
        if bool(whole.any()):
            # Labels are carried from whole slices. Strokes elsewhere correct what arrives there:
            # one stroke says too little about its slice to take the place of all that.
            self.partial = set(torch.nonzero(known.any(1) & ~whole).flatten().tolist())
            known = known & whole[:, None]
        self.anchors = torch.nonzero(known.any(1)).flatten().tolist()
        if features is None:
            crop = standardise(image.to(device))[..., rows, columns]
            self.features = slice_features(crop, config.dimensions, config.scales)
        else:
            crop = features[..., rows, columns].to(device).float()
            spread = crop.var((0, 2, 3)).sum().clamp_min(1e-12)
            self.features = crop / spread.sqrt()
        inked = ink[self.anchors]
        used = torch.bincount(ink[ink != NOT_ANNOTATED].long(), minlength=classes) > 0
        self.absent = ~used.to(device)
        levels = 1 + math.floor(math.log2(max(1.0, object_radius(inked) / config.coarsest_radius)))
        self.matching = dataclasses.replace(
            config.matching, levels=max(2, min(levels, config.matching.levels + 1))
        )
        self.ends = {z: complete_ink(self.features[z], self.ink[z], classes) for z in self.anchors}
        self.appearance: Appearance | None = fit_appearance(
            self.features[self.anchors], self.ink[self.anchors], classes
        )
        end_labels = torch.stack([self.ends[z].max(0).indices for z in self.anchors])
        self.smoothing = config.smoothing * thinnest_radius(end_labels, classes)
        self.distances: dict[int, torch.Tensor] = {}
        self.trust: dict[tuple[int, int], float] = {}

    def run(self, previous: Propagation | None, changed: Sequence[int] | None) -> Propagation:
        depth, height, width = self.full_ink.shape
        shape = (depth, self.classes, height, width)
        if previous is not None and changed is not None:
            if previous.probabilities.shape != shape:
                raise ValueError("The previous propagation is of another volume.")
            device = self.full_ink.device
            result = Propagation(
                previous.probabilities.to(device).clone(),
                previous.confidence.to(device).clone(),
                previous.agreement.to(device).clone(),
                previous.farther.to(device).clone(),
                list(self.anchors),
            )
            # A slice that lost all its ink joins the two stretches beside it.
            dirty = set(changed) | (set(previous.inked_slices) ^ set(self.anchors))
        else:
            probabilities = torch.zeros(shape, device=self.full_ink.device)
            probabilities[:, 0] = 1.0
            ones = torch.ones((depth, height, width), device=self.full_ink.device)
            farther = torch.zeros((depth, height, width), dtype=torch.uint8, device=ones.device)
            result = Propagation(probabilities, ones, ones.clone(), farther, list(self.anchors))
            dirty = set(range(depth))
        for z in self.anchors:
            if z in dirty:
                self._store(result, z, self.ends[z], torch.ones_like(self.ends[z][0]), self.ends[z])
        stretches = self._stretches(depth)
        stretches = [
            s for s in stretches if dirty & set(range(max(s[0], 0), min(s[1], depth - 1) + 1))
        ]
        total = max(1, sum(b - a - 1 for a, b in stretches))
        done = 0
        # Longest first, so that the last one to finish is short. Stretches share no slice, hence
        # no thread writes where another one does.
        stretches.sort(key=lambda s: s[0] - s[1])
        pool = ThreadPoolExecutor(self.workers)
        try:
            tasks = {pool.submit(self._fill, result, a, b): b - a - 1 for a, b in stretches}
            for task in as_completed(tasks):
                task.result()
                done += tasks[task]
                if self.progress is not None:
                    self.progress(done / total)
        finally:
            pool.shutdown(cancel_futures=True)
        return result

    @torch.no_grad()  # which holds for one thread only
    def _fill(self, result: Propagation, a: int, b: int) -> None:
        """Propose the slices between two ends."""
        pyramids: dict[int, list[torch.Tensor]] = {}
        ahead = self._carry(a, b, pyramids) if a >= 0 else {}
        back = self._carry(b, a, pyramids) if b < len(self.full_ink) else {}
        for z in range(a + 1, b):
            forward, backward = ahead.pop(z, None), back.pop(z, None)
            labels, agreement = self._combine(z, a, b, forward, backward)
            if forward is None or backward is None:
                second = labels
            else:
                second = (backward if z - a < b - z else forward)[:-1]
            self._store(result, z, labels, agreement, second)

    def _stretches(self, depth: int) -> list[tuple[int, int]]:
        """Pairs of ends with slices between them; -1 and ``depth`` are open ends."""
        ends = [-1, *self.anchors, depth]
        return [(a, b) for a, b in itertools.pairwise(ends) if b - a > 1]

    def _match(self, query: int, key: int, pyramids: dict[int, list[torch.Tensor]]) -> Match:
        for z in (query, key):
            if z not in pyramids:
                pyramids[z] = pyramid(self.features[z], self.matching.levels)
        return match_slices(pyramids[query], pyramids[key], self.matching)

    def _distances(self, z: int) -> torch.Tensor:
        """Signed distances of an inked slice's classes."""
        if z not in self.distances:
            self.distances[z] = signed_distances(self.ends[z].max(0).indices, self.classes)
        return self.distances[z]

    def _carry(
        self, start: int, stop: int, pyramids: dict[int, list[torch.Tensor]]
    ) -> dict[int, torch.Tensor]:
        """Labels and, as last channel, gathered cost on the slices from start up to stop.

        Towards an open end the signed distances of the shapes are carried too.
        """
        open_end = stop in (-1, len(self.full_ink))
        step = 1 if stop > start else -1
        state = torch.cat((self.ends[start], torch.zeros_like(self.ends[start][:1])))
        if open_end:
            shapes = self._distances(start)
            trend = self._trend(start, step)
        result = {}
        for count, z in enumerate(range(start + step, stop, step), 1):
            match = self._match(z, z - step, pyramids)
            state = match.carry(state)
            state[-1] += gaussian_blur(match.cost[None, None], 1.0)[0, 0]
            if z in self.partial:
                state[:-1] = correct_by_ink(self.features[z], self.ink[z], state[:-1])
            result[z] = state
            if open_end:
                shapes = match.carry(shapes)
                remains = torch.sigmoid(shapes + trend[:, None, None] * count + 1.0)
                remains[0] = 1.0
                labels = state[:-1] * torch.where(trend < 0, 1.0, 0.0)[:, None, None] * remains
                labels = labels + state[:-1] * torch.where(trend < 0, 0.0, 1.0)[:, None, None]
                labels[0] += 1 - labels.sum(0)
                result[z] = torch.cat((labels, state[-1:]))
        return result

    def _trend(self, start: int, step: int) -> torch.Tensor:
        """Trend (classes,) of the shapes from the last stretch, towards an open end."""
        neighbour = self.anchors.index(start) - step
        if not 0 <= neighbour < len(self.anchors):
            return torch.zeros(self.classes, device=self.full_ink.device)
        other = self.anchors[neighbour]
        here, there = self.ends[start].max(0).indices, self.ends[other].max(0).indices
        return shrinkage(here, there, abs(start - other), self.classes)

    def _combine(
        self, z: int, a: int, b: int, ahead: torch.Tensor | None, back: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """One slice's probabilities and the agreement of its reads."""
        config = self.config
        if ahead is not None and back is not None:
            t = (z - a) / (b - a)
            least = torch.minimum(ahead[-1], back[-1])
            near = (1 - t) ** config.distance_power * torch.exp(
                (least - ahead[-1]) / config.cost_scale
            )
            far = t**config.distance_power * torch.exp((least - back[-1]) / config.cost_scale)
            labels = (near * ahead[:-1] + far * back[:-1]) / (near + far)
            exclusive = exchanged_classes(
                self.ends[a].max(0).indices, self.ends[b].max(0).indices, self.classes
            )
            labels = exchange(
                labels, ahead[:-1], back[:-1], near, far, exclusive, config.class_blur
            )
            agreement = (ahead[:-1] * back[:-1]).sum(0)
        else:
            only = ahead if ahead is not None else back
            assert only is not None
            labels = only[:-1]
            agreement = labels.square().sum(0)
        labels = object_first(labels, config.class_temperature)
        logits = keep_areas(labels).clamp_min(1e-4).log()
        if self.appearance is not None:
            logits = logits + config.appearance_weight * self.appearance.evidence(self.features[z])
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
            labels = correct_by_ink(self.features[z], self.ink[z], labels)
        return labels, agreement

    def _store(
        self,
        result: Propagation,
        z: int,
        labels: torch.Tensor,
        agreement: torch.Tensor,
        second: torch.Tensor,
    ) -> None:
        """Put a slice into the result, its ink exact."""
        probabilities = result.probabilities[z]
        probabilities.zero_()
        probabilities[0] = 1.0
        probabilities[:, self.rows, self.columns] = labels
        ink = self.full_ink[z]
        known = ink != NOT_ANNOTATED
        exact = F.one_hot(torch.where(known, ink, 0).long(), self.classes).permute(2, 0, 1)
        result.probabilities[z] = torch.where(known, exact.float(), probabilities)
        result.confidence[z] = result.probabilities[z].amax(0)
        result.farther[z] = 0
        result.farther[z, self.rows, self.columns] = second.max(0).indices.to(torch.uint8)
        result.farther[z][known] = ink[known]
        result.agreement[z] = 1.0
        result.agreement[z, self.rows, self.columns] = agreement.clamp(0, 1)


def _check(
    image: torch.Tensor,
    ink: torch.Tensor,
    classes: int,
    spacing: Sequence[float],
    features: torch.Tensor | None,
) -> None:
    if image.ndim != 4 or ink.shape != (image.shape[0], *image.shape[2:]):
        raise ValueError(
            f"An image (Z, C, H, W) needs ink (Z, H, W), not {tuple(image.shape)} and "
            f"{tuple(ink.shape)}."
        )
    if features is not None and features.shape[::2] != image.shape[::2]:
        raise ValueError("The features must be given for every voxel of the image.")
    if len(spacing) != 3 or min(spacing) <= 0:
        raise ValueError("The spacing must be three positive lengths.")
    known = ink[ink != NOT_ANNOTATED]
    if not len(known):
        raise ValueError("Nothing is inked: label at least one slice first.")
    if int(known.max()) >= classes:
        raise ValueError(
            f"The ink names class {int(known.max())}, but there are {classes} classes."
        )
