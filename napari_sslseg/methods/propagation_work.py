"""One propagation within a region of the slices: the stretches between inked slices, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import torch

from .ink_completion import NOT_ANNOTATED
from .label_carrying import Carrier, Pyramids
from .label_decision import Decider, Mixed
from .propagation_result import Propagation
from .propagation_sources import Sources
from .storage import Storage

#: Seconds between two reports of progress.
_REPORT_EVERY = 0.2

#: Matches made at once on a GPU: enough to fill it, a few hundred MB for slices of 512 x 512.
_AT_ONCE = 16

#: Fewest slices whose descriptors are kept: a match needs two, and the one before is asked again.
_FEWEST = 3


def slices_at_once(device: torch.device, storage: Storage | None) -> int:
    """Return how many slices are matched and decided at once."""
    return 1 if device.type == "cpu" or storage is not None else _AT_ONCE


class PropagationWork:
    """One propagation within a region of the slices.

    Parameters
    ----------
    sources : Sources
        What labels are carried from.
    ink : Tensor
        Of the whole slices.
    rows, columns : slice
        The region.
    device : torch.device
        Where to compute.
    progress, workers, storage
        See `propagation.propagate`.
    """

    def __init__(
        self,
        sources: Sources,
        ink: torch.Tensor,
        rows: slice,
        columns: slice,
        device: torch.device,
        progress: Callable[[float], None] | None,
        workers: int,
        storage: Storage | None,
    ) -> None:
        self._progress, self._workers, self._storage = progress, workers, storage
        self._ink, self._rows, self._columns = ink, rows, columns
        self._sources = sources
        self._at_once = slices_at_once(device, storage)
        self._carrier = Carrier(self._sources, storage, self._at_once)
        self._decider = Decider(self._sources)

    def run(self, previous: Propagation | None, changed: Sequence[int] | None) -> Propagation:
        """Propagate, or renew the stretches of a previous result that end at changed slices.

        See `propagation.propagate` for the parameters.
        """
        sources = self._sources
        depth, height, width = self._ink.shape
        shape = (depth, sources.classes, height, width)
        if previous is not None and changed is not None:
            if previous.probabilities.shape != shape:
                raise ValueError("The previous propagation is of another volume.")
            device = self._ink.device
            copy = self._storage.copy if self._storage is not None else torch.clone
            result = Propagation(
                copy(previous.probabilities.to(device)),
                copy(previous.agreement.to(device)),
                copy(previous.farther.to(device)),
                list(sources.anchors),
                sources.empty_ends,
            )
            # A slice that lost all its ink joins the two stretches beside it.
            dirty = set(changed) | (set(previous.inked_slices) ^ set(sources.anchors))
        else:
            result = self._blank(shape)
            dirty = set(range(depth))
        for z in sources.anchors:
            if z in dirty:
                end = sources.ends[z]
                self._store(result, z, end, torch.ones_like(end[0]), end)
        stretches = [
            s
            for s in sources.stretches()
            if dirty & set(range(max(s[0], 0), min(s[1], depth - 1) + 1))
        ]
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

    def _blank(self, shape: tuple[int, int, int, int]) -> Propagation:
        """Background everywhere, of which every read is sure."""
        depth, _, height, width = shape
        volume, device = (depth, height, width), self._ink.device
        if self._storage is None:
            probabilities = torch.zeros(shape, device=device)
            agreement = torch.zeros(volume, device=device)
            farther = torch.zeros(volume, dtype=torch.uint8, device=device)
        else:
            probabilities = self._storage.zeros(shape, self._storage.precision)
            agreement = self._storage.zeros(volume, self._storage.precision)
            farther = self._storage.zeros(volume, torch.uint8)
        # What lies beyond the last carried slice of an open end stays like that; all the others
        # are written when their turn comes.
        for z in range(depth):
            probabilities[z, 0] = 1.0
            agreement[z] = 1.0
            if self._storage is not None:
                self._storage.release()
        ends = list(self._sources.anchors), self._sources.empty_ends
        return Propagation(probabilities, agreement, farther, *ends)

    @torch.no_grad()  # which holds for one thread only
    def _fill(self, result: Propagation, a: int, b: int) -> None:
        """Propose the slices between two ends."""
        sources = self._sources
        pyramids = Pyramids(sources.features, sources.matching.levels, self._kept())
        mixed: list[Mixed] = []
        for one in self._reads(a, b, pyramids):
            mixed.append(one)
            if len(mixed) == self._at_once:
                self._decide(result, a, b, mixed, pyramids)
                mixed = []
        if mixed:
            self._decide(result, a, b, mixed, pyramids)

    def _reads(self, a: int, b: int, pyramids: Pyramids) -> Iterator[Mixed]:
        """Yield the slices between two ends with what the reads from either side make of them."""
        carry = self._carrier.carry
        if a < 0 or b >= len(self._ink):
            for z, state in carry(*((a, b) if a >= 0 else (b, a)), pyramids):
                labels = state[:-1]
                yield Mixed(z, labels, labels.square().sum(0), None)
            return
        ahead = self._states(b - a - 1)
        for z, state in carry(a, b, pyramids):
            ahead[z - a - 1] = state
        for z, backward in carry(b, a, pyramids):
            yield self._decider.mix(z, (a, b), ahead[z - a - 1], backward)

    def _decide(
        self, result: Propagation, a: int, b: int, mixed: list[Mixed], pyramids: Pyramids
    ) -> None:
        """Turn the reads of some slices into their probabilities, and put these into the result."""
        for one, found in self._decider.decide((a, b), mixed, pyramids):
            second = one.second if one.second is not None else found
            self._store(result, one.z, found, one.agreement, second)

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

    def _store(
        self,
        result: Propagation,
        z: int,
        labels: torch.Tensor,
        agreement: torch.Tensor,
        second: torch.Tensor,
    ) -> None:
        """Put a slice into the result, its ink exact."""
        ink = self._ink[z]
        known = ink != NOT_ANNOTATED
        ids = torch.arange(self._sources.classes, device=ink.device)[:, None, None]
        probabilities = (ids == 0).float().expand(-1, *ink.shape).clone()
        probabilities[:, self._rows, self._columns] = labels
        result.probabilities[z] = torch.where(known, (ids == ink).float(), probabilities)
        farther = torch.zeros_like(ink)
        farther[self._rows, self._columns] = second.max(0).indices.to(torch.uint8)
        result.farther[z] = torch.where(known, ink, farther)
        result.agreement[z] = 1.0
        result.agreement[z, self._rows, self._columns] = agreement.clamp(0, 1)
