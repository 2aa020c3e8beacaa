"""One propagation within a region of the slices: the stretches between inked slices, one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import torch

from .ink_completion import NOT_ANNOTATED
from .label_carrying import Carrier, Pyramids, stacked
from .label_decision import Decider, Mixed
from .propagation_inputs import Execution, Renewal
from .propagation_result import Propagation
from .propagation_sources import Sources
from .slice_batches import slices_at_once

#: Seconds between two reports of progress.
_REPORT_EVERY = 0.2

#: Fewest slices whose descriptors are kept: a match needs two, and the one before is asked again.
_FEWEST = 3


class PropagationWork:
    """One propagation within a region of the slices.

    Parameters
    ----------
    sources : Sources
        What labels are carried from.
    execution : Execution
    """

    def __init__(self, sources: Sources, execution: Execution) -> None:
        self._progress, self._storage = execution.progress, execution.storage
        self._workers = execution.workers
        self._sources, self._ink = sources, sources.volume.ink
        # Where memory is short, no more of it is asked for than one slice needs.
        pixels = sources.ink[0].numel()
        self._at_once = slices_at_once(self._ink.device, pixels) if self._storage is None else 1
        self._carrier = Carrier(sources, self._storage, self._at_once)
        self._decider = Decider(sources)

    def run(self, renewal: Renewal | None) -> Propagation:
        """Propagate, or renew the stretches of a previous result that end at changed slices.

        Parameters
        ----------
        renewal : Renewal, optional

        Returns
        -------
        Propagation

        Raises
        ------
        ValueError
            If the previous result is of another volume.
        """
        sources, depth = self._sources, len(self._ink)
        anchors = set(sources.anchors)
        if renewal is None:
            result, dirty, before = self._blank(), set(range(depth)), anchors
        else:
            result, before = self._taken_over(renewal.previous), set(renewal.previous.inked_slices)
            # A slice that lost all its ink joins the two stretches beside it.
            dirty = set(renewal.changed) | (before ^ anchors)
        for z in sources.anchors:
            if z in dirty:
                end = sources.ends[z]
                self._store(result, [z], end[None], torch.ones_like(end[:1]), end[None])
        for z in sources.empty:
            if z in dirty and renewal is not None:
                self._store_empty(result, z)
        stretches = [s for s in sources.stretches() if dirty & self._depends_on(s, before)]
        # Longest first, so that the last one to finish is short. Stretches share no slice, hence
        # no thread writes where another one does.
        stretches.sort(key=lambda s: s[0] - s[1])
        total = max(1, sum((b - a - 1) * (1 + (a >= 0 and b < depth)) for a, b in stretches))
        pool = ThreadPoolExecutor(self._workers)
        waiting = {pool.submit(self._fill, result, a, b) for a, b in stretches}
        try:
            while waiting:
                done, waiting = wait(waiting, _REPORT_EVERY, FIRST_COMPLETED)
                for task in done:
                    task.result()
                if self._storage is not None:
                    self._storage.release()
                if self._progress is not None:
                    self._progress(min(1.0, self._carrier.carried / total))
        finally:
            self._carrier.stopped.set()
            pool.shutdown(cancel_futures=True)
        return result

    def _depends_on(self, stretch: tuple[int, int], before: set[int]) -> set[int]:
        """Return the slices whose ink a stretch depends on.

        Parameters
        ----------
        stretch : tuple of int
        before : set of int
            The slices that labels were carried from.
        """
        a, b = stretch
        depth = len(self._ink)
        slices = set(range(max(a, 0), min(b, depth - 1) + 1))
        anchors = self._sources.anchors
        # Towards an open end the shapes go on as they did along the stretch before.
        ends = [i for i in (a, b) if i in anchors]
        if len(ends) == 1 and (a < 0 or b >= depth):
            beside = anchors.index(ends[0]) + (1 if a < 0 else -1)
            if 0 <= beside < len(anchors):
                low, high = sorted((ends[0], anchors[beside]))
                slices |= before.union(anchors) & set(range(low, high + 1))
        return slices

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        """That of the probabilities."""
        depth, height, width = self._ink.shape
        return depth, self._sources.classes, height, width

    def _taken_over(self, previous: Propagation) -> Propagation:
        """Copy a previous result, to write into."""
        if previous.probabilities.shape != self._shape:
            raise ValueError("The previous propagation is of another volume.")
        device = self._ink.device
        copy = self._storage.copy if self._storage is not None else torch.clone
        return Propagation(
            copy(previous.probabilities.to(device)),
            copy(previous.agreement.to(device)),
            copy(previous.farther.to(device)),
            list(self._sources.anchors),
            self._sources.empty_ends,
        )

    def _blank(self) -> Propagation:
        """Background everywhere, of which every read is sure."""
        shape, volume, device = self._shape, self._ink.shape, self._ink.device
        # What lies beyond the last carried slice of an open end stays like that; all the others
        # are written when their turn comes.
        if self._storage is None:
            probabilities = torch.zeros(shape, device=device)
            probabilities[:, 0] = 1.0
            agreement = torch.ones(volume, device=device)
            farther = torch.zeros(volume, dtype=torch.uint8, device=device)
        else:
            probabilities = self._storage.zeros(shape, self._storage.precision)
            agreement = self._storage.zeros(volume, self._storage.precision)
            farther = self._storage.zeros(volume, torch.uint8)
            for z in range(len(self._ink)):
                probabilities[z, 0] = 1.0
                agreement[z] = 1.0
                self._storage.release()
        ends = list(self._sources.anchors), self._sources.empty_ends
        return Propagation(probabilities, agreement, farther, *ends)

    @torch.no_grad()  # which holds for one thread only
    def _fill(self, result: Propagation, a: int, b: int) -> None:
        """Propose the slices between two ends."""
        sources = self._sources
        pyramids = Pyramids(sources.features, sources.matching.levels, self._kept())
        for mixed in self._reads(a, b, pyramids):
            found = self._decider.decide((a, b), mixed, pyramids)
            second = mixed.second if mixed.second is not None else found
            self._store(result, mixed.slices, found, mixed.agreement, second)

    def _reads(self, a: int, b: int, pyramids: Pyramids) -> Iterator[Mixed]:
        """Yield the slices between two ends with what the reads from either side make of them."""
        carry = self._carrier.carry
        if a < 0 or b >= len(self._ink):
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
        """Slices of a stretch whose descriptors are kept for the way back; None: all."""
        if self._storage is None:
            return None
        pixels = self._sources.ink[0].numel()
        # Descriptors are four bytes each, the coarser levels add a third of them.
        each = 4 * self._sources.config.dimensions * pixels * 4 // 3
        room = self._storage.slices_in_memory(each)
        return max(_FEWEST, room // max(self._workers, 1))

    def _states(self, count: int) -> torch.Tensor:
        """Room for what is carried along a stretch, on every slice of it."""
        shape = (count, self._sources.classes + 1, *self._sources.ink.shape[1:])
        if self._storage is None:
            return torch.empty(shape, device=self._ink.device)
        return self._storage.zeros(shape, torch.float32)

    def _store_empty(self, result: Propagation, z: int) -> None:
        """Put sure background into the result."""
        shape = (1, self._sources.classes, *self._sources.ink.shape[1:])
        background = torch.zeros(shape, device=self._ink.device)
        background[:, 0] = 1.0
        self._store(result, [z], background, torch.ones_like(background[:, 0]), background)

    def _store(
        self,
        result: Propagation,
        slices: Sequence[int],
        labels: torch.Tensor,
        agreement: torch.Tensor,
        second: torch.Tensor,
    ) -> None:
        """Put some slices into the result, their ink exact."""
        ink = stacked([self._ink[z] for z in slices])
        known = ink != NOT_ANNOTATED
        ids = torch.arange(self._sources.classes, device=ink.device)[:, None, None]
        probabilities = (ids == 0).float().repeat(len(slices), 1, *ink.shape[1:])
        region = (..., *self._sources.region)
        probabilities[region] = labels
        farther = torch.zeros_like(ink)
        farther[region] = second.max(1).indices.to(torch.uint8)
        agreements = torch.ones_like(probabilities[:, 0])
        agreements[region] = agreement.clamp(0, 1)
        exact = (ids == ink[:, None]).float()
        for place, values in (
            (result.probabilities, torch.where(known[:, None], exact, probabilities)),
            (result.farther, torch.where(known, ink, farther)),
            (result.agreement, agreements),
        ):
            place[list(slices)] = values.to(place.dtype)
