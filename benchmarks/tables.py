"""The published comparisons: every method on ACDC, JSRT and LA under one protocol.

Rows are called ``acdc-3/semsim``: data set, labelled cases, preset. Each row and seed is a run of
``napari-sslseg train`` with its folder; what is finished is not run again, what was interrupted
goes on, so that one command can be repeated until everything is there::

    python benchmarks/tables.py --acdc DATA/acdc --jsrt DATA/jsrt --la DATA/la --out results

``--rows 'acdc-3/*' --minutes 9`` does part of it; ``--jobs 8`` trains eight runs at a time. Presets
train as published; ``--steps``, ``--size``, ``--middle``, ``--channels``, ``--batch``,
``--precision`` and ``--unlabelled-cases`` shorten the protocol for all rows alike, and every result
says so. The last weights are scored, as the test list must not choose. Results are
``results/scores/*.json``, ``results/tables.json`` and ``results/tables.md``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from table_rows import SOURCES, VARIANTS, Row, Variant, chosen_rows
from table_summary import write_tables

from napari_sslseg.dataset_files import FormatsReader
from napari_sslseg.training.dataset.cases import Case, Reader, load_case, to_indices, to_values
from napari_sslseg.training.dataset.description import (
    Dataset,
    DatasetError,
    Entry,
    parse_dataset,
)
from napari_sslseg.training.dataset.evaluation import Report, score_case
from napari_sslseg.training.dataset.prediction import in_file_order, predict_case
from napari_sslseg.training.dataset.run import find_device, load_run, train_dataset
from napari_sslseg.training.dataset.settings import Settings, make_settings

PARTS = ("labelled", "unlabelled", "test")


class CaseStore:
    """Cases that have been loaded, for the runs that share them."""

    def __init__(self) -> None:
        self._cases: dict[tuple[Any, ...], Case] = {}

    def load(
        self, entry: Entry, dataset: Dataset, reader: Reader, with_labels: bool = True
    ) -> Case:
        """Return a case as `load_case` does."""
        key = (entry.images, (dataset.size, dataset.middle) if dataset.dimensions == 2 else None)
        if key not in self._cases:
            self._cases[key] = load_case(entry, dataset, reader)
        case = self._cases[key]
        return case if with_labels else replace(case, target=None)


STORE = CaseStore()


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
    if arguments.middle and dataset.dimensions == 2:
        dataset = replace(dataset, middle=arguments.middle)
    return dataset


def settings_of(row: Row, dataset: Dataset, seed: int, arguments: argparse.Namespace) -> Settings:
    """Return the settings of a run: the preset's, shortened as the command line asks."""
    options = dict(dataset.training.get("options", {}))
    variant = VARIANTS.get(row.preset, Variant(row.preset))
    for key, value in variant.options.items():
        known = options.get(key, {})
        # What a data set says of its views, as that left is not right, holds for all.
        options[key] = {**value, **known} if isinstance(value, Mapping) else value
    changes: dict[str, Any] = {"preset": variant.preset, "seed": seed, **variant.training}
    if arguments.steps:
        changes["steps"] = arguments.steps
    if arguments.channels:
        options["channels"] = list(arguments.channels)
    if options:
        changes["options"] = options
    if arguments.precision:
        changes["precision"] = arguments.precision
    if arguments.batch:
        changes["labelled"] = arguments.batch[0]
        alone = variant.preset == "supervised"
        changes["unlabelled"] = 0 if alone else arguments.batch[1]
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
    reader = FormatsReader.of(dataset)
    say(f"{row.name}, seed {seed}: {settings.steps} steps")
    folder = arguments.out / "runs" / row.folder(seed)
    outcome = train_dataset(
        dataset, settings, folder, reader, device, seconds=seconds, load=STORE.load
    )
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
    reader = FormatsReader.of(dataset)
    unit = "voxels" if dataset.distances == "voxels" else "mm"
    report = Report(tuple(dataset.classes.values()), unit)
    for entry in dataset.cases("test"):
        assert entry.labels is not None
        case = STORE.load(entry, dataset, reader, with_labels=False)
        found = predict_case(model, case, dataset, device, bfloat16 and device.type == "cuda")
        predicted = in_file_order(to_values(found, dataset), case, dataset)
        truth = reader.labels(entry.labels, reader.volume(entry.images))
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
        for key in ("steps", "size", "middle", "channels", "batch", "precision", "unlabelled_cases")
        if getattr(arguments, key)
    ]
    return {
        "kind": f"short ({', '.join(short)})" if short else "full",
        "size": list(dataset.size),
        **({"middle": dataset.middle} if dataset.middle < 1 else {}),
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
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of each run")
    short = parser.add_argument_group("shorter protocols")
    short.add_argument("--steps", type=int)
    short.add_argument("--size", type=int, help="side of slices or patches")
    short.add_argument("--middle", type=float, help="share of slices, around their middle, to see")
    short.add_argument("--channels", nargs="+", type=int, help="widths of the U-Net")
    short.add_argument("--batch", nargs=2, type=int, metavar=("LABELLED", "UNLABELLED"))
    short.add_argument("--precision", choices=("float32", "bfloat16"))
    short.add_argument("--unlabelled-cases", type=int, help="at most so many")
    return parser.parse_args()


def run_in_turn(todo: list[tuple[Row, Dataset, int]], arguments: argparse.Namespace) -> list[bool]:
    """Run rows one after another, or several at a time; return which are finished."""
    end = None if arguments.minutes is None else time.monotonic() + 60 * arguments.minutes
    tasks = [(*task, arguments, end) for task in todo]
    if arguments.jobs == 1:
        return [_run_one(*task) for task in tasks]
    torch.set_num_threads(1)  # threads of this process would be missing in forked ones
    for _, dataset, _ in todo:
        reader = FormatsReader.of(dataset)
        for entry in {e.name: e for part in PARTS for e in dataset.cases(part)}.values():
            STORE.load(entry, dataset, reader)
    say("All cases are loaded.")
    # Forked: the cases are shared. Nothing has touched the GPU or started threads before.
    with multiprocessing.get_context("fork").Pool(arguments.jobs) as pool:
        return pool.starmap(_run_one, tasks, chunksize=1)


def _run_one(
    row: Row, dataset: Dataset, seed: int, arguments: argparse.Namespace, end: float | None
) -> bool:
    torch.set_num_threads(arguments.threads)
    seconds = None if end is None else end - time.monotonic()
    if seconds is not None and seconds <= 0:
        return False
    finished = run_row(row, dataset, seed, arguments, seconds)
    write_tables(arguments.out)
    return finished


def main() -> int:
    """Run the chosen rows; 0 when all that were given data are finished."""
    arguments = parse()
    rows = list(chosen_rows(arguments.rows))
    if arguments.list:
        print("\n".join(row.name for row in rows))
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    # Seed by seed, so that an early stop leaves whole tables.
    todo = []
    for seed in arguments.seeds:
        described = [(row, describe(row, arguments)) for row in rows]
        todo += [(row, dataset, seed) for row, dataset in described if dataset is not None]
    unfinished = run_in_turn(todo, arguments).count(False)
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
