"""``napari-sslseg``: the same engine without a screen."""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import psutil
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from . import __version__
from .batch_command import run_batch_command
from .dataset_commands import run_evaluate, run_predict, run_train
from .export_command import run_export
from .formats import FormatError, read, read_labels, writable_suffixes, write_labels
from .formats.choice import Choice, SeveralVolumesError
from .formats.multichannel import GridsDifferError, read_channels
from .formats.writing import written_suffix
from .training.control import Cancelled, Control
from .training.events import Estimated, Event, Finished, Started
from .training.events import Progress as ProgressEvent
from .training.memory import default_budget, parse_size
from .training.request import DEVICES, PRESETS, TrainRequest
from .training.threads import calm_threads
from .volume.annotation import NOT_ANNOTATED, infer_axis
from .volume.array_files import value_counts
from .volume.classes import BACKGROUND, ClassTable
from .volume.project import ImageInfo, Project, ProjectError

if TYPE_CHECKING:
    import numpy.typing as npt

    from .volume.image import Volume

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)


_NONE = np.zeros(0, dtype=np.uint8)


class UsageError(ValueError):
    """Input that cannot be worked with; the message is one clear sentence."""


def main() -> None:
    """Run the command line; errors of the user's are one sentence and exit code 2."""
    try:
        app()
    except (UsageError, FormatError, ProjectError) as error:
        print(f"Error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Cancelled:
        raise SystemExit(130) from None


@app.callback()
def _root() -> None:
    """Segment a volume from a few labelled slices."""


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@app.command()
def propose(
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
) -> None:
    """Propose labels for a whole volume from a few labelled slices.

    Progress goes to stderr, one line of JSON to stdout.
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
    ids = np.flatnonzero(value_counts(ink))
    with tempfile.TemporaryDirectory(prefix="napari-sslseg-", dir=_roomy(output)) as folder:
        project = _make_project(Path(folder) / "project", volume, ink, ids, axis)
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
    summary = {
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
    print(json.dumps(summary))


@app.command(
    name="export",
    help="Write labels in another format, with the image's geometry; prints one line of JSON.",
)
@functools.wraps(run_export)
def export_command(**options: Any) -> None:
    """Run `run_export` and print what it returns."""
    print(json.dumps(run_export(**options)))


@app.command(
    name="batch",
    help="Propose for all volumes of a project; prints one line of JSON a volume.",
)
@functools.wraps(run_batch_command)
def batch_command(**options: Any) -> None:
    """Run `run_batch_command` and print what it returns."""
    for row in run_batch_command(**options):
        print(json.dumps(row, ensure_ascii=False))


@app.command(
    name="train",
    help="Train on a data set described in YAML, or go on with an interrupted run; prints JSON.",
)
@functools.wraps(run_train)
def train_command(**options: Any) -> None:
    """Run `run_train` and print what it returns."""
    _print_outcome(run_train, options)


@app.command(
    name="predict", help="Predict label files for cases of a data set; prints one line of JSON."
)
@functools.wraps(run_predict)
def predict_command(**options: Any) -> None:
    """Run `run_predict` and print what it returns."""
    _print_outcome(run_predict, options)


@app.command(
    name="evaluate",
    help="Score predicted label files: Dice, Jaccard, HD95, ASD; prints one line of JSON.",
)
@functools.wraps(run_evaluate)
def evaluate_command(**options: Any) -> None:
    """Run `run_evaluate` and print what it returns."""
    _print_outcome(run_evaluate, options)


def _print_outcome(command: Callable[..., dict[str, Any]], options: dict[str, Any]) -> None:
    from .training.dataset.description import DatasetError

    try:
        print(json.dumps(command(**options)))
    except DatasetError as error:
        raise UsageError(str(error)) from error


@app.command(name="list")
def list_volumes(
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
) -> None:
    """List the volumes in a file or folder, one line of JSON each."""
    choices: tuple[Choice, ...]
    try:
        volume = read(path)
        choices = (Choice(volume.part, volume.name),)
    except SeveralVolumesError as error:
        choices = error.choices
    for choice in choices:
        print(json.dumps({"key": choice.key, "title": choice.title}, ensure_ascii=False))


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
    path: Path, volume: Volume, ink: npt.NDArray[np.uint8], ids: npt.NDArray[Any], axis: int
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
