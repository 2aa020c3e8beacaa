"""What a data set is made of: a YAML file, checked, with every path and case resolved.

```yaml
name: ACDC, 3 labelled patients
volumes:                          # each {case} that a template finds, or cases by name
  - {image: "train/{case}.nii.gz", labels: "train/{case}_gt.nii.gz"}
exclude: ["*_scribble"]
classes: {1: right ventricle, 2: myocardium, 3: left ventricle}
axis: 2                           # slices are cut along it
size: [224, 224]                  # slices are resized to it; for patches: [depth, height, width]
middle: 1.0                       # share of height and width around the middle that is looked at
labelled: labelled_3.txt          # a list, a file with a name a line, or "rest"
unlabelled: rest
validation: [patient002_frame01]
training: {preset: semsim, steps: 30000}
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

LISTS = ("labelled", "unlabelled", "validation", "test")
KEYS = (
    *("name", "root", "volumes", "exclude", "classes", "overlapping", "not_annotated", "axis"),
    *("dimensions", "size", "middle", "context", "distances", "training", *LISTS),
)


class DatasetError(ValueError):
    """Something in a description or its files that the user must change; one clear sentence."""


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
    """

    name: str
    images: tuple[Path, ...]
    labels: Path | None = None


@dataclass(frozen=True)
class Dataset:
    """A data set.

    Attributes
    ----------
    name
        For people.
    entries
        All cases by name.
    classes
        Value in the label files to name, in the order of the classes; without background.
        Overlapping classes are bits: each value is a power of two.
    overlapping
        Whether labels are bit masks of classes that may overlap.
    not_annotated
        Values in the label files without a statement, beside 255.
    axis
        Slicing axis, as arrays are indexed.
    dimensions
        2 for slices, 3 for patches.
    size
        Slices are resized to (height, width); patches are (depth, height, width), depth along
        `axis`.
    middle
        Share of the height and of the width of slices, around their middle, that is looked at; the
        rest is background. 2D only.
    context
        Slices on either side that the network sees too; 2D only.
    distances
        ``"mm"`` by the headers' spacing, or ``"voxels"``.
    labelled, unlabelled, validation, test
        Names of cases.
    training
        Settings; see `settings.Settings`.
    """

    name: str
    entries: Mapping[str, Entry]
    classes: Mapping[int, str]
    overlapping: bool = False
    not_annotated: tuple[int, ...] = ()
    axis: int = 2
    dimensions: int = 2
    size: tuple[int, ...] = (256, 256)
    middle: float = 1.0
    context: int = 0
    distances: str = "mm"
    labelled: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """Number of classes of the network: with background, unless classes overlap."""
        return len(self.classes) + (not self.overlapping)

    def cases(self, part: str) -> tuple[Entry, ...]:
        """Return the cases of ``"labelled"``, ``"unlabelled"``, ``"validation"`` or ``"test"``.

        Raises
        ------
        DatasetError
            For any other name.
        """
        if part not in LISTS:
            raise DatasetError(f"There is no list {part!r}; there are {', '.join(LISTS)}.")
        return tuple(self.entries[name] for name in getattr(self, part))


def read_dataset(path: Path) -> Dataset:
    """Read a description.

    Raises
    ------
    DatasetError
        With one sentence: what is wrong, and where.
    """
    try:
        import yaml
    except ImportError as error:
        raise DatasetError(
            "Descriptions of data sets need PyYAML; install it with: pip install pyyaml"
        ) from error
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where is not None else ""
        raise DatasetError(f"{path} is not valid YAML{line}; see the documentation.") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} holds no settings; it must be lines of “key: value”.")
    return parse_dataset(content, path.parent, str(path))


def parse_dataset(content: Mapping[str, Any], folder: Path, where: str) -> Dataset:
    """Check a description.

    Parameters
    ----------
    content
        What the YAML file holds.
    folder
        Relative paths start here, or at the description's ``root``.
    where
        For messages.

    Raises
    ------
    DatasetError
        With one sentence.
    """
    if unknown := [key for key in content if key not in KEYS]:
        raise DatasetError(f"{where}: unknown key {unknown[0]!r}; there are {', '.join(KEYS)}.")
    root = folder / str(content.get("root", "."))
    overlapping = bool(content.get("overlapping", False))
    dimensions = content.get("dimensions", 2)
    if dimensions not in (2, 3):
        raise DatasetError(f"{where}: dimensions must be 2 or 3, not {dimensions!r}.")
    entries = _entries(content, root, where)
    rest = [key for key in LISTS if content.get(key) == "rest"]
    if len(rest) > 1:
        raise DatasetError(f"{where}: only one list can be the rest, not {' and '.join(rest)}.")
    lists = {key: _names(content.get(key), key, root, entries, where) for key in LISTS}
    taken = {name for names in lists.values() for name in names}
    for key in rest:
        lists[key] = tuple(name for name in entries if name not in taken)
    shared = set(lists["labelled"]) & {*lists["validation"], *lists["test"]}
    if shared:
        raise DatasetError(f"{where}: {min(shared)} is in the labelled list and in a test list.")
    for key in ("labelled", "validation", "test"):
        bare = [name for name in lists[key] if entries[name].labels is None]
        if bare and key == "labelled":
            raise DatasetError(f"{where}: {bare[0]} is in the labelled list but has no labels.")
    training = content.get("training") or {}
    if not isinstance(training, dict):
        raise DatasetError(f"{where}: training must be settings such as {{preset: semsim}}.")
    distances = content.get("distances", "mm")
    if distances not in ("mm", "voxels"):
        raise DatasetError(f"{where}: distances must be mm or voxels, not {distances!r}.")
    return Dataset(
        name=str(content.get("name", where)),
        entries=entries,
        classes=_classes(content.get("classes"), overlapping, where),
        overlapping=overlapping,
        not_annotated=tuple(int(v) for v in content.get("not_annotated", ())),
        axis=_whole(content, "axis", 2, 0, 2, where),
        dimensions=dimensions,
        size=_size(content.get("size"), dimensions, where),
        middle=_middle(content.get("middle", 1.0), dimensions, where),
        context=_whole(content, "context", 0, 0, 5, where),
        distances=distances,
        training=training,
        **lists,
    )


