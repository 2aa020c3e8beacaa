"""``napari-sslseg propose``: labels for a whole volume from a few labelled slices."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from .formats import read, read_labels, writable_suffixes, write_labels
from .formats.choice import SeveralVolumesError
from .formats.multichannel import GridsDifferError, read_channels
from .formats.writing import written_suffix
from .training.control import Control
from .training.events import Estimated, Event, Finished, Started
from .training.events import Progress as ProgressEvent
from .training.memory import default_budget, parse_size
from .training.request import DEVICES, PRESETS, TrainRequest
from .training.threads import calm_threads
from .volume.annotation import NOT_ANNOTATED, infer_axis
from .volume.array_files import value_counts
from .volume.classes import BACKGROUND, ClassTable
from .volume.extent import Extent
from .volume.project import ImageInfo, Project

if TYPE_CHECKING:
    import numpy.typing as npt

    from .volume.image import Volume

_NONE = np.zeros(0, dtype=np.uint8)


class UsageError(ValueError):
    """Input that cannot be worked with; the message is one clear sentence."""


def run_propose(
    image: Annotated[
        Path, typer.Argument(help="Volume: a file, or a folder of DICOM, OME-Zarr or pictures.")
    ],
    references: Annotated[
        Path, typer.Option(help="Class ids on the image's grid, 255 where not annotated.")
    ],
    output: Annotated[Path, typer.Option(help="Where to write the proposed labels.")],
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
        Path | None, typer.Option(help="Also write the trust regions: 1 UC, 2 US, 3 DC, 4 DS.")
    ] = None,
    method: Annotated[str, typer.Option(help=f"One of: {', '.join(PRESETS)}.")] = "auto",
    seconds: Annotated[float, typer.Option(help="Time budget.")] = 60.0,
    device: Annotated[str, typer.Option(help=f"One of: {', '.join(DEVICES)}.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    memory: Annotated[
        str | None,
        typer.Option(help="Memory to use, such as 4G; half of what is free when omitted."),
    ] = None,
) -> dict[str, Any]:
    """Propose labels for a whole volume; progress goes to stderr.

    Returns
    -------
    dict
        What was done, fit for JSON.

    Raises
    ------
    UsageError
        With one sentence for the user.
    """
    begin = time.monotonic()
    try:
        budget = parse_size(memory) if memory is not None else default_budget()
        request = TrainRequest(method, seconds, device, seed, memory=budget)
    except ValueError as error:
        raise UsageError(str(error)) from error
    for target in (output, regions):
        _check_target(target)
    volume = _read_image(image, series, channel or [], resample)
    ink = _read_references(references, volume)
    if axis is None:
        axis = infer_axis(ink)
    if not 0 <= axis < ink.ndim:
        raise UsageError(f"The axis must be 0 to {ink.ndim - 1} for this image, not {axis}.")
    try:
        extent = Extent(first_slice, last_slice).within(ink.shape[axis])
    except ValueError as error:
        raise UsageError(str(error)) from error
    ids = np.flatnonzero(value_counts(ink))
    with tempfile.TemporaryDirectory(prefix="napari-sslseg-", dir=_roomy(output)) as folder:
        project = _make_project(Path(folder) / "project", volume, ink, ids, axis, extent)
        del ink
        outcome = _run(project, request)
        proposal = project.read_proposal(outcome["proposal"])
        write_labels(output, proposal.classes, volume)
        if regions is not None:
            write_labels(regions, proposal.regions, volume)
        counts = value_counts(proposal.classes)
        # Mapped files cannot be deleted everywhere.
        proposal = replace(proposal, classes=_NONE, regions=_NONE, confidence=_NONE)
    voxel = float(np.prod(volume.geometry.spacing_mm)) / 1000
    return {
        "output": str(output),
        "method": method,
        "proposal": proposal.name,
        "axis": axis,
        "seconds": round(time.monotonic() - begin, 2),
        "device": outcome["device"],
        "peak_memory_mb": round(_peak_memory() / 2**20, 1),
        "memory_budget_mb": round(budget / 2**20, 1),
        "classes": {
            str(i): {"voxels": int(counts[i]), "ml": round(float(counts[i]) * voxel, 4)}
            for i in ids
            if i not in (BACKGROUND, NOT_ANNOTATED)
        },
        "regions": {k: round(v, 4) for k, v in dict(proposal.info["shares"]).items()},  # type: ignore[call-overload]
        "estimated_dice": outcome["estimate"],
    }


def _read_image(path: Path, series: str | None, channels: list[Path], resample: bool) -> Volume:
    try:
        if channels:
            volume = read_channels([path, *channels], parts=[series], resample=resample)
        else:
            volume = read(path, series)
    except SeveralVolumesError as error:
        raise UsageError(f"{str(error).removesuffix('.')}; use --series.") from error
    except GridsDifferError as error:
        raise UsageError(f"{str(error).removesuffix('.')}; use --resample.") from error
    for remark in volume.warnings:
        print(f"Note: {remark}", file=sys.stderr)
    return volume


def _check_target(target: Path | None) -> None:
    if target is None:
        return
    if not written_suffix(target):
        raise UsageError(
            f"{target} cannot be written: name it with one of {', '.join(writable_suffixes())}."
        )
    if not target.absolute().parent.is_dir():
        raise UsageError(f"The folder {target.absolute().parent} does not exist; make it first.")
    if not os.access(target.absolute().parent, os.W_OK):
        raise UsageError(f"The folder {target.absolute().parent} cannot be written to.")


def _read_references(path: Path, volume: Volume) -> npt.NDArray[np.uint8]:
    ink: npt.NDArray[np.uint8] = np.asarray(read_labels(path).array)
    shape = volume.geometry.shape
    if len(shape) != 3:
        raise UsageError(f"{volume.source} has {len(shape)} dimensions; a volume has 3.")
    if ink.shape != shape:
        raise UsageError(
            f"{path} has the shape {ink.shape} but the image {shape}; "
            "the references must be on the image's grid."
        )
    counts = value_counts(ink)
    if counts[NOT_ANNOTATED] == ink.size:
        raise UsageError(
            f"{path} holds no annotation: every voxel is 255; label at least one slice."
        )
    present = np.flatnonzero(counts)
    if len(set(present.tolist()) - {NOT_ANNOTATED}) < 2:
        raise UsageError(
            f"{path} holds a single class ({present[0]}); label at least one structure and "
            "background."
        )
    return ink


def _make_project(
    path: Path,
    volume: Volume,
    ink: npt.NDArray[np.uint8],
    ids: npt.NDArray[Any],
    axis: int,
    extent: Extent,
) -> Project:
    info = ImageInfo(
        name=volume.name,
        shape=volume.geometry.shape,
        spacing=volume.geometry.spacing_mm,
        channels=volume.channels,
    )
    array = volume.array
    if volume.has_channel_axis and volume.channels == 1:
        array = array[..., 0]
    project = Project.create(path, array, info, ClassTable.from_ids(ids.tolist()), axis)
    project.extent = extent
    project.save()
    project.ink_store.save(ink)
    return project


def _run(project: Project, request: TrainRequest) -> dict[str, Any]:
    calm_threads()
    from .training.session import TrainingError, run_project

    outcome: dict[str, Any] = {"device": "cpu", "proposal": "reference-guided", "estimate": None}
    estimates: dict[str, Estimated] = {}
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
        task = bar.add_task("Reading", total=1.0)

        def emit(event: Event) -> None:
            if isinstance(event, ProgressEvent):
                bar.update(task, description=event.phase, completed=event.fraction)
                if not console.is_terminal:
                    print(f"{event.fraction:4.0%} {event.phase}", file=sys.stderr)
            elif isinstance(event, Started):
                outcome["device"] = event.device
                print(event.plan, file=sys.stderr)
            elif isinstance(event, Estimated):
                estimates[event.slug] = event
            elif isinstance(event, Finished):
                outcome["proposal"] = event.recommended

        try:
            run_project(project.path, request, emit, Control())
        except TrainingError as error:
            raise UsageError(str(error)) from error
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
