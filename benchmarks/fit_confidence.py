"""Fit the model behind the confidence that proposals carry.

    python benchmarks/fit_confidence.py collect CASES ROWS [--seconds N]
    python benchmarks/fit_confidence.py fit ROWS [--out FILE] [--check ROWS]

CASES are few-slice cases as for ``few_slice.py``. *Collect* runs the engine on each and keeps, for
voxels on and around what it proposes, the evidence and whether the proposal was right. *Fit* trains
the two models (with and without a network) on these, every case counting the same, and writes the
weights; *check* scores them on cases that took no part.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from few_slice import Case
from safetensors.torch import load_file, save_file
from scoring import reliability

from napari_sslseg.methods import confidence
from napari_sslseg.methods.confidence import (
    MATCHING_EVIDENCE,
    NETWORK_EVIDENCE,
    ConfidenceModel,
    Predictions,
    evidence,
)
from napari_sslseg.training.control import Control
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.session import Run
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project

#: Proposals that each of the two models is fitted to.
PROPOSALS = {"matching": ("matching",), "network": ("guided", "network")}

#: Voxels kept of each proposal.
KEPT = 30_000


def rows_of(known: Predictions, truth: torch.Tensor, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return evidence (N, F) float32 and whether the proposal is right (N,) bool, a random part."""
    found, right = [], []
    for z, near, rows in evidence(known):
        found.append(rows)
        right.append((known.proposed[z].float().argmax(0) == truth[z])[near])
    x, y = torch.cat(found), torch.cat(right)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(x), generator=generator)[:KEPT]
    return {"evidence": x[chosen].contiguous(), "right": y[chosen].contiguous()}


def collect(folder: Path, seconds: float) -> dict[str, torch.Tensor]:
    """Run the engine on one case and keep rows for both models."""
    case = Case.read(folder)
    with tempfile.TemporaryDirectory() as scratch:
        info = ImageInfo(case.name, case.image.shape, case.spacing)
        table = ClassTable.from_ids(case.classes)
        project = Project.create(Path(scratch) / "p", case.image, info, table, 0)
        project.ink_store.save(case.ink)
        stack = SliceStack.from_volume(case.image, case.ink, 0, case.spacing)
        run = Run(project, stack, TrainRequest("auto", seconds), lambda event: None, Control())
        run.execute()
    lookup = np.zeros(256, np.uint8)
    lookup[list(stack.class_ids)] = np.arange(stack.classes)
    truth = torch.from_numpy(lookup[case.truth])
    return {
        f"{kind}.{name}": value
        for kind, known in run.known.items()
        for name, value in rows_of(known, truth).items()
    }


def fit(
    names: Sequence[str], x: torch.Tensor, y: torch.Tensor, steps: int = 3000, seed: int = 0
) -> ConfidenceModel:
    """Train one model on evidence (N, F) and correctness (N,)."""
    torch.manual_seed(seed)
    model = ConfidenceModel(names)
    model.mean.copy_(x.mean(0))
    model.scale.copy_(x.std(0).clamp_min(1e-3))
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        batch = torch.randint(len(x), (8192,), generator=generator)
        loss = F.binary_cross_entropy_with_logits(model(x[batch]), y[batch].float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


def report(name: str, model: ConfidenceModel, x: torch.Tensor, y: torch.Tensor) -> None:
    """Print what a model says about one case."""
    with torch.no_grad():
        sure = model(x).sigmoid().numpy()
    wrong = ~y.numpy()
    order = np.argsort(-sure, kind="stable")[: int(0.7 * len(sure))]
    plain = np.argsort(-x[:, 0].numpy(), kind="stable")[: len(order)]
    error, _ = reliability(sure, ~wrong)
    print(
        f"{name:40} wrong {wrong.mean():.3f}, among the surest 70 %: {wrong[order].mean():.4f} "
        f"(by plain probability {wrong[plain].mean():.4f}); ECE {error:.3f}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect")
    collecting.add_argument("cases", type=Path)
    collecting.add_argument("rows", type=Path)
    collecting.add_argument("--seconds", type=float, default=60.0)
    fitting = commands.add_parser("fit")
    fitting.add_argument("rows", type=Path)
    fitting.add_argument("--out", type=Path, default=confidence.WEIGHTS)
    fitting.add_argument("--check", type=Path, help="rows of cases that take no part")
    options = parser.parse_args(arguments)
    if options.command == "collect":
        options.rows.mkdir(parents=True, exist_ok=True)
        for folder in sorted(p.parent for p in options.cases.glob("*/case.json")):
            save_file(collect(folder, options.seconds), options.rows / f"{folder.name}.safetensors")
            print(folder.name, flush=True)
        return 0
    state = {}
    for kind, proposals in PROPOSALS.items():
        rows = read_rows(options.rows, kind)
        x = torch.cat([r[0] for r in rows.values()])
        y = torch.cat([r[1] for r in rows.values()])
        names = MATCHING_EVIDENCE if kind == "matching" else NETWORK_EVIDENCE
        model = fit(names, x, y)
        print(f"{kind}: {len(rows)} proposals ({', '.join(proposals)}), {len(x)} voxels")
        for name, held in read_rows(options.check, kind).items() if options.check else ():
            report(name, model, *held)
        state |= {f"{kind}.{k}": v.contiguous() for k, v in model.state_dict().items()}
    save_file(state, options.out)
    return 0


def read_rows(folder: Path, kind: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Return evidence and correctness of every proposal that one of the two models judges."""
    columns = len(MATCHING_EVIDENCE if kind == "matching" else NETWORK_EVIDENCE)
    result = {}
    for path in sorted(folder.glob("*.safetensors")):
        case = load_file(path)
        for proposal in PROPOSALS[kind]:
            x = case.get(f"{proposal}.evidence")
            # Where the network had not learned enough, its proposal is judged like the matching.
            if x is not None and x.shape[1] == columns:
                result[f"{path.stem} {proposal}"] = (x, case[f"{proposal}.right"])
    return result


if __name__ == "__main__":
    raise SystemExit(main())
