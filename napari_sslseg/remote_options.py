"""Options of commands that can work on another computer."""

from __future__ import annotations

from typing import Annotated

import typer

from .command_errors import UsageError
from .jobs.place import USUAL_PYTHON, Place, PlaceError

OnOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        help="Train on another computer: its name as after ssh, which must let you in with a key. "
        "See docs/remote.md.",
    ),
]
PythonThereOption = Annotated[
    str, typer.Option(help="The Python on that computer that has napari-sslseg.")
]


def place_of(host: str | None, python: str = USUAL_PYTHON) -> Place | None:
    """Return the computer that is asked for; None for this one.

    Raises
    ------
    UsageError
        When that is no name of one.
    """
    try:
        return None if host is None else Place(host, python)
    except PlaceError as error:
        raise UsageError(str(error)) from error
