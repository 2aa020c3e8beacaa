"""``napari-sslseg propose``: labels for a whole volume from a few labelled slices."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .command_errors import UsageError
from .formats import writable_suffixes, write_labels
from .formats.atomic import check_writable
from .formats.sparing import spare_inputs, spare_strangers
from .formats.volume_table import class_volumes
from .formats.writing import written_suffix
from .jobs.place import USUAL_PYTHON, Place
from .jobs.remote_run import run_remotely
from .label_inputs import RegionOption
from .propose_inputs import LabelledSlices, read_image, read_references
from .remote_options import OnOption, PythonThereOption, place_of
from .stopping import stoppable
from .training.control import Control
from .training.events import Emit, Estimated, Event, Finished, Started
from .training.events import Progress as ProgressEvent
from .training.memory import default_budget
from .training.request import DEVICES, PRESETS, TrainRequest
from .training.threads import calm_threads
from .training.wording import phase, said
from .volume.annotation import NOT_ANNOTATED
from .volume.array_files import value_counts
from .volume.classes import BACKGROUND, ClassTable
from .volume.extent import Extent
from .volume.project import ImageInfo, Project
from .volume.sizes import parse_size

if TYPE_CHECKING:
    from .volume.image import Volume
    from .volume.proposal import Proposal

_NONE = np.zeros(0, dtype=np.uint8)


@dataclass(frozen=True)
class _Labelled:
    """A volume and what is labelled in it, in the order of its file."""

    volume: Volume
    references: LabelledSlices
    extent: Extent

    @property
    def classes(self) -> ClassTable:
        """Of all values of the ink."""
        ids = np.flatnonzero(value_counts(self.references.ink)).tolist()
        table = ClassTable.from_ids(ids)
        for class_id, name in self.references.names.items():
            if class_id in table:
                table.rename(class_id, name)
        return table


def run_propose(
    image: Annotated[
        Path, typer.Argument(help="Volume: a file, or a folder of DICOM, OME-Zarr or pictures.")
    ],
    references: Annotated[
        Path,
        typer.Option(
            help="Class ids on the image's grid, 255 where not annotated. In a file without any "
            "255, slices that show a class are taken for wholly labelled."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(help="Where to write the proposed labels; a file that exists is replaced."),
    ],
    region: RegionOption = None,
    axis: Annotated[
        int | None,
        typer.Option(
            help="Slicing axis, counted as the array is indexed (NIfTI, NRRD, MetaImage, DICOM: "
            "i, j, k; others: page, row, column). Found from the references when omitted."
        ),
    ] = None,
    first_slice: Annotated[
        int | None,
        typer.Option(
            help="First slice of the object along the axis, counted from 0: nothing is proposed "
            "before it, except where the references show the object."
        ),
    ] = None,
    last_slice: Annotated[
        int | None, typer.Option(help="Last slice of the object: nothing is proposed after it.")
    ] = None,
    series: Annotated[
        str | None,
        typer.Option(help="Which volume, where the image holds several: a key that `list` prints."),
    ] = None,
    channel: Annotated[
        list[Path] | None,
        typer.Option(help="Another image of the same patient, as a channel; may be repeated."),
    ] = None,
    resample: Annotated[
        bool, typer.Option(help="Bring channels on another grid onto the image's.")
    ] = False,
    regions: Annotated[
        Path | None,
        typer.Option(
            help="Also write how far to trust each voxel: 1 sure (UC), 2 unsure (US), 3 disagree "
            "(DC), 4 likely wrong (DS); a file that exists is replaced."
        ),
    ] = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(PRESETS)}.")] = "auto",
    seconds: Annotated[float, typer.Option(help="Time budget.")] = 60.0,
    device: Annotated[str, typer.Option(help=f"One of: {', '.join(DEVICES)}.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    memory: Annotated[
        str | None,
        typer.Option(help="Memory to use, such as 4G; half of what is free when omitted."),
    ] = None,
    on: OnOption = None,
    python_there: PythonThereOption = USUAL_PYTHON,
) -> dict[str, Any]:
    """Propose labels for a whole volume; progress goes to stderr.

    Parameters
    ----------
    image, series, channel, resample
        The volume, and further images of it as channels.
    references, region, axis, first_slice, last_slice
        What is labelled, which regions of it, and where the object lies, along an axis of the
        image's file.
    output, regions
        Files to write, on the image's grid; their suffixes say the format.
    method, seconds, device, seed, memory
        For a `TrainRequest`; `memory` as `parse_size` reads it, half of what is free without.
    on, python_there
        Another computer to work on, see `Place`; None for this one.

    Returns
    -------
    dict
        What was done, fit for JSON.

    Raises
    ------
    UserError
        With one sentence for the user.
    """
    begin = time.monotonic()
    try:
        place = place_of(on, python_there)
        budget = parse_size(memory) if memory is not None else default_budget()
        known = budget if memory is not None or place is None else None
        request = TrainRequest(method, seconds, device, seed, memory=known)
    except ValueError as error:
        raise UsageError(str(error)) from error
    targets = [target for target in (output, regions) if target is not None]
    _check_targets(targets, [image, references, *(channel or [])])
    volume = read_image(image, series, channel or [], resample)
    spare_inputs(targets, [volume])  # which knows all of its files
    found = read_references(references, volume, axis, region or [])
    ink, axis, names = found.ink, found.axis, found.names
    try:
        extent = Extent(first_slice, last_slice).within(ink.shape[axis])
    except ValueError as error:
        raise UsageError(str(error)) from error
    # The project in it is a copy of a patient's image: it goes, whatever ends this.
    with (
        stoppable() as control,
        tempfile.TemporaryDirectory(prefix="napari-sslseg-", dir=_roomy(output)) as folder,
    ):
        project = _make_project(Path(folder) / "project", _Labelled(volume, found, extent))
        del ink, found
        control.check()
        outcome = _run(project, request, control, place)
        control.check()
        proposal = project.read_proposal(outcome["proposal"])
        write_labels(output, proposal.classes, volume)
        if regions is not None:
            write_labels(regions, proposal.regions, volume)
        sizes = _sizes(proposal, project.classes, volume, names)
        # Mapped files cannot be deleted everywhere.
        proposal = replace(proposal, classes=_NONE, regions=_NONE, confidence=_NONE)
    return {
        "output": str(output),
        "method": method,
        "proposal": proposal.name,
        "axis": axis,
        "seconds": round(time.monotonic() - begin, 2),
        "device": outcome["device"],
        "peak_memory_mb": round(_peak_memory() / 2**20, 1),
        "memory_budget_mb": round(budget / 2**20, 1),
        "classes": sizes,
        "regions": {k: round(v, 4) for k, v in dict(proposal.info["shares"]).items()},  # type: ignore[call-overload]
        "estimated_dice": outcome["estimate"],
    }


def _check_targets(targets: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Refuse, before the work, places where the results cannot be written."""
    for target in targets:
        if not written_suffix(target):
            raise UsageError(
                f"{target} cannot be written: name it with one of {', '.join(writable_suffixes())}."
            )
        check_writable(target)
    spare_inputs(targets, inputs)
    spare_strangers(targets)


