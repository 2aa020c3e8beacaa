"""What a training step costs: ours, the plain one, and the bare supervised one, side by side.

For each preset the same step, from the loaded batch to the moved weights, is timed in turns as

* ``ours``: as it is trained (on CUDA bfloat16, channels-last, recorded as a graph),
* ``plain``: float32, operation by operation, channels first,

and compared with the supervised preset's step on as many images. Images are random, shapes are
those of training. ``--matching`` times reference matching against the device's own matrix product::

    python benchmarks/speed.py --presets default semsim supervised --json speed.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from napari_sslseg.methods.frameworks.base import Batch
from napari_sslseg.methods.matching import match
from napari_sslseg.methods.reference_pool import ReferencePool
from napari_sslseg.training.control import Control
from napari_sslseg.training.dataset.description import Dataset
from napari_sslseg.training.dataset.prediction import build_framework
from napari_sslseg.training.dataset.run import find_device
from napari_sslseg.training.dataset.settings import Settings, make_settings
from napari_sslseg.training.dataset.trainer import DatasetTrainer

PRESETS = (
    *("supervised", "mean-teacher", "fixmatch", "unimatch", "cps", "semsim", "rpg"),
    *("metassl-mean-teacher", "metassl-fixmatch", "metassl-cps", "default"),
)
CLASSES = 3


class RandomImages:
    """Draws batches of random images that are on the device already."""

    def __init__(self, settings: Settings, size: tuple[int, ...], device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        labelled, unlabelled = settings.labelled, settings.unlabelled
        self._images = [
            torch.randn(n, 1, *size, generator=generator).to(device) for n in (labelled, unlabelled)
        ]
        target = torch.randint(CLASSES + 1, (labelled, *size), generator=generator)
        self._target = target.to(torch.uint8).to(device)

    def draw(self) -> Batch:
        """Return the batch."""
        return Batch(self._images[0], self._target, self._images[1])


def data_set(size: tuple[int, ...]) -> Dataset:
    """Return the description of a data set without cases."""
    classes = {k + 1: f"class {k + 1}" for k in range(CLASSES)}
    return Dataset("random", {}, classes, dimensions=len(size), size=size)


def build(settings: Settings, size: tuple[int, ...], device: torch.device, plain: bool) -> Any:
    """Return a trainer, ours or the plain one."""
    torch.manual_seed(0)
    about = {
        "framework": settings.framework,
        "in_channels": 1,
        "outputs": CLASSES + 1,
        "options": {**settings.options, "network": settings.network},
    }
    if plain:
        settings = replace(settings, precision="float32")
    framework = build_framework(about).to(device)
    trainer = DatasetTrainer(framework, settings, device, size, Control())
    trainer.framework.train()
    if plain:
        trainer.framework.to(memory_format=torch.contiguous_format)
        trainer.record_steps(False)
    return trainer


def measure(
    settings: Settings, size: tuple[int, ...], device: torch.device, plain: bool, steps: int
) -> dict[str, Any]:
    """Time the steps of one trainer.

    Returns
    -------
    dict
        ``ms`` (median of five blocks of steps), ``images_per_s``, ``peak_mib`` and, on CUDA,
        ``outside_kernels``: the share of the time in which no kernel ran.
    """
    source = RandomImages(settings, size, device)
    trainer = build(settings, size, device, plain)

    def some(count: int) -> None:
        for _ in range(count):
            trainer.one_step(source, 0.5)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    some(6 if device.type == "cuda" else 1)
    blocks = []
    for _ in range(5):
        _wait(device)
        begin = time.perf_counter()
        some(steps)
        _wait(device)
        blocks.append((time.perf_counter() - begin) / steps)
    taken = statistics.median(blocks)
    images = settings.labelled + settings.unlabelled
    record: dict[str, Any] = {
        "ms": round(1e3 * taken, 2),
        "spread_ms": round(1e3 * (max(blocks) - min(blocks)), 2),
        "images_per_s": round(images / taken, 1),
        "recorded": bool(trainer.recorded),
    }
    if device.type == "cuda":
        record["peak_mib"] = round(torch.cuda.max_memory_allocated(device) / 2**20)
        record["outside_kernels"] = round(_outside_kernels(lambda: some(10), 10 * taken, device), 3)
    return record


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _outside_kernels(work: Callable[[], None], seconds: float, device: torch.device) -> float:
    """Share of an unprofiled duration that the kernels of `work` do not fill."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work()
        _wait(device)
    busy = sum(event.device_time_total for event in profiler.key_averages()) / 1e6
    return max(0.0, 1 - busy / seconds)


