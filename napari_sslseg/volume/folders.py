"""The folders of projects: which one a volume belongs to, which there are, and new ones."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .classes import ClassTable
from .replacing import read_text
from .user_error import ProjectError

#: Folder, inside of a project, of its further volumes.
VOLUMES = "volumes"


def home_of(path: Path) -> Path:
    """Folder of the project that a volume belongs to: its own, or that of the first volume.

    Which is looked for on the disk; a folder that is no project counts as its own.
    """
    path = Path(path)
    above = path.parent.parent
    inside = path.parent.name == VOLUMES and (above / "project.json").exists()
    return above if inside else path


def is_there(path: Path) -> bool:
    """Whether a folder is that of a project: one that was moved or unmounted is not."""
    return (Path(path) / "project.json").is_file()


def is_gone(path: Path) -> ProjectError:
    """Return, not raise, the error that a project folder is no longer where it was."""
    return ProjectError(
        f"The project folder {path} is no longer there; put it back, or open it where it is now, "
        "and try again."
    )


def folder_within(project: Path, *names: str) -> Path:
    """Make a folder within that of a project, when missing, and return it.

    A project folder that was moved or unmounted is not made anew: what is written there would never
    be found, and strokes would follow it.

    Parameters
    ----------
    project : Path
    *names : str
        Folders below it, each within the one before.

    Raises
    ------
    ProjectError
        When the project is not there.
    OSError
        When the folder cannot be made.
    """
    folder = Path(project)
    if not is_there(folder):
        raise is_gone(folder)
    for name in names:
        folder = folder / name
        try:
            folder.mkdir(exist_ok=True)
        except FileNotFoundError as error:  # moved just now
            raise is_gone(Path(project)) from error
    return folder


@contextlib.contextmanager
def new_folder(path: Path, files: Sequence[str]) -> Iterator[None]:
    """Make a folder to be filled in the block; after any error all is as it was before.

    Parameters
    ----------
    path : Path
        Made, with those above it, when missing. One that is there already stays, whatever happens.
    files : sequence of str
        Names of what the block writes.

    Raises
    ------
    OSError
        When it cannot be made.
    """
    made = not path.exists()
    fresh = [path / name for name in files if not (path / name).exists()]
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if made:
            shutil.rmtree(path, ignore_errors=True)
        for file in fresh:
            with contextlib.suppress(OSError):  # why it failed is what the caller is to hear
                file.unlink(missing_ok=True)
        raise


def classes_of(path: Path, data: dict[str, Any]) -> ClassTable:
    """Return the class table of a project's head; of a further volume, that of the first one.

    Parameters
    ----------
    path : Path
        Folder of the volume.
    data : dict
        What its ``project.json`` holds.

    Raises
    ------
    KeyError, TypeError, ValueError
        When the head has no table that can be read; see `ClassTable.from_json`.
    """
    home = home_of(path)
    if home != path:
        # Where the first volume is damaged, what this one remembers will do.
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
            first = json.loads(read_text(home / "project.json"))
            return ClassTable.from_json(first["classes"])
    return ClassTable.from_json(data["classes"])


def list_projects(folder: Path) -> list[tuple[Path, str, float]]:
    """Projects below a folder: (path, name, time of the last save), the newest first.

    Times are seconds since 1970, of the newest ``project.json`` of any of the volumes. Only direct
    subfolders are looked at; heads that cannot be read are passed over.
    """
    found = []
    for head in Path(folder).glob("*/project.json"):
        try:
            data = json.loads(head.read_text(encoding="utf-8"))
            name, when = str(data["image"]["name"]), head.stat().st_mtime
            further = list((head.parent / VOLUMES).glob("*/project.json"))
            if further:
                name = f"{name} and {len(further)} more"
                when = max(when, *(other.stat().st_mtime for other in further))
            found.append((head.parent, name, when))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda row: row[2], reverse=True)
