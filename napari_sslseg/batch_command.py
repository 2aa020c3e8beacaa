"""``napari-sslseg batch``: proposals for the volumes of a project, without a screen."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from platformdirs import user_data_path

from .command_errors import UsageError
from .jobs.place import USUAL_PYTHON, Place
from .jobs.remote_run import run_remotely
from .remote_options import OnOption, PythonThereOption, place_of
from .stopping import stoppable
from .training.control import Control
from .training.events import Emit, Event, VolumeFailed, VolumeProposed
from .training.project_locking import lock_project, unlock_project
from .training.request import DEVICES, PRESETS, BatchRequest, TrainRequest
from .training.threads import calm_threads
from .training.wording import proposed, said
from .volume.cohort import Cohort
from .volume.project import ProjectError
from .volume.sizes import parse_size


@dataclass(frozen=True)
class PlannedBatch:
    """What was asked for, looked through: it can begin.

    Parameters
    ----------
    cohort : Cohort
        The project.
    request : BatchRequest
    place : Place or None
        Another computer to work on; None for this one.
    """

    cohort: Cohort
    request: BatchRequest
    place: Place | None = None

    def run(self, tell: Callable[[dict[str, Any]], None]) -> int:
        """Do it; no window can open the project meanwhile.

        Parameters
        ----------
        tell : callable
            Receives one row for each volume as soon as it is done, fit for JSON. ``error`` is in
            those of volumes that failed; ``detail`` is a traceback, where there is one.

        Returns
        -------
        int
            How many volumes failed.

        Raises
        ------
        UserError
            With one sentence for the user, also when the project is open in a window.
        Cancelled
            After Ctrl-C; proposals that are finished stay.
        """
        failed = 0

        def follow(event: Event) -> None:
            nonlocal failed
            if isinstance(event, VolumeProposed | VolumeFailed):
                failed += isinstance(event, VolumeFailed)
                tell(_row(event))
            elif line := said(event):
                _say(line)

        lock = lock_project(self.cohort.path)
        try:
            with stoppable() as control:
                self._run(follow, control)
        finally:
            if lock is not None:
                unlock_project(lock)
        return failed

    def _run(self, follow: Emit, control: Control) -> None:
        if self.place is not None:
            run_remotely(self.cohort.path, self.request, self.place, follow, control)
            return
        calm_threads()
        from .training.batch import run_batch

        run_batch(self.cohort.path, self.request, follow, control)


def _say(line: str) -> None:
    # Whoever listens may be gone; the proposals are made all the same.
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr)


def _row(event: VolumeProposed | VolumeFailed) -> dict[str, Any]:
    row: dict[str, Any] = {"volume": event.volume or "first", "name": event.name}
    if isinstance(event, VolumeProposed):
        return row | {
            "proposals": event.slugs,
            "estimated_dice": event.dice,
            "how": proposed(event),
        }
    row["error"] = event.message
    if event.detail:
        row["detail"] = event.detail
    return row


def plan_batch(
    project: Annotated[
        Path,
        typer.Argument(
            help="Folder of a project, as the panel shows it. Projects are made in "
            f"{user_data_path('napari-sslseg')}, or in the folder NAPARI_SSLSEG_HOME."
        ),
    ],
    volume: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder name of a volume in “volumes”, or “first”; may be repeated. All of them "
            "when omitted."
        ),
    ] = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(PRESETS)}.")] = "auto",
    seconds: Annotated[float, typer.Option(help="Time budget of each training.")] = 60.0,
    device: Annotated[str, typer.Option(help=f"One of: {', '.join(DEVICES)}.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    memory: Annotated[
        str | None,
        typer.Option(help="Memory to use, such as 4G; half of what is free when omitted."),
    ] = None,
    alone: Annotated[
        bool,
        typer.Option(help="Train each labelled volume on its own slices only, not on the others'."),
    ] = False,
    on: OnOption = None,
    python_there: PythonThereOption = USUAL_PYTHON,
) -> PlannedBatch:
    """Look through what was asked for: proposals for volumes of a project, which go into it.

    Labelled volumes are trained one by one, on their own labelled slices and on the others'. Those
    without labels get the proposal of a network that learns from all labelled ones; its quality
    cannot be estimated there.

    Parameters
    ----------
    project
        Folder of the project.
    volume
        Keys of volumes, ``"first"`` for the first one; None for all.
    method, device, seed
        `preset`, `device` and `seed` of `TrainRequest`.
    seconds
        Of each training.
    memory
        As `parse_size` reads it; None for half of what is free.
    alone
        Whether labelled volumes are trained on their own slices only.
    on, python_there
        Another computer to work on, see `Place`; None for this one.

    Returns
    -------
    PlannedBatch

    Raises
    ------
    UserError
        With one sentence for the user.
    """
    try:
        budget = parse_size(memory) if memory is not None else None
        train = TrainRequest(method, seconds, device, seed, memory=budget, others=not alone)
    except ValueError as error:
        raise UsageError(str(error)) from error
    place = place_of(on, python_there)
    cohort = Cohort(project)
    cohort.open("")  # says so when this is no project
    keys = tuple("" if name == "first" else name for name in volume or [])
    unknown = [key for key in keys if key not in cohort.keys]
    if unknown:
        known = ", ".join(key or "first" for key in cohort.keys)
        raise ProjectError(f"{cohort.path} has no volume “{unknown[0]}”; it has: {known}.")
    return PlannedBatch(cohort, BatchRequest(train, keys or tuple(cohort.keys)), place)
