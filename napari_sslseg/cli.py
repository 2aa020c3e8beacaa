"""Label whole volumes from a few labelled slices, without a window.

Also for data sets of many images: train, predict, evaluate. Each result is one line of JSON.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from . import __version__
from .batch_command import plan_batch
from .dataset_commands import run_evaluate, run_predict, run_train
from .export_command import run_export
from .formats import read
from .formats.choice import Choice, SeveralVolumesError
from .formats.registry import kind_of
from .propose_command import run_propose
from .training.control import Cancelled
from .training.trouble import explain

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)


@dataclass
class _Wishes:
    """What was asked for in front of the command's name."""

    debug: bool = False


_wishes = _Wishes()


def main() -> None:
    """Run the command line.

    Errors are one sentence. The exit code is 2 where the user can mend it, 1 for a fault of the
    program, whose traceback ``--debug`` or ``NAPARI_SSLSEG_DEBUG=1`` shows, or when volumes of a
    batch failed, and 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        Always, with that code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # such as of a help in typographic quotes
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (Cancelled, KeyboardInterrupt):
        raise SystemExit(130) from None
    except Exception as error:
        raise SystemExit(_tell(error)) from None


def _tell(error: Exception) -> int:
    """Tell of an error on stderr; returns the exit code."""
    trouble = explain(error)
    if _wishes.debug:
        traceback.print_exception(error)
    sentence = trouble.sentence
    if not trouble.foreseen and not _wishes.debug:
        sentence = (
            f"{sentence.removesuffix('.')}; to see where, run “napari-sslseg --debug” with the "
            "same arguments, or set NAPARI_SSLSEG_DEBUG=1."
        )
    print(f"Error: {sentence}", file=sys.stderr)
    return 2 if trouble.foreseen else 1


def _print(content: dict[str, Any]) -> None:
    """Print a line of JSON, at once; what the terminal cannot show is escaped as JSON does it."""
    line = json.dumps(content, ensure_ascii=False)
    try:
        line.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        line = json.dumps(content)
    print(line, flush=True)


@app.callback()
def _root(
    debug: Annotated[
        bool,
        typer.Option("--debug", envvar="NAPARI_SSLSEG_DEBUG", help="Show where errors come from."),
    ] = False,
) -> None:
    """Segment a volume from a few labelled slices."""
    _wishes.debug = debug


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
    _print(run_propose(**options))


@app.command(
    name="export",
    help="Write labels in another format, with the image's geometry; prints one line of JSON.",
)
@functools.wraps(run_export)
def export_command(**options: Any) -> None:
    """Run `run_export` and print what it returns."""
    _print(run_export(**options))


@app.command(
    name="batch",
    help="Propose for all volumes of a project; prints one line of JSON for each as soon as it is "
    "done. The exit code is 1 when a volume failed: its line has an “error”.",
)
@functools.wraps(plan_batch)
def batch_command(**options: Any) -> None:
    """Run what `plan_batch` returns, and print each volume's row at once.

    Raises
    ------
    typer.Exit
        With the code 1 when a volume failed.
    """

    def tell(row: dict[str, Any]) -> None:
        detail = row.pop("detail", "")
        # Whoever reads may be gone, or the disk full: the other volumes get their proposals.
        with contextlib.suppress(OSError):
            if detail and _wishes.debug:
                print(detail, file=sys.stderr)
        try:
            # At once, also into a pipe or a file: what ends the batch must not take it along.
            _print(row)
        except BrokenPipeError:  # what is still held back would be told to nobody again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError:
            pass

    if plan_batch(**options).run(tell):
        raise typer.Exit(1)


@app.command(
    name="train",
    help="Train on a data set described in YAML, or go on with an interrupted run; prints JSON.",
)
@functools.wraps(run_train)
def train_command(**options: Any) -> None:
    """Run `run_train` and print what it returns."""
    _print(run_train(**options))


@app.command(
    name="predict", help="Predict label files for cases of a data set; prints one line of JSON."
)
@functools.wraps(run_predict)
def predict_command(**options: Any) -> None:
    """Run `run_predict` and print what it returns."""
    _print(run_predict(**options))


@app.command(
    name="evaluate",
    help="Score predicted label files: Dice, Jaccard, HD95, ASD; prints one line of JSON.",
)
@functools.wraps(run_evaluate)
def evaluate_command(**options: Any) -> None:
    """Run `run_evaluate` and print what it returns."""
    _print(run_evaluate(**options))


@app.command(
    name="list",
    help="List the volumes in a file or folder, one line of JSON each: the key that --series "
    "takes, title, kind of file, and shape in the order of its axes (null where only reading it "
    "would tell). Where the panel's projects are, “batch --help” says.",
)
def list_volumes(
    path: Annotated[Path, typer.Argument(help="A file or a folder.")],
) -> None:
    """List the volumes in a file or folder, one line of JSON each.

    Raises
    ------
    FormatError
        With one sentence, when it cannot be read.
    """
    choices: tuple[Choice, ...]
    try:
        volume = read(path)
        choices = (Choice(volume.part, volume.name, volume.geometry.shape),)
    except SeveralVolumesError as error:
        choices = error.choices
    kind = kind_of(path)
    for choice in choices:
        shape = list(choice.shape) or None
        _print({"key": choice.key, "title": choice.title, "kind": kind, "shape": shape})
