"""From the reads of slices to their probabilities: the reads mixed, and evidence of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .class_parts import exchange, exchanged_classes, object_first
from .gaussian_blur import gaussian_blur
from .ink_completion import correct_by_ink
from .label_carrying import Pyramids
from .propagation_sources import Sources
from .shape_prior import interpolated_shapes, keep_areas_of_slices, overlap

Stretch = tuple[int, int]

#: Chance that the reads leave to a class they do not show.
_LEAST_CHANCE = 1e-4


@dataclass(frozen=True)
class Mixed:
    """What the reads make of some slices.

    Parameters
    ----------
    slices : sequence of int
    labels : Tensor, (B, classes, H, W)
    agreement : Tensor, (B, H, W)
    second : Tensor, (B, classes, H, W), or None
        Labels of the farther read; None where there is only one.
    """

    slices: Sequence[int]
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

    def mix(
        self, slices: Sequence[int], stretch: Stretch, ahead: torch.Tensor, back: torch.Tensor
    ) -> Mixed:
        """Mix the reads from both ends.

        Parameters
        ----------
        slices : sequence of int
            Slices between the ends.
        stretch : tuple of int
            The ends.
        ahead, back : Tensor, (B, classes + 1, H, W)
            Read at these slices from the first end and from the second, as `Carrier.carry` yields
            it: the labels, then the gathered cost.

        Returns
        -------
        Mixed
        """
        sources, config, (a, b) = self._sources, self._sources.config, stretch
        classes = sources.classes
        way = torch.tensor([(z - a) / (b - a) for z in slices], device=ahead.device)
        t = way[:, None, None, None]
        scale = max(config.cost_scale, config.slice_cost_scale * (b - a))
        (ahead, cost_ahead), (back, cost_back) = (s.split((classes, 1), 1) for s in (ahead, back))
        least = torch.minimum(cost_ahead, cost_back)
        near = (1 - t) ** config.distance_power * torch.exp((least - cost_ahead) / scale)
        far = t**config.distance_power * torch.exp((least - cost_back) / scale)
        if a in sources.empty_ends:
            near = config.empty_weight * near
        if b in sources.empty_ends:
            far = config.empty_weight * far
        labels = (near * ahead + far * back) / (near + far)
        if stretch not in self._exclusive:
            self._exclusive[stretch] = exchanged_classes(
                sources.classes_at(a), sources.classes_at(b), classes
            )
        labels = exchange(
            labels, ahead, back, near, far, self._exclusive[stretch], config.class_blur
        )
        second = torch.where(t < 0.5, back, ahead)
        return Mixed(slices, labels, (ahead * back).sum(1), second)

    def decide(self, stretch: Stretch, mixed: Mixed, pyramids: Pyramids) -> torch.Tensor:
        """Weigh evidence of other kinds against the reads.

        Parameters
        ----------
        stretch : tuple of int
            The ends, of which one may be open.
        mixed : Mixed
        pyramids : Pyramids
            Of the stretch.

        Returns
        -------
        Tensor, (B, classes, H, W)
            Probabilities.
        """
        sources, config, (a, b) = self._sources, self._sources.config, stretch
        slices = mixed.slices
        labels = object_first(mixed.labels, config.class_temperature)
        believed = self._looks_believed(stretch)[:, None, None]
        least = _LEAST_CHANCE * (config.looks_chance / _LEAST_CHANCE) ** believed
        logits = torch.maximum(keep_areas_of_slices(labels), least).log()
        if sources.appearance is not None:
            evidence = sources.appearance.evidence(pyramids.of(slices)[0])
            if not sources.background_met:
                evidence[:, 0] = 0.0  # neither for it nor against it
            logits = logits + self._appearance_weight(stretch) * evidence
            against = evidence - evidence[:, :1]
            weight = config.looks_weight * self._distance(stretch)
            logits = logits + weight * believed * against
        logits = gaussian_blur(logits, sources.smoothing)
        if a in sources.ends and b in sources.ends:
            if stretch not in self._trust:
                common = overlap(sources.classes_at(a), sources.classes_at(b))
                self._trust[stretch] = config.shape_weight * common**config.shape_power
            fractions = [(z - a) / (b - a) for z in slices]
            shapes = interpolated_shapes(sources.distances(a), sources.distances(b), fractions)
            logits = logits + self._trust[stretch] * shapes
        found = logits.masked_fill(sources.absent[:, None, None], -math.inf).softmax(1)
        for i, z in enumerate(slices):
            if z in sources.partial:
                found[i] = correct_by_ink(pyramids[z][0], sources.ink[z], found[i])
        return found

    def _looks_believed(self, stretch: Stretch) -> torch.Tensor:
        """Return how far (classes,) the looks alone are believed between two ends."""
        believed = self._sources.looks_believed
        # Nothing that was tested tells what there is beyond the outermost labels.
        inked = all(z in self._sources.anchors for z in stretch)
        return believed if inked else torch.zeros_like(believed)

    def _appearance_weight(self, stretch: Stretch) -> float:
        """Return what the appearance counts: more where the ends are farther apart."""
        config = self._sources.config
        return config.appearance_weight + config.appearance_far * self._distance(stretch)

    def _distance(self, stretch: Stretch) -> float:
        """Return how far the ends are apart, from 0 to 1."""
        config, ends, (a, b) = self._sources.config, self._sources.ends, stretch
        pixels = (b - a) * self._sources.slice_distance
        if a not in ends or b not in ends:
            # Beyond the last end, what looks like the object is often something else.
            pixels = config.appearance_gap / 2
        return pixels / (pixels + config.appearance_gap)
