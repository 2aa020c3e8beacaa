"""Memory and time of proposing labels for a large volume, phase by phase.

    python benchmarks/large_volume.py [--shape Z Y X] [--object PX] [--memory 4G] [--method NAME]

A synthetic 16-bit volume is written (smooth noise, and a wandering ellipsoid that is a little
brighter), some of its slices are labelled, and the command line proposes labels for the rest. While
it works its memory is watched: all that lies in memory (RSS), and of that what is not the mapped
part of a file, which the system can take back at any time (anonymous). Dice is against the truth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import psutil
import tifffile
from scipy import ndimage

#: Grey values of background and object, and the spread of the noise.
_GREY, _STEP, _NOISE = 1000.0, 300.0, 120.0


@dataclass
class Phase:
    """What one phase took: bytes; seconds of the clock, and of all processor cores together."""

    name: str
    seconds: float = 0.0
    processor: float = 0.0
    rss: int = 0
    anonymous: int = 0


class Scene:
    """A volume that can be computed slice by slice."""

    def __init__(self, shape: tuple[int, int, int], diameter: int, seed: int = 0) -> None:
        self.shape, self.diameter = shape, diameter
        random = np.random.default_rng(seed)
        # Noise of a few pixels that changes smoothly from slice to slice: a slowly turning mixture.
        size = [n + 64 for n in shape[1:]]
        self._fields = [
            ndimage.gaussian_filter(random.normal(size=size).astype(np.float32), 2.0)
            for _ in range(2)
        ]
        for field in self._fields:
            field /= field.std()

    def truth(self, z: int) -> np.ndarray:
        """Labels (Y, X) of a slice."""
        depth, height, width = self.shape
        t = z / max(depth - 1, 1)
        radius = 0.5 * self.diameter * np.sqrt(max(0.0, 1 - ((t - 0.5) / 0.48) ** 2))
        row = height / 2 + 0.1 * self.diameter * np.sin(6 * t)
        column = width / 2 + 0.1 * self.diameter * np.cos(5 * t)
        y, x = np.ogrid[:height, :width]
        ragged = 1 + 0.08 * np.sin(5 * np.arctan2(y - row, x - column) + 9 * t)
        return (np.hypot(y - row, x - column) < radius * ragged).astype(np.uint8)

    def image(self, z: int) -> np.ndarray:
        """Grey values (Y, X) of a slice, uint16."""
        height, width = self.shape[1:]
        angles = 0.05 * z + np.arange(2) * np.pi / 2
        shift = int(z / 8) % 64
        noise = sum(
            np.cos(a) * f[shift : shift + height, :width]
            for a, f in zip(angles, self._fields, strict=True)
        )
        values = _GREY + _STEP * self.truth(z) + _NOISE * noise
        return np.clip(values, 0, 65535).astype(np.uint16)


def write(scene: Scene, folder: Path, references: int) -> tuple[Path, Path, list[int]]:
    """Write image and references as uncompressed TIFF, slice by slice."""
    depth = scene.shape[0]
    labelled = [round(i) for i in np.linspace(0.03 * depth, 0.97 * depth - 1, references)]
    image, refs = folder / "image.tif", folder / "refs.tif"
    voxels = tifffile.memmap(image, shape=scene.shape, dtype=np.uint16, bigtiff=True)
    ink = tifffile.memmap(refs, shape=scene.shape, dtype=np.uint8, bigtiff=True)
    for z in range(depth):
        voxels[z] = scene.image(z)
        ink[z] = scene.truth(z) if z in labelled else 255
    voxels.flush()
    ink.flush()
    return image, refs, labelled


def watch(process: subprocess.Popen[str]) -> list[Phase]:
    """Follow a running proposal: its phases as it names them, and its memory."""
    phases = [Phase("start, read, copy")]

    def listen(stream: IO[str]) -> None:
        for line in stream:
            print("   ", line.rstrip(), file=sys.stderr)
            if "%" in line[:5]:
                name = line[5:].strip()
                if name != phases[-1].name:
                    phases.append(Phase(name))

    assert process.stderr is not None
    thread = threading.Thread(target=listen, args=(process.stderr,), daemon=True)
    thread.start()
    known, last, spent = psutil.Process(process.pid), time.monotonic(), 0.0
    while process.poll() is None:
        time.sleep(0.05)
        phase, now = phases[-1], time.monotonic()
        phase.seconds += now - last
        last = now
        try:
            info, times = known.memory_info(), known.cpu_times()
        except psutil.Error:
            continue
        phase.processor += times.user + times.system - spent
        spent = times.user + times.system
        phase.rss = max(phase.rss, info.rss)
        # What is shared is, for this process, what it has mapped of files.
        phase.anonymous = max(phase.anonymous, info.rss - getattr(info, "shared", 0))
    thread.join(timeout=5)
    return phases


def dice(scene: Scene, output: Path, labelled: list[int]) -> float:
    """Dice of the proposal on the slices that were not labelled."""
    labels = tifffile.memmap(output, mode="r")
    both = total = 0
    for z in range(scene.shape[0]):
        if z not in labelled:
            truth, found = scene.truth(z) > 0, labels[z] > 0
            both += int((truth & found).sum())
            total += int(truth.sum()) + int(found.sum())
    return 2 * both / max(total, 1)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(200, 512, 512))
    parser.add_argument("--object", type=int, default=0, help="diameter, pixels")
    parser.add_argument("--references", type=int, default=9)
    parser.add_argument("--memory", default="", help="budget, such as 4G")
    parser.add_argument("--method", default="reference")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, help="where the files are written for the time")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    options = parser.parse_args(arguments)
    shape = tuple(options.shape)
    scene = Scene(shape, options.object or round(0.3 * min(shape[1:])))
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        start = time.monotonic()
        image, refs, labelled = write(scene, folder, options.references)
        print(
            f"{shape[0]} slices of {shape[1]} x {shape[2]}, {image.stat().st_size / 2**30:.2f} GiB,"
            f" object {scene.diameter} px, {len(labelled)} labelled slices"
            f" (written in {time.monotonic() - start:.0f} s)",
            flush=True,
        )
        output = folder / "proposed.ome.tif"
        command = [sys.executable, "-m", "napari_sslseg", "propose", str(image)]
        command += ["--references", str(refs), "--output", str(output)]
        command += ["--method", options.method, "--seconds", str(options.seconds), "--axis", "0"]
        command += ["--memory", options.memory] if options.memory else []
        start = time.monotonic()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
        )
        phases = watch(process)
        assert process.stdout is not None
        answer = process.stdout.read()
        if process.returncode:
            return process.returncode
        summary = json.loads(answer.strip().splitlines()[-1])
        score = dice(scene, output, labelled)
    print(f"{'phase':34}{'s':>8}{'CPU s':>8}{'RSS MiB':>10}{'anonymous':>11}")
    for phase in phases:
        print(
            f"{phase.name:34}{phase.seconds:8.1f}{phase.processor:8.1f}{phase.rss / 2**20:10.0f}"
            f"{phase.anonymous / 2**20:11.0f}"
        )
    most = max(phase.rss for phase in phases)
    print(
        f"total {time.monotonic() - start:.0f} s, peak RSS {most / 2**20:.0f} MiB"
        f" (budget {summary['memory_budget_mb']:.0f}), Dice {score:.3f} ({summary['proposal']})"
    )
    if options.json is not None:
        rows = [vars(phase) for phase in phases]
        options.json.write_text(
            json.dumps({"phases": rows, "dice": score, "summary": summary}, indent=1)
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
