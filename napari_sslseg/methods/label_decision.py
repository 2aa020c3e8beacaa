"""From the reads of a slice to its probabilities: the reads mixed, and the evidence of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from .class_parts import exchange, exchanged_classes, object_first
from .ink_completion import correct_by_ink
from .label_carrying import Pyramids
from .propagation_sources import Sources
from .shape_prior import interpolated_shapes, keep_areas, keep_areas_of_slices, overlap
from .slice_features import gaussian_blur

Stretch = tuple[int, int]


@dataclass(frozen=True)
class Mixed:
    """What the reads make of a slice.

    Parameters
    ----------
    z : int
    labels : Tensor, (classes, H, W)
    agreement : Tensor, (H, W)
    second : Tensor, (classes, H, W), or None
        Labels of the farther read; None where there is only one.
    """

    z: int
    labels: torch.Tensor
    agreement: torch.Tensor
    second: torch.Tensor | None


class Decider:
    """Decides on the slices of any stretch.

    Parameters
    ----------
    sources : Sources
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._trust: dict[Stretch, float] = {}
        self._exclusive: dict[Stretch, tuple[torch.Tensor, torch.Tensor]] = {}

    def mix(self, z: int, stretch: Stretch, ahead: torch.Tensor, back: torch.Tensor) -> Mixed:
        """Mix the reads of a slice from both ends, as `Carrier.carry` yields them."""
        sources, config, (a, b) = self._sources, self._sources.config, stretch
        t = (z - a) / (b - a)
        scale = max(config.cost_scale, config.slice_cost_scale * (b - a))
        least = torch.minimum(ahead[-1], back[-1])
        near = (1 - t) ** config.distance_power * torch.exp((least - ahead[-1]) / scale)
        far = t**config.distance_power * torch.exp((least - back[-1]) / scale)
        if a in sources.empty_ends:
            near = config.empty_weight * near
        if b in sources.empty_ends:
            far = config.empty_weight * far
        labels = (near * ahead[:-1] + far * back[:-1]) / (near + far)
        if stretch not in self._exclusive:
            self._exclusive[stretch] = exchanged_classes(
                sources.classes_at(a), sources.classes_at(b), sources.classes
            )
        labels = exchange(
            labels, ahead[:-1], back[:-1], near, far, self._exclusive[stretch], config.class_blur
        )
        second = (back if z - a < b - z else ahead)[:-1]
        return Mixed(z, labels, (ahead[:-1] * back[:-1]).sum(0), second)

    def decide(
        self, stretch: Stretch, mixed: Sequence[Mixed], pyramids: Pyramids
    ) -> Iterator[tuple[Mixed, torch.Tensor]]:
        """Yield each of some slices with its probabilities (classes, H, W)."""
        labels = [object_first(m.labels, self._sources.config.class_temperature) for m in mixed]
        if len(labels) == 1:
            kept = [keep_areas(labels[0])]
        else:
            kept = list(keep_areas_of_slices(torch.stack(labels)))
        for one, areas in zip(mixed, kept, strict=True):
            logits = areas.clamp_min(1e-4).log()
            yield one, self._with_evidence(one.z, stretch, logits, pyramids)

    def _with_evidence(
        self, z: int, stretch: Stretch, logits: torch.Tensor, pyramids: Pyramids
    ) -> torch.Tensor:
        """Add appearance, shape and strokes to the read labels of a slice."""
        sources, config, (a, b) = self._sources, self._sources.config, stretch
        if sources.appearance is not None:
            evidence = sources.appearance.evidence(pyramids[z][0])
            logits = logits + self._appearance_weight(stretch) * evidence
        logits = gaussian_blur(logits[None], sources.smoothing)[0]
        if a in sources.ends and b in sources.ends:
            if stretch not in self._trust:
                common = overlap(sources.classes_at(a), sources.classes_at(b))
                self._trust[stretch] = config.shape_weight * common**config.shape_power
            shapes = interpolated_shapes(
                sources.distances(a), sources.distances(b), (z - a) / (b - a)
            )
            logits = logits + self._trust[stretch] * shapes
        logits[sources.absent] = -math.inf
        labels = logits.softmax(0)
        if z in sources.partial:
            labels = correct_by_ink(pyramids[z][0], sources.ink[z], labels)
        return labels

    def _appearance_weight(self, stretch: Stretch) -> float:
        """Return what the appearance counts: more where the ends are farther apart."""
        config, ends, (a, b) = self._sources.config, self._sources.ends, stretch
        pixels = (b - a) * self._sources.slice_distance
        if a not in ends or b not in ends:
            # Beyond the last end, what looks like the object is often something else.
            pixels = config.appearance_gap / 2
        far = pixels / (pixels + config.appearance_gap)
        return config.appearance_weight + config.appearance_far * far
