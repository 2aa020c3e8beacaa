"""``napari-sslseg``: the same engine without a screen."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from . import __version__
from .batch_command import run_batch_command
from .dataset_commands import run_evaluate, run_predict, run_train
from .export_command import run_export
from .formats import FormatError, read
from .formats.choice import Choice, SeveralVolumesError
from .propose_command import UsageError, run_propose
from .training.control import Cancelled
from .volume.project import ProjectError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)


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


@app.command(
    name="propose",
    help="Propose labels for a whole volume from a few labelled slices; prints one line of JSON.",
)
@functools.wraps(run_propose)
def propose_command(**options: Any) -> None:
    """Run `run_propose` and print what it returns."""
    print(json.dumps(run_propose(**options)))


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
