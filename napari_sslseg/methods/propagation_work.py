"""One propagation within a region of the slices: the stretches between inked slices, one by one."""

from __future__ import annotations

import math
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import torch

from .ink_completion import NOT_ANNOTATED
from .label_carrying import Course, stacked
from .label_decision import Stretch
from .propagation_inputs import Execution, Renewal
from .propagation_result import Propagation
from .propagation_sources import Sources
from .stretch_work import Proposed, StretchWork
from .working_region import Window, grow_where_touched, stretch_window

#: Seconds between two reports of progress.
_REPORT_EVERY = 0.2


class PropagationWork:
    """One propagation within a region of the slices.

    Parameters
    ----------
    sources : Sources
        What labels are carried from.
    execution : Execution
    """

    def __init__(self, sources: Sources, execution: Execution) -> None:
        self._execution, self._storage = execution, execution.storage
        self._sources, self._ink = sources, sources.volume.ink
        self._course = Course()

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
                self._store_sure(result, z, sources.ends[z])
        for z in sources.empty:
            if z in dirty and renewal is not None:
                self._store_sure(result, z, self._background())
        stretches = [s for s in sources.stretches() if dirty & self._depends_on(s, before)]
        windows = {stretch: self._window(*stretch) for stretch in stretches}
        work = {stretch: self._pixels(stretch, window) for stretch, window in windows.items()}
        # Longest first, so that the last one to finish is short. Stretches share no slice, hence
        # no thread writes where another one does.
        stretches.sort(key=work.__getitem__, reverse=True)
        total = max(1, sum(work.values()))
        pool, progress = ThreadPoolExecutor(self._execution.workers), self._execution.progress
        waiting = {pool.submit(self._fill, result, s, windows[s]) for s in stretches}
        try:
            while waiting:
                done, waiting = wait(waiting, _REPORT_EVERY, FIRST_COMPLETED)
                for task in done:
                    task.result()
                if self._storage is not None:
                    self._storage.release()
                if progress is not None:
                    progress(min(1.0, self._course.carried / total))
        finally:
            self._course.stopped.set()
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

    def _background(self) -> torch.Tensor:
        """Return the labels (classes, H, W) of an empty slice."""
        background = torch.zeros((self._sources.classes, *self._sources.ink.shape[1:]))
        background[0] = 1.0
        return background.to(self._ink.device)

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

    def _window(self, a: int, b: int) -> Window:
        """Return the rows and columns of the region that a stretch is worked on in."""
        sources = self._sources
        inked = a in sources.anchors and b in sources.anchors
        if inked and bool((sources.looks_believed > 0).any()):
            return sources.window  # what may appear by its looks may appear anywhere
        config, ink = sources.config, sources.ink[max(a, 0) : b + 1]
        return stretch_window(ink, config.margin, config.minimum_margin, sources.grid)

    def _pixels(self, stretch: Stretch, window: Window) -> int:
        """Return how many pixels are carried along a stretch."""
        a, b = stretch
        ways = 1 + (a >= 0 and b < len(self._ink))
        return ways * (b - a - 1) * math.prod(w.stop - w.start for w in window)

    @torch.no_grad()  # which holds for one thread only
    def _fill(self, result: Propagation, stretch: Stretch, window: Window) -> None:
        """Propose the slices between two ends, again where an object reaches the window's edge."""
        slices, region = slice(stretch[0] + 1, stretch[1]), self._sources.region
        while True:
            sources = self._sources.within(window)
            for part in StretchWork(sources, stretch, self._execution, self._course).proposed():
                self._store(result, part, window)
            found = result.probabilities[slices][(..., *region)]
            grown = grow_where_touched(found, *window, self._sources.grid)
            if grown == window:
                break
            window = grown

    def _store_sure(self, result: Propagation, z: int, labels: torch.Tensor) -> None:
        """Put a slice into the result that nothing is in doubt about."""
        sure, window = torch.ones_like(labels[:1]), self._sources.window
        self._store(result, Proposed([z], labels[None], sure, labels[None]), window)

    def _store(self, result: Propagation, part: Proposed, window: Window) -> None:
        """Put some slices into the result, their ink exact, background around the window."""
        slices, labels = list(part.slices), part.probabilities
        place = (..., *_inside(self._sources.region, window))
        size = (len(slices), self._sources.classes, *self._ink.shape[1:])
        probabilities = torch.zeros(size, device=self._ink.device)
        probabilities[:, 0] = 1.0
        probabilities[place] = labels
        farther = torch.zeros_like(probabilities[:, 0], dtype=torch.uint8)
        farther[place] = part.farther.max(1).indices.to(torch.uint8)
        agreements = torch.ones_like(probabilities[:, 0])
        agreements[place] = part.agreement.clamp(0, 1)
        ink = stacked([self._ink[z] for z in slices])
        known = ink != NOT_ANNOTATED
        if bool(known.any()):
            ids = torch.arange(self._sources.classes, device=ink.device)[:, None, None]
            exact = (ids == ink[:, None]).float()
            probabilities = torch.where(known[:, None], exact, probabilities)
            farther = torch.where(known, ink, farther)
        for kept, values in (
            (result.probabilities, probabilities),
            (result.farther, farther),
            (result.agreement, agreements),
        ):
            kept[slices] = values.to(kept.dtype)


def _inside(region: Window, window: Window) -> Window:
    """Return the rows and columns of a window of a region."""
    rows, columns = (
        slice(outer.start + inner.start, outer.start + inner.stop)
        for outer, inner in zip(region, window, strict=True)
    )
    return rows, columns
