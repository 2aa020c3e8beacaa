"""The cases of a data set: which files they are, found by templates or named, and lists of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from .errors import DatasetError


@dataclass(frozen=True)
class Entry:
    """One case.

    Attributes
    ----------
    name
        Its name in lists and results.
    images
        Its image; several files are channels.
    labels
        Its annotation, if there is one.
    missing
        Where a template says that there would be one, if there is none.
    """

    name: str
    images: tuple[Path, ...]
    labels: Path | None = None
    missing: Path | None = None

    @property
    def sought(self) -> str:
        """Where labels were looked for that are not there, for messages."""
        return f" ({self.missing} does not exist)" if self.missing else ""


def find_entries(content: Mapping[str, Any], root: Path, where: str) -> dict[str, Entry]:
    """Return the cases of a description by name.

    Parameters
    ----------
    content
        What the YAML file holds: ``volumes`` and ``exclude`` count.
    root
        Relative paths start here.
    where
        For messages.

    Raises
    ------
    DatasetError
        With one sentence.
    """
    volumes = content.get("volumes")
    if isinstance(volumes, dict | list) and not volumes:
        raise DatasetError(f"{where}: volumes is empty; list templates, or cases by name.")
    if isinstance(volumes, dict):
        cases = [(_name(name, "volumes", where), item) for name, item in volumes.items()]
        found = [_entry(name, item, root, where) for name, item in cases]
    elif isinstance(volumes, list):
        found = [entry for item in volumes for entry in _expand(item, root, where)]
    else:
        raise DatasetError(f"{where}: volumes must be a list of templates or cases by name.")
    exclude = content.get("exclude") or ()
    given = exclude if isinstance(exclude, list | tuple) else [exclude]
    patterns = [_name(pattern, "exclude", where) for pattern in given]
    entries: dict[str, Entry] = {}
    for entry in found:
        if any(fnmatch(entry.name, pattern) for pattern in patterns):
            continue
        if entry.name in entries:
            raise DatasetError(f"{where}: two cases are called {entry.name}.")
        entries[entry.name] = entry
    if not entries:
        raise DatasetError(
            f"{where}: no image was found in {root}; check the templates of volumes, root, and "
            "exclude."
        )
    return entries


def _name(value: Any, key: str, where: str) -> str:
    """Return a name as its file has it, which numbers with a point may not show any more."""
    if isinstance(value, str | int | date) and not isinstance(value, bool):
        return str(value)
    raise DatasetError(
        f"{where}: {key} holds {value!r}, which is no name; write names that YAML takes for "
        "something else, such as no or 1.0, in quotes."
    )


def _paths(item: Any, where: str) -> tuple[list[str], str | None]:
    given = item if isinstance(item, dict) else {}
    image = given.get("image")
    images = image if isinstance(image, list) else [image]
    if not images or not all(images) or set(given) - {"image", "labels"}:
        raise DatasetError(f"{where}: each of volumes has an image and may have labels.")
    labels = given.get("labels")
    return [str(i) for i in images], None if labels is None else str(labels)


def _entry(name: str, item: Any, root: Path, where: str) -> Entry:
    if Path(name).name != name:
        raise DatasetError(f"{where}: {name!r} cannot name a case, as it cannot name a file.")
    images, labels = _paths(item, where)
    paths = [root / i for i in images] + ([root / labels] if labels else [])
    for path in paths:
        if not path.exists():
            raise DatasetError(f"{where}: {path} of case {name} does not exist.")
    return Entry(name, tuple(paths[: len(images)]), root / labels if labels else None)


def _expand(item: Any, root: Path, where: str) -> list[Entry]:
    images, labels = _paths(item, where)
    if "{case}" not in images[0]:
        raise DatasetError(f"{where}: the template {images[0]} lacks “{{case}}”.")
    names = _matches(root, images[0], where)
    # An image's template may find label files too: "{case}.png" finds "1_gt.png".
    masks = (
        {labels.replace("{case}", n): n for n in _matches(root, labels, where)} if labels else {}
    )
    entries = []
    for name in names:
        files = [i.replace("{case}", name) for i in images]
        # A folder may hold both: a series and its structure set.
        if masks.get(files[0], name) != name or not all((root / f).exists() for f in files):
            continue
        mask = root / labels.replace("{case}", name) if labels else None
        found = (mask, None) if mask is not None and mask.exists() else (None, mask)
        entries.append(Entry(name, tuple(root / f for f in files), *found))
    return entries


def _matches(root: Path, template: str, where: str) -> list[str]:
    # A name that occurs again, as in {case}/{case}_t1.nii.gz, is the same one.
    first, *others = map(re.escape, template.split("{case}"))
    pattern = re.compile(first + "(?P<case>[^/]+)" + "(?P=case)".join(others))
    found = []
    try:
        paths = sorted(root.glob(template.replace("{case}", "*")))
    except (ValueError, NotImplementedError) as error:
        raise DatasetError(
            f"{where}: the template {template} cannot be searched for; give the folder as root, "
            "and the template from there on."
        ) from error
    for path in paths:
        match = pattern.fullmatch(path.relative_to(root).as_posix())
        if match:
            found.append(match["case"])
    return found


def list_names(
    value: Any, key: str, root: Path, entries: Mapping[str, Entry], where: str
) -> tuple[str, ...]:
    """Return the cases of a list; none of one that is ``"rest"``.

    Parameters
    ----------
    value
        Names, or a file with a name a line.
    key
        What the list is called.
    root, where
        As for `find_entries`.
    entries
        The cases that there are.

    Raises
    ------
    DatasetError
        With one sentence.
    """
    if value is None or value == "rest":
        return ()
    if isinstance(value, str):
        try:
            text = (root / value).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"{where}: the {key} list {root / value} cannot be read; give a list of cases, "
                "a file with one name a line, or rest."
            ) from error
        # Names may hold spaces; lines may end in some that nobody sees.
        value = [name for line in text.splitlines() if (name := line.strip())]
    if not isinstance(value, list):
        raise DatasetError(f"{where}: {key} must be a list of cases, a file, or rest.")
    names = [_name(name, f"the {key} list", where) for name in value]
    for name in names:
        if name not in entries:
            raise DatasetError(f"{where}: {name} of the {key} list is no case of volumes.")
    if len(set(names)) < len(names):
        raise DatasetError(f"{where}: the {key} list names a case twice.")
    return tuple(names)
