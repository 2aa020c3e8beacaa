"""How network and matching are best mixed: Dice of several ways on the outputs of the same runs.

    python benchmarks/mixing.py CASES [--seconds N] [--only NAME]

CASES as for `few_slice.py`. Every case is run once as `propose` does it; of what network and
matching say in the end, mixtures with constant shares and with shares that grow with the distance
to the references are scored, between the outermost references; then the chosen one with the
outlines of close references, smoothed, and both, as it is proposed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import scoring
import torch
from few_slice import Case

from napari_sslseg.training.coherence import make_coherent
from napari_sslseg.training.control import Control
from napari_sslseg.training.recipe import ALIKE as RECIPE_ALIKE
from napari_sslseg.training.recipe import pixels_away
from napari_sslseg.training.reference_shapes import ReferenceShapes
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.run_context import RunContext
from napari_sslseg.training.session import Run
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.whole_volume import WholeVolume
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project

CONSTANT = (0.0, 0.3, 0.5, 0.7, 1.0)
"""Shares of the network."""
ALIKE = (1, 3, 4, 5, 6, 8)
"""Pixels at which network and matching weigh alike."""


def outputs(case: Case, seconds: float) -> tuple[torch.Tensor, torch.Tensor | None, SliceStack]:
    """Run a case; return the matching's and the network's probabilities (Z, K, H, W).

    None where the network has not learned enough to be heard.
    """
    with tempfile.TemporaryDirectory() as folder:
        info = ImageInfo(case.name, case.image.shape, case.spacing)
        table = ClassTable.from_ids(case.classes)
        project = Project.create(Path(folder) / "p", case.image, info, table, 0)
        project.ink_store.save(case.ink)
        stack = SliceStack.from_volume(case.image, case.ink, 0, case.spacing)
        request = TrainRequest("auto", seconds)
        context = RunContext(WholeVolume(project, stack), request, lambda event: None, Control())
        run = Run(context)
        run.execute()
        known = run.proposing.known["network"]
        return known.matched.float(), known.network, stack


def mixtures(case: Case, seconds: float) -> dict[str, float] | None:
    """Dice of every mixture of one case."""
    matched, network, stack = outputs(case, seconds)
    if network is None:
        return None
    away = pixels_away(len(matched), case.reference_slices, case.spacing)
    shares = {f"{share:g}": torch.full_like(away, share) for share in CONSTANT}
    shares |= {f"d / (d + {alike})": away / (away + alike) for alike in ALIKE}
    mixed = {
        name: torch.lerp(matched, network.float(), share[:, None, None, None])
        for name, share in shares.items()
    }
    own = (away / (away + RECIPE_ALIKE))[:, None, None, None]
    plain = torch.lerp(matched, network.float(), own)
    outlined = torch.lerp(ReferenceShapes(stack).mixed_into(matched), network.float(), own)
    mixed["outlines"] = outlined
    mixed["smoothed"] = make_coherent(plain, stack, torch.empty_like(plain))
    mixed["both"] = make_coherent(outlined, stack, torch.empty_like(plain))
    ids = np.asarray(stack.class_ids, np.uint8)
    between = scoring.slices_between(case.reference_slices)
    return {
        name: scoring.mean_dice(ids[m.argmax(1).numpy()], case.truth, between, case.classes)
        for name, m in mixed.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("cases", type=Path, help="folder of case folders")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    options = parser.parse_args(arguments)
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    for folder in sorted(p.parent for p in options.cases.glob("*/case.json")):
        if options.only not in folder.name:
            continue
        case = Case.read(folder)
        row = mixtures(case, options.seconds)
        if row is None:
            print(f"{case.name}: the network was not heard", flush=True)
            continue
        groups[f"{case.dataset} K={len(case.reference_slices)}"].append(row)
        print(case.name, *(f"{name}: {dice:.4f}" for name, dice in row.items()), flush=True)
    for name, rows in groups.items():
        means = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
        print(name, len(rows), *(f"{key}: {dice:.4f}" for key, dice in means.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