def _sizes(
    proposal: Proposal, classes: ClassTable, volume: Volume, names: dict[int, str]
) -> dict[str, Any]:
    """Return voxels and millilitres of each class, and its name where the references say it."""
    counts = value_counts(proposal.classes)
    # Of one voxel: the proposal was counted in pieces, which spares its pages in the memory.
    (one,) = class_volumes(np.ones((1, 1, 1), np.uint8), volume.geometry, ClassTable.from_ids([1]))
    return {
        str(i): ({"name": names[i]} if i in names else {})
        | {"voxels": int(counts[i]), "ml": one.ml and round(int(counts[i]) * one.ml, 4)}
        for i in classes.ids
        if i not in (BACKGROUND, NOT_ANNOTATED)
    }


def _make_project(path: Path, labelled: _Labelled) -> Project:
    volume = labelled.volume
    shape, spacing = volume.geometry.shape, volume.geometry.spacing_mm
    info = ImageInfo(volume.name, shape, spacing, channels=volume.channels)
    single = volume.has_channel_axis and volume.channels == 1
    array = volume.array[..., 0] if single else volume.array
    project = Project.create(path, array, info, labelled.classes, labelled.references.axis)
    project.extent = labelled.extent
    project.save()
    project.ink_store.save(labelled.references.ink)
    return project


def _run(
    project: Project, request: TrainRequest, control: Control, place: Place | None
) -> dict[str, Any]:
    outcome: dict[str, Any] = {"device": "cpu", "proposal": "reference-guided", "estimate": None}
    estimates: dict[str, Estimated] = {}
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("Reading", total=1.0)

        def emit(event: Event) -> None:
            if isinstance(event, ProgressEvent):
                bar.update(task, description=phase(event), completed=event.fraction)
                if console.is_terminal:
                    return
            elif isinstance(event, Started):
                outcome["device"] = event.device
            elif isinstance(event, Estimated):
                estimates[event.slug] = event
            elif isinstance(event, Finished):
                outcome["proposal"] = event.recommended
            if line := said(event):
                print(line, file=sys.stderr)

        if place is not None:
            run_remotely(project.path, request, place, emit, control, keep_copy=False)
        else:
            _run_here(project.path, request, emit, control)
    estimate = estimates.get(outcome["proposal"])
    if estimate is not None:
        outcome["estimate"] = {
            "mean": estimate.mean,
            "low": estimate.low,
            "high": estimate.high,
            "per_class": estimate.dice,
            "per_class_spread": estimate.spread,
        }
    return outcome


def _run_here(project: Path, request: TrainRequest, emit: Emit, control: Control) -> None:
    calm_threads()
    from .training.session import TrainingError, run_project

    try:
        run_project(project, request, emit, control)
    except TrainingError as error:
        raise UsageError(str(error)) from error


def _roomy(output: Path) -> Path | None:
    """Folder for temporary files: beside the output where the usual one lies in memory."""
    usual = Path(tempfile.gettempdir()).resolve()
    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    below = [mount for mount in mounts if usual.is_relative_to(mount)]
    kind = mounts[max(below, key=lambda mount: len(mount.parts))] if below else ""
    return output.absolute().parent if kind in ("tmpfs", "ramfs") else None


def _peak_memory() -> float:
    """Largest resident memory of this process, bytes."""
    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):
        return float(info.peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)
