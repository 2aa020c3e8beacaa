"""The published comparisons: every method on ACDC, JSRT and LA under one protocol.

Rows are called ``acdc-3/semsim``: data set, labelled cases, preset. Each row and seed is a run of
``napari-sslseg train`` with its folder; what is finished is not run again, what was interrupted
goes on, so that one command can be repeated until everything is there::

    python benchmarks/tables.py --acdc DATA/acdc --jsrt DATA/jsrt --la DATA/la --out results

``--rows 'acdc-3/*' --minutes 9`` does part of it. Presets train as published; ``--steps``,
``--size``, ``--channels``, ``--batch`` and ``--unlabelled-cases`` shorten the protocol for all rows
alike, and every result says so. The last weights are scored, as the test list must not choose.
Results are ``results/scores/*.json``, ``results/tables.json`` and ``results/tables.md``.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_sslseg.dataset_files import FormatsReader
from napari_sslseg.training.dataset.cases import load_case, to_indices, to_values
from napari_sslseg.training.dataset.description import Dataset, DatasetError, parse_dataset
from napari_sslseg.training.dataset.evaluation import METRICS, Report, score_case
from napari_sslseg.training.dataset.prediction import in_file_order, predict_case
from napari_sslseg.training.dataset.run import find_device, load_run, train_dataset
from napari_sslseg.training.dataset.settings import Settings, make_settings

ACDC_METHODS = (
    *("supervised", "mean-teacher", "fixmatch", "unimatch", "cps", "semsim", "rpg"),
    *("metassl-mean-teacher", "metassl-fixmatch", "metassl-cps", "default"),
)
LA_METHODS = ("supervised", "mean-teacher", "metassl-mean-teacher", "cps", "metassl-cps")

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
    rows = [Row(f"acdc-{k}", m) for k in (1, 3, 7) for m in ACDC_METHODS]
    rows += [Row("acdc-all", "supervised")]
    rows += [Row(f"jsrt-{n}", m) for n in (6, 12) for m in ("supervised", "rpg", "default")]
    rows += [Row("jsrt-all", "supervised")]
    rows += [Row("la-4", m) for m in LA_METHODS]
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


def describe(row: Row, arguments: argparse.Namespace) -> Dataset | None:
    """Return the data set of a row; None when its folder was not given."""
    source, labelled = row.setting.split("-")
    root = getattr(arguments, source)
    if root is None:
        return None
    content = SOURCES[source](root, labelled, arguments.unlabelled_cases)
    dataset = parse_dataset(content, root, row.setting)
    if arguments.size:
        size = (arguments.size,) * 2
        if dataset.dimensions == 3:
            size = (arguments.size,) * 3
        dataset = replace(dataset, size=size)
    return dataset


def settings_of(row: Row, dataset: Dataset, seed: int, arguments: argparse.Namespace) -> Settings:
    """Return the settings of a run: the preset's, shortened as the command line asks."""
    options = dict(dataset.training.get("options", {}))
    changes: dict[str, Any] = {"preset": row.preset, "seed": seed, "steps": arguments.steps}
    if arguments.channels and dataset.dimensions == 2:
        options["channels"] = list(arguments.channels)
    if options:
        changes["options"] = options
    if arguments.batch:
        changes["labelled"] = arguments.batch[0]
        changes["unlabelled"] = 0 if row.preset == "supervised" else arguments.batch[1]
    device = find_device(arguments.device).type
    return make_settings(replace(dataset, training={}), device, **changes)