def measure_preset(
    name: str, size: tuple[int, ...], device: torch.device, steps: int
) -> dict[str, Any]:
    """Measure a preset in both versions, and the supervised step on as many images."""
    dataset = data_set(size)
    settings = make_settings(dataset, device.type, preset=name)
    images = settings.labelled + settings.unlabelled
    bare = make_settings(dataset, device.type, preset="supervised", labelled=images)
    record: dict[str, Any] = {"preset": name, "batch": [settings.labelled, settings.unlabelled]}
    record["ours"] = measure(settings, size, device, False, steps)
    record["plain"] = measure(settings, size, device, True, max(1, steps // 3))
    record["bare"] = measure(bare, size, device, False, steps)
    record["faster_than_plain"] = round(record["plain"]["ms"] / record["ours"]["ms"], 2)
    record["cost_of_bare"] = round(record["ours"]["ms"] / record["bare"]["ms"], 2)
    return record


def measure_matching(
    device: torch.device, side: int, references: int, width: int
) -> dict[str, Any]:
    """Time reference matching and a matrix product of the same size and number format.

    Operations counted are those of the similarities: 2 x queries x references x width.
    """
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(references, width, side, side, generator=generator).to(device)
    labels = torch.randint(CLASSES + 1, (references, side, side), generator=generator).to(device)
    pool = ReferencePool.from_maps(features, labels, CLASSES + 1, side)
    queries = torch.randn(1, width, side, side, generator=generator).to(device)
    operations = 2 * side**2 * (references * side**2) * width
    a = torch.randn(side**2, width, device=device)
    b = torch.randn(width, references * side**2, device=device)
    large = torch.randn(4096, 4096, device=device)
    taken = {
        "matching": _time(lambda: match(queries, pool, 5, side), device),
        "product": _time(lambda: a @ b, device),
        "large_product": _time(lambda: large @ large, device),
    }
    rate = {
        "matching": operations / taken["matching"] / 1e12,
        "product": operations / taken["product"] / 1e12,
        "large_product": 2 * 4096**3 / taken["large_product"] / 1e12,
    }
    return {
        "queries": side**2,
        "references": references,
        "width": width,
        "tflops": {name: round(value, 3) for name, value in rate.items()},
        "share_of_product": round(rate["matching"] / rate["product"], 3),
        "share_of_large_product": round(rate["matching"] / rate["large_product"], 3),
    }


def _time(work: Callable[[], Any], device: torch.device) -> float:
    work()
    times = []
    for _ in range(5):
        _wait(device)
        begin = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> int:
    """Measure what the command line names, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--presets", nargs="*", default=list(PRESETS))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--matching", action="store_true", help="time reference matching too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    device = find_device(arguments.device)
    size = (arguments.size,) * 2
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "size": size,
        "command": " ".join(sys.argv),
        "presets": [],
        "matching": [],
    }
    print(
        "| preset | batch | ms a step | images/s | peak MiB | outside kernels | x plain | x bare |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in arguments.presets:
        record = measure_preset(name, size, device, arguments.steps)
        result["presets"].append(record)
        ours = record["ours"]
        cells = [name, "+".join(map(str, record["batch"])), ours["ms"], ours["images_per_s"]]
        cells += [ours.get("peak_mib", "–"), ours.get("outside_kernels", "–")]
        cells += [record["faster_than_plain"], record["cost_of_bare"]]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    if arguments.matching:
        for references, width in ((4, 16), (4, 128), (16, 128)):
            found = measure_matching(device, 128, references, width)
            result["matching"].append(found)
            print(found, flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
