"""What the matching loses to slices whose brightness jumps, and what evening them gives back.

    python benchmarks/slice_jumps.py CASES [CASES ...] [--only PART] [--size 0.06] [--seed 0]

CASES are folders as for ``few_slice.py``. Each slice is multiplied, from its darkest intensities
on, by a random factor whose logarithm has a standard deviation of SIZE. Dice of the
Reference-guided proposal between the outermost references, mean over the cases of each data set
and number of references: as they are, with jumps, and with jumps evened
(`methods.slice_brightness`).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from few_slice import Case
from matching_settings import dice

from napari_sslseg.methods.propagation import PropagationConfig
from napari_sslseg.training.threads import calm_threads, usable_cores

#: Jumps that no image has, so that nothing is evened.
_NEVER = 100.0


def jumping(case: Case, size: float, seed: int) -> Case:
    """Return a case whose slices jump."""
    factors = np.exp(np.random.default_rng(seed).normal(0.0, size, len(case.image)))
    black = np.percentile(case.image, 0.5).astype(np.float32)
    image = (case.image - black) * factors[:, None, None].astype(np.float32) + black
    return replace(case, image=image)


def three_ways(case: Case, size: float, seed: int) -> tuple[float, float, float]:
    """Dice as it is, with jumps, and with jumps evened."""
    never = replace(PropagationConfig(), brightness_jumps=_NEVER)
    jumps = jumping(case, size, seed)
    return dice(case, never), dice(jumps, never), dice(jumps, PropagationConfig())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    calm_threads()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("cases", type=Path, nargs="+")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--size", type=float, default=0.06)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    folders = sorted(p.parent for root in options.cases for p in root.glob("*/case.json"))
    folders = [folder for folder in folders if options.only in folder.name]
    if not folders:
        parser.error(f"no case folders in {', '.join(map(str, options.cases))}")
    torch.set_num_threads(1)

    def work(folder: Path) -> tuple[str, int, tuple[float, float, float]]:
        case = Case.read(folder)
        found = three_ways(case, options.size, options.seed)
        return case.dataset, len(case.reference_slices), found

    groups: dict[tuple[str, int], list[tuple[float, float, float]]] = defaultdict(list)
    with ThreadPoolExecutor(usable_cores()) as pool:
        for dataset, k, found in pool.map(work, folders):
            groups[dataset, k].append(found)
    print(f"{'':24}{'as it is':>10}{'jumping':>10}{'evened':>10}")
    for (dataset, k), rows in sorted(groups.items()):
        name = f"{dataset} K={k} ({len(rows)})"
        print(f"{name:24}", *(f"{v:9.4f}" for v in np.mean(rows, 0)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