def run_row(
    row: Row, dataset: Dataset, seed: int, arguments: argparse.Namespace, seconds: float | None
) -> bool:
    """Train and score one row and seed; return whether it is finished."""
    target = arguments.out / "scores" / f"{row.folder(seed)}.json"
    settings = settings_of(row, dataset, seed, arguments)
    protocol = protocol_of(dataset, settings, arguments)
    if target.exists():
        if json.loads(target.read_text())["protocol"] == protocol:
            return True
        raise DatasetError(
            f"{target} is of another protocol; give another --out, or delete that file."
        )
    device = find_device(arguments.device)
    reader = FormatsReader()
    folder = arguments.out / "runs" / row.folder(seed)
    say(f"{row.name}, seed {seed}: {settings.steps} steps")
    outcome = train_dataset(dataset, settings, folder, reader, device, tell=say, seconds=seconds)
    previous = _spent(folder)
    _spend(folder, previous + outcome.seconds)
    if not outcome.finished:
        say(f"{row.name}, seed {seed}: stopped at step {outcome.step}; call again to go on")
        return False
    report = score(folder, dataset, device, settings.precision == "bfloat16")
    content = {
        "row": row.name,
        "seed": seed,
        "protocol": protocol,
        "seconds": round(previous + outcome.seconds, 1),
        "device": device_name(device),
        "command": " ".join(sys.argv),
        **report.to_json(),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(content, indent=1))
    found = report.summary()["mean"]["dice"]["mean"]
    say(f"{row.name}, seed {seed}: Dice {found:.4f}")
    return True


def score(folder: Path, dataset: Dataset, device: torch.device, bfloat16: bool) -> Report:
    """Predict the test cases with the last weights, at the size of the files, and score them."""
    model, _ = load_run(folder, "last", device)
    reader = FormatsReader()
    unit = "voxels" if dataset.distances == "voxels" else "mm"
    report = Report(tuple(dataset.classes.values()), unit)
    for entry in dataset.cases("test"):
        assert entry.labels is not None
        case = load_case(entry, dataset, reader, with_labels=False)
        found = predict_case(model, case, dataset, device, bfloat16 and device.type == "cuda")
        predicted = in_file_order(to_values(found, dataset), case, dataset)
        truth = reader.labels(entry.labels)
        pair = [_indices(values, dataset) for values in (predicted, truth)]
        spacing = (1.0,) * truth.ndim if unit == "voxels" else case.spacing
        report.cases[entry.name] = score_case(pair[0], pair[1], dataset, spacing)
    return report