def _whole(
    content: Mapping[str, Any], key: str, default: int, low: int, high: int, where: str
) -> int:
    value = content.get(key, default)
    if not isinstance(value, int) or not low <= value <= high:
        raise DatasetError(f"{where}: {key} must be {low} to {high}, not {value!r}.")
    return value


def _size(value: Any, dimensions: int, where: str) -> tuple[int, ...]:
    good = isinstance(value, list) and all(isinstance(n, int) and n > 0 for n in value)
    if not good or len(value) != dimensions:
        example = "[224, 224]" if dimensions == 2 else "[80, 112, 112]"
        raise DatasetError(f"{where}: size must be {dimensions} whole numbers, such as {example}.")
    return tuple(value)


def _middle(value: Any, dimensions: int, where: str) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0.1 <= value <= 1:
        raise DatasetError(f"{where}: middle must be a share from 0.1 to 1, not {value!r}.")
    if value < 1 and dimensions == 3:
        raise DatasetError(f"{where}: middle is for slices; patches see the whole volume.")
    return float(value)


def _classes(value: Any, overlapping: bool, where: str) -> dict[int, str]:
    if not isinstance(value, dict) or not value:
        raise DatasetError(f"{where}: classes must name label values, such as {{1: liver}}.")
    for key in value:
        if not isinstance(key, int) or not 0 < key < 255:
            raise DatasetError(f"{where}: a class has a value from 1 to 254, not {key!r}.")
        if overlapping and key & (key - 1):
            raise DatasetError(f"{where}: overlapping classes are powers of two, not {key}.")
    return {key: str(name) for key, name in value.items()}


def _entries(content: Mapping[str, Any], root: Path, where: str) -> dict[str, Entry]:
    volumes = content.get("volumes")
    if isinstance(volumes, dict):
        found = [_entry(str(name), item, root, where) for name, item in volumes.items()]
    elif isinstance(volumes, list):
        found = [entry for item in volumes for entry in _expand(item, root, where)]
    else:
        raise DatasetError(f"{where}: volumes must be a list of templates or cases by name.")
    exclude = content.get("exclude", ())
    patterns = [str(p) for p in (exclude if isinstance(exclude, list | tuple) else [exclude])]
    entries: dict[str, Entry] = {}
    for entry in found:
        if any(fnmatch(entry.name, pattern) for pattern in patterns):
            continue
        if entry.name in entries:
            raise DatasetError(f"{where}: two cases are called {entry.name}.")
        entries[entry.name] = entry
    if not entries:
        raise DatasetError(f"{where}: no image was found in {root}; check volumes.")
    return entries


def _paths(item: Any, where: str) -> tuple[list[str], str | None]:
    if not isinstance(item, dict) or "image" not in item or set(item) - {"image", "labels"}:
        raise DatasetError(f"{where}: each of volumes has an image and may have labels.")
    images = item["image"] if isinstance(item["image"], list) else [item["image"]]
    labels = item.get("labels")
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
    names = _matches(root, images[0])
    # An image's template may find label files too: "{case}.png" finds "1_gt.png".
    masks = {labels.replace("{case}", n) for n in _matches(root, labels)} if labels else set()
    entries = []
    for name in names:
        files = [i.replace("{case}", name) for i in images]
        if files[0] in masks or not all((root / f).exists() for f in files):
            continue
        mask = root / labels.replace("{case}", name) if labels else None
        has_mask = mask is not None and mask.exists()
        entries.append(Entry(name, tuple(root / f for f in files), mask if has_mask else None))
    return entries


def _matches(root: Path, template: str) -> list[str]:
    pattern = re.compile(re.escape(template).replace(r"\{case\}", "(?P<case>[^/]+)", 1))
    found = []
    for path in sorted(root.glob(template.replace("{case}", "*"))):
        match = pattern.fullmatch(path.relative_to(root).as_posix())
        if match:
            found.append(match["case"])
    return found


def _names(
    value: Any, key: str, root: Path, entries: Mapping[str, Entry], where: str
) -> tuple[str, ...]:
    if value is None or value == "rest":
        return ()
    if isinstance(value, str):
        try:
            text = (root / value).read_text(encoding="utf-8")
        except OSError as error:
            raise DatasetError(
                f"{where}: the {key} list {root / value} cannot be read; give a list of cases, "
                "a file with one name a line, or rest."
            ) from error
        value = text.split()
    if not isinstance(value, list):
        raise DatasetError(f"{where}: {key} must be a list of cases, a file, or rest.")
    names = [str(name) for name in value]
    for name in names:
        if name not in entries:
            raise DatasetError(f"{where}: {name} of the {key} list is no case of volumes.")
    if len(set(names)) < len(names):
        raise DatasetError(f"{where}: the {key} list names a case twice.")
    return tuple(names)
