"""One stretch between two ends, within a window of the slices: its reads, and what is decided."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from .label_carrying import Carrier, Course, Pyramids, stacked
from .label_decision import Decider, Mixed, Stretch
from .propagation_inputs import Execution
from .propagation_sources import Sources
from .slice_batches import slices_at_once

#: Fewest slices whose descriptors are kept: a match needs two, and the one before is asked again.
_FEWEST = 3


@dataclass(frozen=True)
class Proposed:
    """What is proposed for some slices, within the window."""

    slices: Sequence[int]
    probabilities: torch.Tensor
    """(B, classes, H, W)."""
    agreement: torch.Tensor
    """(B, H, W)."""
    farther: torch.Tensor
    """(B, classes, H, W) labels of the read from the farther side."""


class StretchWork:
    """The slices between two ends, within a window.

    Parameters
    ----------
    sources : Sources
        Within the window, see `Sources.within`.
    stretch : tuple of int
        The ends, of which one may be open.
    execution : Execution
    course : Course
        Shared with the other stretches.
    """

    def __init__(
        self, sources: Sources, stretch: Stretch, execution: Execution, course: Course
    ) -> None:
        self._sources, self._stretch = sources, stretch
        self._storage, self._workers = execution.storage, execution.workers
        self._pixels, self._device = sources.ink[0].numel(), sources.ink.device
        # Where memory is short, no more of it is asked for than one slice needs.
        many = slices_at_once(self._device, self._pixels)
        self._at_once = many if self._storage is None else 1
        self._carrier = Carrier(sources, self._storage, self._at_once, course)
        self._decider = Decider(sources)

    def proposed(self) -> Iterator[Proposed]:
        """Yield what is proposed, slice by slice or a few at once."""
        pyramids = Pyramids(self._sources, self._kept())
        for mixed in self._reads(pyramids):
            found = self._decider.decide(self._stretch, mixed, pyramids)
            second = mixed.second if mixed.second is not None else found
            yield Proposed(mixed.slices, found, mixed.agreement, second)

    def _reads(self, pyramids: Pyramids) -> Iterator[Mixed]:
        """Yield the slices with what the reads from either side make of them."""
        (a, b), carry = self._stretch, self._carrier.carry
        if a < 0 or b >= self._sources.depth:
            start, stop = (a, b) if a >= 0 else (b, a)
            for slices, states in self._together(carry(start, stop, pyramids)):
                labels = self._carrier.fading(start, stop, slices, states)
                yield Mixed(slices, labels, labels.square().sum(1), None)
            return
        ahead = self._states(b - a - 1)
        for z, state in carry(a, b, pyramids):
            ahead[z - a - 1] = state
        for slices, backward in self._together(carry(b, a, pyramids)):
            forward = stacked([ahead[z - a - 1] for z in slices])
            yield self._decider.mix(slices, (a, b), forward, backward)

    def _together(
        self, carried: Iterator[tuple[int, torch.Tensor]]
    ) -> Iterator[tuple[list[int], torch.Tensor]]:
        """Gather as many slices as are decided at once."""
        while part := list(itertools.islice(carried, self._at_once)):
            yield [z for z, _ in part], stacked([state for _, state in part])

    def _kept(self) -> int | None:
        """Slices whose descriptors are kept for the way back; None: all."""
        if self._storage is None:
            return None
        # Descriptors are four bytes each, the coarser levels add a third of them.
        each = 4 * self._sources.config.dimensions * self._pixels * 4 // 3
        room = self._storage.slices_in_memory(each)
        return max(_FEWEST, room // max(self._workers, 1))

    def _states(self, count: int) -> torch.Tensor:
        """Room for what is carried, on every slice."""
        shape = (count, self._sources.classes + 1, *self._sources.ink.shape[1:])
        if self._storage is None:
            return torch.empty(shape, device=self._device)
        return self._storage.zeros(shape, torch.float32)