def _indices(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    found = (
        to_indices(values[None], dataset)[0] if values.ndim == 2 else to_indices(values, dataset)
    )
    return np.moveaxis(found, 1, 0) if dataset.overlapping and values.ndim == 3 else found


def protocol_of(
    dataset: Dataset, settings: Settings, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return what a result depends on, and whether it is the published protocol or a short one."""
    short = [
        key
        for key in ("steps", "size", "channels", "batch", "unlabelled_cases")
        if getattr(arguments, key)
    ]
    return {
        "kind": f"short ({', '.join(short)})" if short else "full",
        "size": list(dataset.size),
        "labelled": len(dataset.labelled),
        "unlabelled": len(dataset.unlabelled),
        "test": len(dataset.test),
        "weights": "last",
        "settings": json.loads(json.dumps(settings.to_json())),
    }


def _spent(folder: Path) -> float:
    path = folder / "seconds.json"
    return float(json.loads(path.read_text())) if path.exists() else 0.0


def _spend(folder: Path, seconds: float) -> None:
    (folder / "seconds.json").write_text(json.dumps(seconds))


def device_name(device: torch.device) -> str:
    """Return a name for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} {platform.machine()}, {torch.get_num_threads()} threads"


def collect(out: Path) -> list[dict[str, Any]]:
    """Return one record a row: means over cases, then mean and spread over seeds."""
    results = [json.loads(path.read_text()) for path in sorted((out / "scores").glob("*.json"))]
    order = {row.name: i for i, row in enumerate(all_rows())}
    records = []
    for name in sorted({r["row"] for r in results}, key=lambda n: order.get(n, len(order))):
        runs = [r for r in results if r["row"] == name]
        record: dict[str, Any] = {
            "row": name,
            "seeds": [r["seed"] for r in runs],
            "protocol": runs[0]["protocol"]["kind"],
            "steps": runs[0]["protocol"]["settings"]["steps"],
            "seconds": round(sum(r["seconds"] for r in runs) / len(runs), 1),
            "device": runs[0]["device"],
            "published_dice": PUBLISHED.get(name),
        }
        for metric in METRICS:
            values = [r["summary"]["mean"][metric]["mean"] for r in runs]
            known = [v for v in values if v is not None]
            record[metric] = float(np.mean(known)) if known else None
            spread = float(np.std(known, ddof=1)) if len(known) > 1 else None
            record[f"{metric}_sd_over_seeds"] = spread
        record["classes"] = {
            c: float(np.mean([r["summary"][c]["dice"]["mean"] for r in runs]))
            for c in runs[0]["summary"]
            if c != "mean"
        }
        records.append(record)
    return records


def markdown(records: list[dict[str, Any]]) -> str:
    """Return a table."""
    lines = [
        "| row | protocol | steps | seeds | Dice | Jaccard | HD95 | ASD | classes | published "
        "Dice | s a run |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        dice = _number(r["dice"], 3)
        if r["dice_sd_over_seeds"] is not None:
            dice += f" ± {r['dice_sd_over_seeds']:.3f}"
        classes = ", ".join(f"{c} {v:.3f}" for c, v in r["classes"].items())
        cells = [
            *(r["row"], r["protocol"], r["steps"], len(r["seeds"]), dice),
            *(_number(r["jaccard"], 3), _number(r["hd95"], 2), _number(r["asd"], 2)),
            *(classes, _number(r["published_dice"], 3), f"{r['seconds']:.0f}"),
        ]
        lines.append(f"| {' | '.join(str(c) for c in cells)} |")
    return "\n".join(lines) + "\n"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def write_tables(out: Path) -> str:
    """Write both tables and return the one for people."""
    records = collect(out)
    (out / "tables.json").write_text(json.dumps(records, indent=1))
    text = markdown(records)
    (out / "tables.md").write_text(text)
    return text


def chosen_rows(patterns: list[str]) -> Iterator[Row]:
    """Yield the rows that match one of the patterns."""
    for row in all_rows():
        if not patterns or any(fnmatch(row.name, pattern) for pattern in patterns):
            yield row


def say(line: str) -> None:
    """Print to stderr at once."""
    print(line, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for source in SOURCES:
        parser.add_argument(f"--{source}", type=Path, help=f"folder of {source.upper()}")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and results")
    parser.add_argument("--rows", nargs="*", default=[], help="patterns such as 'acdc-3/*'")
    parser.add_argument("--list", action="store_true", help="print the rows and leave")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, help="stop, saved, after so many minutes")
    short = parser.add_argument_group("shorter protocols")
    short.add_argument("--steps", type=int)
    short.add_argument("--size", type=int, help="side of slices or patches")
    short.add_argument("--channels", nargs="+", type=int, help="widths of the 2D U-Net")
    short.add_argument("--batch", nargs=2, type=int, metavar=("LABELLED", "UNLABELLED"))
    short.add_argument("--unlabelled-cases", type=int, help="at most so many")
    return parser.parse_args()


def main() -> int:
    """Run the chosen rows; 0 when all that were given data are finished."""
    arguments = parse()
    rows = list(chosen_rows(arguments.rows))
    if arguments.list:
        print("\n".join(row.name for row in rows))
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    begin, unfinished = time.monotonic(), 0
    # Seed by seed, so that an early stop leaves whole tables.
    for seed in arguments.seeds:
        for row in rows:
            dataset = describe(row, arguments)
            if dataset is None:
                continue
            seconds = None
            if arguments.minutes is not None:
                seconds = max(0.0, 60 * arguments.minutes - (time.monotonic() - begin))
                if seconds == 0:
                    unfinished += 1
                    continue
            unfinished += not run_row(row, dataset, seed, arguments, seconds)
            write_tables(arguments.out)
    print(write_tables(arguments.out))
    if unfinished:
        say(f"{unfinished} runs are not finished; the same command goes on.")
    return int(unfinished > 0)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except DatasetError as error:
        say(f"Error: {error}")
        raise SystemExit(2) from None
