"""Time and memory of the reference matching, against the size of the volume.

    python benchmarks/propagation_cost.py [--json OUT] [--device cuda]

The sample volume is resampled to each size, five of its slices are references, and each size runs
in a process of its own. *Working region* is what the matching looks at: the objects with a border.
Cost that is linear in the voxels of that region shows as an even column of microseconds a voxel.
*Renewed*: with a sixth reference, all taken over that it does not change.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

#: Slices, rows and columns: slices doubled twice, then pixels doubled twice, then a large CT.
SIZES = (
    (50, 160, 160),
    (100, 160, 160),
    (200, 160, 160),
    (100, 226, 226),
    (100, 320, 320),
    (100, 512, 512),
)


def measure(size: tuple[int, int, int], device: str) -> dict[str, Any]:
    """Run the matching on the sample volume at one size; call in a fresh process."""
    import numpy as np

    from napari_sslseg.training.threads import calm_threads, usable_cores

    calm_threads()
    import torch
    from scipy import ndimage

    from napari_sslseg.methods.intensity import standardise
    from napari_sslseg.methods.propagation import (
        Execution,
        InkedVolume,
        Propagation,
        PropagationConfig,
        Renewal,
        propagate,
    )
    from napari_sslseg.methods.working_region import working_region
    from napari_sslseg.sample import load

    torch.set_num_threads(1)
    image, labels = (np.moveaxis(np.asarray(v.array), -1, 0) for v in load())
    zoom = np.asarray(size) / image.shape
    image = ndimage.zoom(image.astype(np.float32), zoom, order=1)
    labels = ndimage.zoom(labels, zoom, order=0)
    shown = np.flatnonzero(labels.any(axis=(1, 2)))
    references = np.linspace(shown[0], shown[-1], 5).round().astype(int)
    ink = np.full(size, 255, np.uint8)
    ink[references] = labels[references]
    given = torch.from_numpy(ink).to(device)
    volume = InkedVolume(standardise(image[:, None]).to(device), given, int(labels.max()) + 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def timed(renewal: Renewal | None = None) -> tuple[float, Propagation]:
        start = time.perf_counter()
        found = propagate(volume, None, Execution(workers=usable_cores()), renewal)
        if device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start, found

    times = [timed()[0]]  # the first one pays for memory and kernels
    seconds, found = timed()
    times.append(seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    more = int(references[1:3].mean())
    given[more] = torch.from_numpy(labels[more].astype(np.uint8)).to(device)
    renewed = min(timed(Renewal(found, [more]))[0] for _ in range(2))
    config = PropagationConfig()
    rows, columns = working_region(given, config.margin, config.minimum_margin)
    worked = size[0] * (rows.stop - rows.start) * (columns.stop - columns.start)
    return {
        "size": size,
        "seconds": min(times),
        "renewed_seconds": renewed,
        "region_voxels": worked,
        "microseconds_a_voxel": 1e6 * min(times) / worked,
        "input_mb": before / 1024,
        "peak_mb": peak / 1024,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="write all numbers here")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, nargs=3, help="only this size (slices rows columns)")
    parser.add_argument("--raw", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.raw:
        print(json.dumps(measure(tuple(options.size), options.device)))
        return 0
    results = []
    print(
        f"{'size':>16}{'s':>8}{'renewed':>9}{'region, 10^6':>14}{'us a voxel':>12}"
        f"{'input MB':>10}{'peak MB':>9}"
    )
    for size in [tuple(options.size)] if options.size else SIZES:
        command = [sys.executable, __file__, "--raw", "--device", options.device, "--size"]
        done = subprocess.run(
            [*command, *map(str, size)], capture_output=True, text=True, check=True
        )
        row = json.loads(done.stdout.splitlines()[-1])
        results.append(row)
        print(
            f"{'x'.join(map(str, size)):>16}{row['seconds']:8.2f}"
            f"{row['renewed_seconds']:9.2f}{row['region_voxels'] / 1e6:14.2f}"
            f"{row['microseconds_a_voxel']:12.2f}{row['input_mb']:10.0f}{row['peak_mb']:9.0f}",
            flush=True,
        )
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
