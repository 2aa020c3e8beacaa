"""The folders of projects: which one a volume belongs to, and which there are."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from .classes import ClassTable

#: Folder, inside of a project, of its further volumes.
VOLUMES = "volumes"


def home_of(path: Path) -> Path:
    """Folder of the project that a volume belongs to: its own, or that of the first volume."""
    path = Path(path)
    above = path.parent.parent
    inside = path.parent.name == VOLUMES and (above / "project.json").exists()
    return above if inside else path


def classes_of(path: Path, data: dict[str, Any]) -> ClassTable:
    """Return the class table of a project's head; of a further volume, that of the first one."""
    home = home_of(path)
    if home != path:
        # Where the first volume is damaged, what this one remembers will do.
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
            first = json.loads((home / "project.json").read_text(encoding="utf-8"))
            return ClassTable.from_json(first["classes"])
    return ClassTable.from_json(data["classes"])


def list_projects(folder: Path) -> list[tuple[Path, str, float]]:
    """Projects below a folder: (path, name, time of the last save), the newest first."""
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
        except (OSError, ValueError, KeyError):
            continue
    return sorted(found, key=lambda row: row[2], reverse=True)
