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

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...volume.annotation import NOT_ANNOTATED
from .entries import Entry, find_entries, list_names
from .errors import DatasetError
from .values import checked
from .yaml_file import read_yaml

__all__ = ["KEYS", "LISTS", "Dataset", "DatasetError", "Entry", "parse_dataset", "read_dataset"]

#: Name of the row of scores over all classes, which no class can have.
MEAN = "mean"

LISTS = ("labelled", "unlabelled", "validation", "test")
KEYS = (
    *("name", "root", "volumes", "exclude", "classes", "overlapping", "not_annotated"),
    *("complete_contours", "axis", "dimensions", "size", "middle", "context", "distances"),
    *("training", *LISTS),
)


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
        Value in the label files to name, in the order of the network's outputs; without
        background. Those of a description are in the order of their values, however it lists them.
        Overlapping classes are bits: each value is a power of two.
    overlapping
        Whether labels are bit masks of classes that may overlap.
    not_annotated
        Values in the label files without a statement, beside 255.
    complete_contours
        Whether slices on which an RT structure set outlines nothing are background.
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
    complete_contours: bool = False
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
    """Read a description, a YAML file in UTF-8.

    Raises
    ------
    DatasetError
        With one sentence: what is wrong, and where.
    """
    return parse_dataset(read_yaml(path), path.parent, str(path))


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
    if not root.is_dir():
        raise DatasetError(f"{where}: there is no folder {root}; check root.")
    overlapping = checked(f"{where}: overlapping", content.get("overlapping", False), bool)
    complete = content.get("complete_contours", False)
    dimensions = content.get("dimensions", 2)
    if dimensions not in (2, 3) or not isinstance(dimensions, int):
        raise DatasetError(f"{where}: dimensions must be 2 or 3, not {dimensions!r}.")
    entries = find_entries(content, root, where)
    rest = [key for key in LISTS if content.get(key) == "rest"]
    if len(rest) > 1:
        raise DatasetError(f"{where}: only one list can be the rest, not {' and '.join(rest)}.")
    lists = {key: list_names(content.get(key), key, root, entries, where) for key in LISTS}
    taken = {name for names in lists.values() for name in names}
    for key in rest:
        lists[key] = tuple(name for name in entries if name not in taken)
    shared = set(lists["labelled"]) & {*lists["validation"], *lists["test"]}
    if shared:
        raise DatasetError(f"{where}: {min(shared)} is in the labelled list and in a test list.")
    for name in lists["labelled"]:
        if entries[name].labels is None:
            raise DatasetError(
                f"{where}: {name} is in the labelled list but has no labels"
                f"{entries[name].sought}; check labels under volumes, or take it out."
            )
    training = content.get("training") or {}
    if not isinstance(training, dict):
        raise DatasetError(f"{where}: training must be settings such as {{preset: semsim}}.")
    distances = content.get("distances", "mm")
    if distances not in ("mm", "voxels"):
        raise DatasetError(f"{where}: distances must be mm or voxels, not {distances!r}.")
    classes = _classes(content.get("classes"), overlapping, where)
    context = _whole(content, "context", 0, 0, 5, where)
    if context and dimensions == 3:
        raise DatasetError(f"{where}: context is for slices; patches have their neighbours anyway.")
    return Dataset(
        name=str(content.get("name", where)),
        entries=entries,
        classes=classes,
        overlapping=overlapping,
        not_annotated=_not_annotated(content.get("not_annotated", ()), classes, overlapping, where),
        complete_contours=checked(f"{where}: complete_contours", complete, bool),
        axis=_whole(content, "axis", 2, 0, 2, where),
        dimensions=dimensions,
        size=_size(content.get("size"), dimensions, where),
        middle=_middle(content.get("middle", 1.0), dimensions, where),
        context=context,
        distances=distances,
        training=training,
        **lists,
    )


def _whole(
    content: Mapping[str, Any], key: str, default: int, low: int, high: int, where: str
) -> int:
    value = content.get(key, default)
    if not _is_whole(value) or not low <= value <= high:
        raise DatasetError(f"{where}: {key} must be {low} to {high}, not {value!r}.")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _size(value: Any, dimensions: int, where: str) -> tuple[int, ...]:
    good = isinstance(value, list) and all(_is_whole(n) and n > 0 for n in value)
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
    if NOT_ANNOTATED in value:
        raise DatasetError(
            f"{where}: 255 stands for what is not annotated; where it is the only class of masks "
            "of 0 and 255, name it as class 1."
        )
    for key in value:
        if not _is_whole(key) or not 0 < key < NOT_ANNOTATED:
            raise DatasetError(f"{where}: a class has a value from 1 to 254, not {key!r}.")
        if overlapping and key & (key - 1):
            raise DatasetError(f"{where}: overlapping classes are powers of two, not {key}.")
    if overlapping and sum(value) == NOT_ANNOTATED:
        raise DatasetError(
            f"{where}: eight overlapping classes sum to 255, which stands for not annotated; leave "
            "one out."
        )
    # By value: the order of the lines, which says nothing to people, must not make another network.
    classes = {key: value[key] for key in sorted(value)}
    for key, name in classes.items():
        if not isinstance(name, str) or not name.strip():
            raise DatasetError(
                f"{where}: class {key} needs a name, not {name!r}; write a name that YAML takes "
                "for something else in quotes."
            )
        if name == MEAN:
            raise DatasetError(f"{where}: scores have a row “mean”; give that class another name.")
        if [*classes.values()].count(name) > 1:
            raise DatasetError(f"{where}: two classes are called {name}; give each its own name.")
    return classes


def _not_annotated(
    value: Any, classes: Mapping[int, str], overlapping: bool, where: str
) -> tuple[int, ...]:
    values: tuple[int, ...] = checked(f"{where}: not_annotated", value, tuple[int, ...])
    every = sum(classes)
    for blank in values:
        # The labels of overlapping classes are all sums of their values.
        if blank in classes or (overlapping and blank and blank & every == blank):
            raise DatasetError(
                f"{where}: {blank} cannot be not annotated, as it is the value of a class or of "
                "several at once."
            )
    return values
