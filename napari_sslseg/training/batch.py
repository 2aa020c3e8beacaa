"""Proposals for several volumes of a project, one after another.

1. Where volumes without labels are among them, one network learns from all labelled volumes.
2. It proposes for those without labels.
3. Each labelled one gets its run, as if *Train* had been pressed on it.

A volume that fails says why, and the next one's turn comes. If the network for those without labels
fails, it is they who say so.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ..methods.check_point import checked
from ..volume.cohort import Cohort, ink_facts
from ..volume.project import Project
from .control import Cancelled, Control
from .events import (
    Emit,
    Estimated,
    Event,
    Finished,
    Progress,
    ProposalReady,
    Started,
    VolumeBegun,
    VolumeFailed,
    VolumeProposed,
)
from .facts import Phase, SharedLesson
from .plan import choose_device
from .request import BatchRequest
from .session import run_project
from .shared import SharedNetwork
from .shared_size import SharedSize
from .stack import TrainingError
from .trouble import explain
from .wording import lesson, no_room

#: Work of a proposal by the network that is there already, where a training is 1.
_QUICK = 0.1

#: Dice on the slices that it was taught, below which a network has not learned enough.
LEARNED = 0.7

#: And below which it proposes nothing: an earlier proposal would only be replaced by a worse one.
USELESS = 0.5


def run_batch(path: Path, request: BatchRequest, emit: Emit, control: Control) -> None:
    """Propose for several volumes of a project.

    Parameters
    ----------
    path : Path
        Folder of the project.
    request : BatchRequest
    emit : callable
        Receives every event. `Progress` counts over all volumes, and the volumes' own estimates
        and losses are not passed on.
    control : Control

    Raises
    ------
    TrainingError
        When there is nothing to do, or nothing to learn from.
    Cancelled
        When the user cancels; proposals that are finished stay.
    """
    with checked(control.check):
        Batch(Cohort(path), request, emit, control).execute()


@dataclass
class _Entry:
    """A volume of the project, and the classes that are labelled in it."""

    key: str
    project: Project
    painted: frozenset[int]


class Batch:
    """One batch.

    Parameters
    ----------
    cohort : Cohort
        All volumes of the project.
    request, emit, control
        As of `run_batch`.
    """

    def __init__(self, cohort: Cohort, request: BatchRequest, emit: Emit, control: Control) -> None:
        self._cohort, self._request = cohort, request
        self._emit, self._control = emit, control
        self._done, self._total = 0.0, 1.0
        self._number = 0
        self._begin = time.monotonic()

    def execute(self) -> None:
        """Do all of it."""
        device = choose_device(self._request.train.device)
        self._emit(Started(str(device)))
        entries = self._entries()
        wanted = [e for e in entries if e.key in self._request.volumes]
        bare = [e for e in wanted if not e.painted]
        labelled = [e for e in wanted if e.painted]
        if not wanted and not set(self._request.volumes) & set(self._cohort.keys):
            raise TrainingError("There is no further volume to propose for.")
        self._total = len(labelled) + (1 + _QUICK * len(bare) if bare else 0) or 1.0
        self._count = len(wanted)
        if bare:
            self._propose_bare([e for e in entries if e.painted], bare, bool(labelled))
        for entry in labelled:
            self._propose_labelled(entry)
        self._progress(Phase.DONE, 0.0)
        self._emit(Finished(round(time.monotonic() - self._begin, 2), ""))

    def _entries(self) -> list[_Entry]:
        """Open all volumes; those that cannot be opened are told, if they were asked for."""
        found = []
        for key in self._cohort.keys:
            self._control.check()
            try:
                project = self._cohort.open(key)
                project.image()
                found.append(_Entry(key, project, ink_facts(project).painted))
            except Cancelled:
                raise
            except Exception as error:
                if key in self._request.volumes:
                    self._emit(_failed(key, key or self._cohort.path.name, error))
        return found

    def _propose_bare(self, taught: list[_Entry], bare: list[_Entry], more: bool) -> None:
        """Propose for volumes without labels; `more` is whether others are to come after them."""
        self._progress(Phase.MATCHING_ALL, 0.01)
        train = self._request.train
        size = SharedSize.of(train, len({i for e in taught for i in e.painted}) + 1)
        projects, left_out = size.choose([e.project for e in taught])
        none = ""
        if left_out and not projects:
            none = (
                "No network can learn from the labelled volumes, as none fits into the memory: "
                f"{no_room(size.no_room(left_out[0]))}. Allow more, or label slices of this volume."
            )
        bare = [e for e in bare if not self._refuse(e, none or size.why_not_propose(e.project))]
        if not bare:
            self._done += 1
            return
        failed: VolumeFailed | None = None
        try:
            network, fit = self._learn(projects)
        except Cancelled:
            raise
        except Exception as error:
            if not more:
                raise
            failed = _failed("", "", error)
        self._done += 1
        if failed is not None:
            _give_memory_back()
            for entry in bare:
                self._refuse(entry, failed.message, failed.detail)
            return
        learned = SharedLesson(
            network.names,
            round(fit, 4),
            fit >= LEARNED,
            network.missed,
            size.no_room(left_out[0]) if left_out else None,
        )
        info: dict[str, object] = {
            "preset": train.preset,
            "second_opinion": "rectified by its own affinities",
            "fit": learned.fit,
            "learned_from": network.names,
        }
        for entry in bare:
            self._next(entry)
            self._progress(Phase.PROPOSING, 0.0)
            self._attempt(entry, partial(self._propose_by, network, entry, learned, info))
            self._done += _QUICK

    def _learn(self, projects: list[Project]) -> tuple[SharedNetwork, float]:
        """Train the shared network; returns it with its Dice on what it was taught."""
        network = SharedNetwork(projects, self._request.train, self._emit, self._control)

        def report(share: float) -> None:
            self._progress(Phase.TRAINING_SHARED, 0.05 + 0.95 * share, network.names)

        network.train(self._cohort, report)
        return network, network.fit()

    def _propose_by(
        self,
        network: SharedNetwork,
        entry: _Entry,
        learned: SharedLesson,
        info: dict[str, object],
    ) -> VolumeProposed:
        """Write what the shared network proposes."""
        if learned.fit < USELESS:
            raise TrainingError(lesson(learned))
        proposal = network.propose(entry.project, info)
        self._control.check()
        entry.project.write_proposal(proposal)
        return VolumeProposed(entry.key, entry.project.info.name, [proposal.slug], lesson=learned)

    def _refuse(self, entry: _Entry, why: str, detail: str = "") -> bool:
        """Say why nothing is proposed for a volume; returns whether there is a reason."""
        if why:
            self._next(entry)
            self._emit(VolumeFailed(entry.key, entry.project.info.name, why, detail))
            self._done += _QUICK
        return bool(why)

    def _propose_labelled(self, entry: _Entry) -> None:
        self._next(entry)
        self._attempt(entry, partial(self._run_alone, entry))
        self._done += 1

    def _run_alone(self, entry: _Entry) -> VolumeProposed:
        """Do a labelled volume's own run."""
        slugs: list[str] = []
        estimates: dict[str, Estimated] = {}
        best = ""

        def relay(event: Event) -> None:
            nonlocal best
            if isinstance(event, Progress):
                self._progress(event.phase, event.fraction)
            elif isinstance(event, Estimated):
                estimates[event.slug] = event
            elif isinstance(event, Finished):
                best = event.recommended
            elif isinstance(event, ProposalReady):
                slugs.append(event.slug)

        run_project(entry.project.path, self._request.train, relay, self._control)
        found = estimates.get(best)
        dice = None if found is None else found.mean
        return VolumeProposed(entry.key, entry.project.info.name, sorted(set(slugs)), dice)

    def _attempt(self, entry: _Entry, work: Callable[[], VolumeProposed]) -> None:
        """Let a volume have its turn; whatever ends it but cancelling is told, and no more."""
        try:
            proposed = work()
        except Cancelled:
            raise
        except Exception as error:
            self._emit(_failed(entry.key, entry.project.info.name, error))
        else:
            self._emit(proposed)
            return
        # Only here: as long as there was an error, its frames held all that the run had in memory.
        _give_memory_back()

    def _next(self, entry: _Entry) -> None:
        self._control.check()
        self._number += 1
        name = entry.project.info.name
        self._emit(VolumeBegun(entry.key, name, self._number, self._count))

    def _progress(self, phase: str, share: float, volumes: Sequence[str] = ()) -> None:
        self._control.check()
        fraction = min(1.0, (self._done + share) / self._total)
        self._emit(Progress(phase, round(fraction, 4), volumes=list(volumes)))


def _failed(key: str, name: str, error: Exception) -> VolumeFailed:
    trouble = explain(error)
    return VolumeFailed(key, name, trouble.sentence, trouble.detail)


def _give_memory_back() -> None:
    """Let the next volume have what a failed run leaves."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
