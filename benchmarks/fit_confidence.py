"""Fit the model behind the confidence that proposals carry.

    python benchmarks/fit_confidence.py collect CASES ROWS [--seconds N]
    python benchmarks/fit_confidence.py collect-beyond CASES ROWS
    python benchmarks/fit_confidence.py fit ROWS [--only KIND] [--out FILE] [--check ROWS]

CASES are few-slice cases as for ``few_slice.py``. *Collect* runs the engine on each and keeps, for
voxels on and around what it proposes, the evidence and whether the proposal was right.
*Collect-beyond* draws references anew, from one to five anywhere in the object, and keeps what the
matching proposes beyond the outermost of them. *Fit* trains the models (without and with a network,
and beyond) on these, every case counting the same, and writes the weights; *check* scores them on
cases that took no part.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from few_slice import Case
from safetensors.torch import load_file, save_file
from scoring import reliability

from napari_sslseg.methods import confidence
from napari_sslseg.methods.confidence import ConfidenceModel
from napari_sslseg.methods.propagation import Execution, propagate
from napari_sslseg.methods.voxel_evidence import EVIDENCE, Kind, Predictions, evidence
from napari_sslseg.training.control import Control
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.run_context import RunContext
from napari_sslseg.training.session import Run
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.whole_volume import WholeVolume
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project

#: Proposals that each of the models is fitted to.
PROPOSALS: dict[Kind, tuple[str, ...]] = {
    "matching": ("matching",),
    "network": ("guided", "network"),
    "beyond": ("beyond", "beyond_ended"),
}

#: Numbers of references that are drawn, and the share of the object that is left out at either end.
DRAWN, LEFT_OUT = (1, 2, 3, 3, 4, 5), (0.0, 0.05, 0.1, 0.2, 0.3, 0.4)

#: Draws of references for each case.
DRAWS = 2

#: Part of the voxels beyond that lie where the outermost reference is the object's last slice, and
#: all that is proposed is wrong. Users label ends now and then, and nothing says that they did. As
#: drawn it is 3 %; with a third the slice beside a reference is believed less than those behind it.
ENDED = 0.1

#: Voxels kept of each proposal.
KEPT = 30_000


def rows_of(
    known: Predictions, truth: torch.Tensor, slices: Container[int], seed: int = 0
) -> dict[str, torch.Tensor]:
    """Return evidence (N, F) float32 and whether the proposal is right (N,) bool, a random part."""
    found, right = [], []
    for z, near, rows, _ in evidence(known):
        if z in slices:
            found.append(rows)
            right.append((known.proposed[z].float().argmax(0) == truth[z])[near])
    if not found:
        return {}
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
        request = TrainRequest("auto", seconds)
        context = RunContext(WholeVolume(project, stack), request, lambda event: None, Control())
        run = Run(context)
        run.execute()
    truth, inked = _truth(case, stack), case.reference_slices
    return {
        f"{kind}.{name}": value
        for kind, known in run.proposing.known.items()
        for name, value in rows_of(known, truth, range(min(inked), max(inked))).items()
    }


def collect_beyond(folder: Path) -> dict[str, torch.Tensor]:
    """Draw references of one case, match them, and keep rows of what lies beyond."""
    case, draw = Case.read(folder), random.Random(folder.name.rsplit("_K", 1)[0])
    shown = np.flatnonzero((case.truth > 0).any((1, 2)))
    first, length = int(shown[0]), int(shown[-1] - shown[0])
    result: dict[str, list[torch.Tensor]] = {}
    for _ in range(DRAWS):
        k, low, high = draw.choice(DRAWN), draw.choice(LEFT_OUT), 1 - draw.choice(LEFT_OUT)
        places = np.linspace(low, high, k) if k > 1 else [draw.uniform(0.3, 0.7)]
        chosen = sorted({first + round(length * place) for place in places})
        ink = np.full(case.truth.shape, NOT_ANNOTATED, np.uint8)
        ink[chosen] = case.truth[chosen]
        stack = SliceStack.from_volume(case.image, ink, 0, case.spacing)
        found = propagate(stack.inked_volume(stack.ink), None, Execution(torch.device("cpu"), 2))
        known = Predictions(
            found.probabilities, found.probabilities, found.agreement, found.sources
        )
        truth, depth = _truth(case, stack), len(case.truth)
        ends = (
            (range(chosen[0]), chosen[0] == first),
            (
                range(chosen[-1] + 1, depth),
                chosen[-1] == first + length,
            ),
        )
        for beyond, ended in ends:
            for name, value in rows_of(known, truth, beyond).items():
                result.setdefault(f"beyond{'_ended' * ended}.{name}", []).append(value)
    return {name: torch.cat(values) for name, values in result.items()}


def _truth(case: Case, stack: SliceStack) -> torch.Tensor:
    """Return class indices (Z, H, W) uint8."""
    lookup = np.zeros(256, np.uint8)
    lookup[list(stack.class_ids)] = np.arange(stack.classes)
    return torch.from_numpy(lookup[case.truth])


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
    beyond = commands.add_parser("collect-beyond")
    beyond.add_argument("cases", type=Path)
    beyond.add_argument("rows", type=Path)
    fitting = commands.add_parser("fit")
    fitting.add_argument("rows", type=Path)
    fitting.add_argument("--only", choices=sorted(PROPOSALS), help="the other models stay")
    fitting.add_argument("--out", type=Path, default=confidence.WEIGHTS)
    fitting.add_argument("--check", type=Path, help="rows of cases that take no part")
    options = parser.parse_args(arguments)
    if options.command != "fit":
        options.rows.mkdir(parents=True, exist_ok=True)
        folders = sorted(p.parent for p in options.cases.glob("*/case.json"))
        if options.command == "collect-beyond":  # once for each volume
            folders = list({f.name.rsplit("_K", 1)[0]: f for f in folders}.values())
        for folder in folders:
            beyond_alone = options.command == "collect-beyond"
            rows = collect_beyond(folder) if beyond_alone else collect(folder, options.seconds)
            save_file(rows, options.rows / f"{folder.name}.safetensors")
            print(folder.name, flush=True)
        return 0
    state = load_file(options.out) if options.only else {}
    for kind, proposals in PROPOSALS.items():
        if options.only not in (None, kind):
            continue
        rows = read_rows(options.rows, kind)
        x, y = (balanced if kind == "beyond" else joined)(rows)
        model = fit(EVIDENCE[kind], x, y)
        print(f"{kind}: {len(rows)} proposals ({', '.join(proposals)}), {len(x)} voxels")
        for name, held in read_rows(options.check, kind).items() if options.check else ():
            report(name, model, *held)
        state |= {f"{kind}.{k}": v.contiguous() for k, v in model.state_dict().items()}
    save_file(state, options.out)
    return 0


Rows = dict[str, tuple[torch.Tensor, torch.Tensor]]


def joined(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the evidence and correctness of all proposals."""
    return torch.cat([r[0] for r in rows.values()]), torch.cat([r[1] for r in rows.values()])


def balanced(rows: Rows, each: int = 4000) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows of which `ENDED` lie beyond an end of the object, each case counting the same."""
    generator = torch.Generator().manual_seed(0)
    parts: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    ended = [name.endswith("_ended") for name in rows]
    for (x, y), past in zip(rows.values(), ended, strict=True):
        share = ENDED / sum(ended) if past else (1 - ENDED) / (len(ended) - sum(ended))
        chosen = torch.randint(len(x), (round(each * len(rows) * share),), generator=generator)
        parts[0].append(x[chosen])
        parts[1].append(y[chosen])
    return torch.cat(parts[0]), torch.cat(parts[1])


def read_rows(folder: Path, kind: Kind) -> Rows:
    """Return evidence and correctness of every proposal that one of the models judges."""
    columns = len(EVIDENCE[kind])
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
