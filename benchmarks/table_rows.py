"""Rows of the published comparisons: data sets, labelled cases, methods, ablations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from types import MappingProxyType
from typing import Any

from napari_sslseg.methods.augment import WeakAugmentation
from napari_sslseg.training.dataset.presets import PRESETS

ACDC_METHODS = (
    *("supervised", "mean-teacher", "fixmatch", "unimatch", "cps", "semsim", "rpg"),
    *("metassl-mean-teacher", "metassl-fixmatch", "metassl-cps", "default"),
)
LA_METHODS = ("supervised", "mean-teacher", "metassl-mean-teacher", "cps", "metassl-cps")


@dataclass(frozen=True)
class Variant:
    """A preset with other settings: what is compared with the presets themselves."""

    preset: str
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


#: What a preset brings that is not its method.
_PROTOCOL = (
    *("optimiser", "learning_rate", "betas", "bias_rate", "bias_decay", "clip", "schedule"),
    *("labelled", "steps", "average"),
)


def _supervised_as(name: str) -> Variant:
    """Return supervised training with the optimiser, schedule and weak view of another preset."""
    preset = PRESETS[name]
    protocol = {key: getattr(preset, key) for key in _PROTOCOL}
    # How views are drawn is said, as `supervised` says another way.
    weak = {"draw": WeakAugmentation().draw, **preset.options["weak"]}
    return Variant("supervised", {"weak": weak}, protocol)


#: Presets without one of their parts, or with another choice. The whole weight of CPS is that of a
#: supervised cross-entropy. What learns from labelled images alone as a method does is what tells
#: whether that gains by unlabelled images or by its optimiser.
VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "default-without-rpg": Variant("default", {"matched": 0.0}),
        "default-without-semsim": Variant("default", {"intra": 0.0, "cross": 0.0}),
        "default-without-metassl": Variant("default", {"metassl": False, "labelled_regions": 0.0}),
        "default-ungated": Variant("default", {"gated": False}),
        "default-simple-fusion": Variant("default", {"fusion": "simple"}),
        "default-published-width": Variant("default", {"fusion_width": 128, "grid": 56}),
        "cps-whole": Variant("cps", {"cross": 1.0}),
        "supervised-as-rpg": _supervised_as("rpg"),
        "supervised-as-default": _supervised_as("default"),
    }
)

#: Dice of the papers, for orientation: other test cases, other budgets.
PUBLISHED = {
    **{f"acdc-{k}/semsim": v for k, v in zip((1, 3, 7), (0.872, 0.888, 0.896), strict=True)},
    **{f"acdc-{k}/unimatch": v for k, v in zip((1, 3, 7), (0.854, 0.889, 0.899), strict=True)},
    **{f"acdc-{k}/fixmatch": v for k, v in zip((1, 3, 7), (0.722, 0.824, 0.879), strict=True)},
    **{f"acdc-{k}/supervised": v for k, v in zip((1, 3, 7), (0.390, 0.560, 0.797), strict=True)},
}


@dataclass(frozen=True)
class Row:
    """One method on one setting."""

    setting: str
    preset: str

    @property
    def name(self) -> str:
        """As on the command line."""
        return f"{self.setting}/{self.preset}"

    def folder(self, seed: int) -> str:
        """As a file name."""
        return f"{self.setting}__{self.preset}__seed{seed}"


def all_rows() -> list[Row]:
    """Every row of the tables."""
    # The settings in the middle first: what is cut short is then still a table.
    rows = [Row(f"acdc-{k}", m) for k in (3, 7, 1) for m in ACDC_METHODS]
    rows += [Row("acdc-all", "supervised")]
    rows += [Row("acdc-3", name) for name, of in VARIANTS.items() if of.preset == "default"]
    rows += [Row(f"acdc-{k}", "default-ungated") for k in (1, 7)]
    controls = ("supervised-as-rpg", "supervised-as-default")
    rows += [Row(f"acdc-{k}", m) for k in (3, 7, 1, "all") for m in controls]
    rows += [Row(f"jsrt-{n}", m) for n in (6, 12) for m in ("supervised", "rpg", "default")]
    rows += [Row(f"jsrt-{n}", m) for n in (6, 12, "all") for m in controls]
    rows += [Row("jsrt-all", "supervised")]
    rows += [Row("la-4", m) for m in (*LA_METHODS, "cps-whole")]
    return rows


def acdc(root: Path, labelled: str, unlabelled_cases: int | None) -> dict[str, Any]:
    """ACDC: slices at 224, published lists, tested on the 10 validation patients."""
    names = _cases(root / "train", "_gt.nii.gz")
    first = names
    if labelled != "all":
        first = (root / f"labelled_{labelled}.txt").read_text().split()
    rest = [name for name in names if name not in set(first)]
    return {
        "name": f"ACDC, {labelled} labelled patients",
        "volumes": [
            {"image": f"{part}/{{case}}.nii.gz", "labels": f"{part}/{{case}}_gt.nii.gz"}
            for part in ("train", "val")
        ],
        "exclude": ["*_scribble"],
        "classes": {1: "RV", 2: "Myo", 3: "LV"},
        "axis": 2,
        "size": [224, 224],
        "distances": "voxels",  # the source has no spacing
        "labelled": first,
        "unlabelled": rest[:unlabelled_cases],
        "test": _cases(root / "val", "_gt.nii.gz"),
    }


def jsrt(root: Path, labelled: str, unlabelled_cases: int | None) -> dict[str, Any]:
    """JSRT: five structures that overlap; each fifth film is for testing, the rest for training."""
    names = _cases(root, "_gt.png")
    test = names[4::5]
    train = [name for name in names if name not in set(test)]
    count = len(train) if labelled == "all" else int(labelled)
    # Spread over the list, which is in the order of the source.
    chosen = [train[round(i * (len(train) - 1) / max(count - 1, 1))] for i in range(count)]
    rest = [name for name in train if name not in set(chosen)]
    return {
        "name": f"JSRT, {labelled} labelled films",
        "volumes": [{"image": "{case}.png", "labels": "{case}_gt.png"}],
        "overlapping": True,
        "classes": {
            1: "left lung",
            2: "right lung",
            4: "heart",
            8: "left clavicle",
            16: "right clavicle",
        },
        "size": [256, 256],
        "distances": "voxels",
        "labelled": chosen,
        "unlabelled": rest[:unlabelled_cases],
        "test": test,
        # Left and right are classes here: no flips, no quarter turns.
        "training": {"options": {"weak": {"flip": 0.0, "quarter_turns": 0.0}}},
    }


def la(root: Path, labelled: str, unlabelled_cases: int | None) -> dict[str, Any]:
    """Left atrium: patches of volumes; the first are labelled, the last four for testing."""
    names = _cases(root / "train", "_gt.nii.gz")
    count = int(labelled)
    return {
        "name": f"Left atrium, {labelled} labelled volumes",
        "volumes": [{"image": "train/{case}.nii.gz", "labels": "train/{case}_gt.nii.gz"}],
        "classes": {1: "left atrium"},
        "dimensions": 3,
        "axis": 2,
        "size": [80, 112, 112],
        "distances": "voxels",
        "labelled": names[:count],
        "unlabelled": names[count:-4][:unlabelled_cases],
        "test": names[-4:],
    }


SOURCES = {"acdc": acdc, "jsrt": jsrt, "la": la}


def _cases(folder: Path, suffix: str) -> list[str]:
    return sorted(path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}"))


def chosen_rows(patterns: list[str]) -> Iterator[Row]:
    """Yield the rows that match one of the patterns."""
    for row in all_rows():
        if not patterns or any(fnmatch(row.name, pattern) for pattern in patterns):
            yield row
