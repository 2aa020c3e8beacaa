"""How much of a person's work a volume takes: slices touched and voxels painted, by strategy.

    python benchmarks/effort.py FOLDER... [--axis A] [--strategy NAME]... [--method reference|auto]
        [--seconds N] [--target D]... [--first N] [--told WHOM] [--skip N] [--limit N] [--jobs N]
        [--json OUT]

Each FOLDER holds ``X.nii.gz`` with ``X_gt.nii.gz``. On every volume an annotator is simulated from
the truth (`annotator.py`) until the whole volume has the highest target Dice (mean of the classes):
once with each strategy, once with shape interpolation instead of the tool, on uniformly chosen
slices. ``--json`` is written after every simulation; the same command goes on where it ended.

Painted voxels are those of the object in the first slices and what differs from the proposal in all
others. Slices that show no object count as touched. The strategies that choose without a proposal
(uniform, random, coreset) are told where the object begins and ends, as someone who looks through
the volume first would know, and choose slices within; the others find out by themselves, and what
proposes is told nothing. With ``--told all`` every strategy is told, and so is what proposes, as
when the user says it in the application; shape interpolation alone has no use for it. With ``--told
nobody`` nobody is, as when the user says nothing.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one core a simulation; before numpy and torch are imported

import argparse
import json
import multiprocessing
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from annotator import (
    Ground,
    Proposer,
    ReferenceMatching,
    ShapeInterpolation,
    TrainingRun,
    Volume,
    annotate,
    as_rows,
)
from effort_summary import BASELINE, INTERPOLATION, show, summarise
from oracles import ORACLES
from rich.console import Console

from napari_sslseg.acquisition.baselines import Random
from napari_sslseg.acquisition.registry import STRATEGIES, create
from napari_sslseg.acquisition.strategy import Strategy
from napari_sslseg.volume.extent import Extent


@dataclass(frozen=True)
class Task:
    """One simulation."""

    path: Path
    axis: int
    strategy: str
    method: str
    seconds: float
    ground: Ground

    @property
    def key(self) -> list[Any]:
        """What makes two simulations the same."""
        budget = self.seconds if self.method != "reference" else 0
        where = f"{self.path.parent.parent.name}/{self.path.parent.name}/{self.path.name}"
        method = "" if self.strategy == INTERPOLATION else self.method
        told = ["proposer told"] if self.ground.told == "all" else []
        return [
            where,
            self.axis,
            self.strategy,
            method,
            budget,
            *asdict(self.ground).values(),
            *told,
        ]


def simulate(task: Task) -> dict[str, Any]:
    """Run one simulation; in a process of its own."""
    import torch

    torch.set_num_threads(1)
    volume = Volume.read(task.path, task.axis)
    proposer: Proposer
    extent = Extent(*volume.extent()) if task.ground.told == "all" else None
    if task.strategy == INTERPOLATION:
        proposer = ShapeInterpolation(volume)
    elif task.method == "reference":
        proposer = ReferenceMatching(volume, extent)
    else:
        proposer = TrainingRun(volume, task.method, task.seconds, extent)
    name = BASELINE if task.strategy == INTERPOLATION else task.strategy
    seed = zlib.crc32(volume.name.encode())
    strategy: Strategy
    if name in ORACLES:
        strategy = ORACLES[name]()
    else:
        strategy = Random(seed) if name == Random.name else create(name)
    try:
        trace, touched = annotate(volume, strategy, proposer, task.ground)
    finally:
        proposer.close()
    low, high = volume.extent()
    return {
        "key": task.key,
        "volume": volume.name,
        "dataset": volume.dataset,
        "strategy": task.strategy,
        "depth": volume.depth,
        "object_slices": high - low + 1,
        "object_voxels": int(np.count_nonzero(volume.truth)),
        "trace": as_rows(trace),
        "touched": touched,
    }


def volumes_of(folder: Path, skip: int, limit: int | None) -> list[Path]:
    """Images of a folder that have a truth beside them."""
    names = sorted(p.name.removesuffix("_gt.nii.gz") for p in folder.glob("*_gt.nii.gz"))
    found = [folder / f"{n}.nii.gz" for n in names if (folder / f"{n}.nii.gz").exists()]
    return found[skip:] if limit is None else found[skip : skip + limit]


def run(tasks: list[Task], jobs: int) -> Iterator[dict[str, Any]]:
    """Run simulations, each in a process of its own, and yield them as they end."""
    if jobs == 1:
        yield from map(simulate, tasks)
        return
    context = multiprocessing.get_context("spawn")
    cores = context.Queue()
    for core in _cores(jobs):
        cores.put(core)
    with ProcessPoolExecutor(jobs, context, _keep_to_one_core, (cores,)) as pool:
        for done in as_completed([pool.submit(simulate, task) for task in tasks]):
            yield done.result()


def _cores(jobs: int) -> list[int]:
    """Return a core for each process, in turn; none where that cannot be said."""
    if not hasattr(os, "sched_getaffinity"):
        return [-1] * jobs
    usable = sorted(os.sched_getaffinity(0))
    return [usable[i % len(usable)] for i in range(jobs)]


def _keep_to_one_core(cores: Any) -> None:
    """Take a core, so that a training run plans for one thread."""
    core = cores.get()
    if core >= 0:
        os.sched_setaffinity(0, {core})


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    names = [*STRATEGIES, INTERPOLATION]
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--axis", type=int, default=2, help="slicing axis (default 2)")
    parser.add_argument("--strategy", nargs="+", choices=[*names, *ORACLES], default=names)
    parser.add_argument("--method", default="reference", help="reference, or a preset that trains")
    parser.add_argument("--seconds", type=float, default=60.0, help="training budget of a round")
    parser.add_argument("--target", type=float, nargs="+", default=[0.90, 0.95])
    parser.add_argument("--first", type=int, default=3, help="slices labelled before any proposal")
    parser.add_argument(
        "--told",
        choices=["baselines", "all", "nobody"],
        default="baselines",
        help="who is told where the object begins and ends",
    )
    parser.add_argument("--most", type=float, default=1.0, help="share of slices to give up after")
    parser.add_argument("--skip", type=int, default=0, help="pass over the first N of each folder")
    parser.add_argument("--limit", type=int, help="at most so many volumes of each folder")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write all results here, and go on from it")
    options = parser.parse_args(arguments)
    for folder in options.folders:
        if not volumes_of(folder, 0, None):
            parser.error(f"{folder} holds no X.nii.gz with X_gt.nii.gz.")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    options = parse(arguments)
    ground = Ground(options.first, options.told, max(options.target), options.most)
    found = [volumes_of(folder, options.skip, options.limit) for folder in options.folders]
    paths = [path for images in found for path in images]
    tasks = [
        Task(path, options.axis, strategy, options.method, options.seconds, ground)
        for path in paths
        for strategy in options.strategy
    ]
    rows: list[dict[str, Any]] = []
    if options.json is not None and options.json.exists():
        rows = json.loads(options.json.read_text())["rows"]
    finished = {json.dumps(row["key"]) for row in rows}
    left = [task for task in tasks if json.dumps(task.key) not in finished]
    wanted = {json.dumps(task.key) for task in tasks}
    for row in run(left, options.jobs) if left else ():
        rows.append(row)
        last = row["trace"][-1]
        print(
            f"{row['volume']} {row['strategy']}: {last['touched']} slices, {last['painted']} "
            f"voxels, {last['rounds']} rounds, {last['seconds']:.0f} s, Dice {last['dice']:.3f}",
            file=sys.stderr,
            flush=True,
        )
        _write(options.json, rows, options.target)
    shown = [row for row in rows if json.dumps(row["key"]) in wanted]
    _write(options.json, rows, options.target)
    show(summarise(shown, options.target), Console(width=150))
    return 0


def _write(path: Path | None, rows: list[dict[str, Any]], targets: list[float]) -> None:
    if path is None:
        return
    content = {"command": " ".join(sys.argv), "summary": summarise(rows, targets), "rows": rows}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1))
    part.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
