"""Score methods that turn K labelled slices into a whole-volume mask.

    python benchmarks/few_slice.py CASES [--method NAME]... [--seconds N] [--seed S] [--json OUT]

CASES holds one folder a case: ``image.nii.gz``, ``refs.nii.gz`` (labels on the reference slices,
255 elsewhere), ``gt.nii.gz`` (truth, for scoring only) and ``case.json`` (slicing axis, reference
slices, classes). A ``rivals.json`` beside them holds other tools' scores; each case is then won
or lost against the best of them. To add a method, add one line to ``METHODS``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import scoring
import torch
from region_ceiling import ERROR, SHARE, ceiling
from scipy import ndimage

from napari_sslseg.methods.intensity import standardise
from napari_sslseg.methods.propagation import Execution, InkedVolume, propagate
from napari_sslseg.methods.regions import Region
from napari_sslseg.training.control import Control
from napari_sslseg.training.events import Estimated, Event, Finished
from napari_sslseg.training.plan import choose_device
from napari_sslseg.training.request import DEVICES, TrainRequest
from napari_sslseg.training.session import run_project
from napari_sslseg.training.threads import calm_threads, usable_cores
from napari_sslseg.training.tune import warm_up
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project

NOT_ANNOTATED = 255


@dataclass
class Case:
    """One volume, its reference slices and the truth; the slicing axis comes first."""

    name: str
    dataset: str
    image: np.ndarray
    ink: np.ndarray
    truth: np.ndarray
    reference_slices: list[int]
    classes: list[int]
    spacing: tuple[float, float, float]

    @classmethod
    def read(cls, folder: Path) -> Case:
        """Read a case folder."""
        about = json.loads((folder / "case.json").read_text())
        axis = about["axis"]

        def stack(name: str) -> Any:
            data = np.asarray(nib.load(folder / f"{name}.nii.gz").dataobj)  # type: ignore[attr-defined]
            return np.moveaxis(data, axis, 0)

        spacing = list(about["spacing"])
        first = spacing.pop(axis)
        return cls(
            name=folder.name,
            dataset=about["dataset"],
            image=np.ascontiguousarray(stack("image"), np.float32),
            ink=np.ascontiguousarray(stack("refs"), np.uint8),
            truth=np.ascontiguousarray(stack("gt"), np.uint8),
            reference_slices=list(about["reference_slices"]),
            classes=list(about["classes"]),
            spacing=(first, spacing[0], spacing[1]),
        )

    def inked_volume(self) -> InkedVolume:
        """Return what the matching is given."""
        image, ink = standardise(self.image[:, None]), torch.from_numpy(self.ink)
        return InkedVolume(image, ink, max(self.classes) + 1, self.spacing)


@dataclass
class Prediction:
    """Labels (Z, H, W), and a confidence in [0, 1] where the method has one."""

    labels: np.ndarray
    confidence: np.ndarray | None = None
    regions: np.ndarray | None = None
    estimate: Estimated | None = None
    proposal: str = ""


#: Case, seconds, device, seed.
Method = Callable[[Case, float, str, int], Prediction]


def reference(case: Case, seconds: float, device: str, seed: int = 0) -> Prediction:
    """Reference-guided propagation; no training, so neither time nor seed is used."""
    torch.set_num_threads(1)  # a thread for each stretch, none inside of the small operations
    execution = Execution(choose_device(device), usable_cores())
    result = propagate(case.inked_volume(), execution=execution)
    labels = result.probabilities.argmax(1).to(torch.uint8)
    return Prediction(labels.cpu().numpy(), result.confidence.cpu().numpy())


def signed_distance(case: Case, seconds: float, device: str, seed: int = 0) -> Prediction:
    """Linear interpolation of each class's signed distance between neighbouring references.

    A class missing from one of the two slices shrinks to nothing at its own middle: its distance
    there is minus the largest distance inside the other slice.
    """
    labels = np.where(case.ink == NOT_ANNOTATED, 0, case.ink)
    for a, b in zip(case.reference_slices[:-1], case.reference_slices[1:], strict=True):
        ends = [_distances(case.ink[z], case.classes) for z in (a, b)]
        for i in range(len(case.classes)):
            inner = [end[i].max() for end in ends]
            for j in (0, 1):
                if np.isneginf(inner[j]):
                    ends[j][i] = -inner[1 - j] if np.isfinite(inner[1 - j]) else -1e6
        for z in range(a + 1, b):
            t = (z - a) / (b - a)
            mixed = (1 - t) * ends[0] + t * ends[1]
            best = np.asarray(case.classes, np.uint8)[mixed.argmax(0)]
            labels[z] = np.where(mixed.max(0) > 0, best, 0)
    return Prediction(labels)


def _distances(ink: np.ndarray, classes: list[int]) -> np.ndarray:
    result = np.full((len(classes), *ink.shape), -np.inf)
    for i, value in enumerate(classes):
        inside = ink == value
        if inside.any():
            result[i] = ndimage.distance_transform_edt(inside)
            result[i] -= ndimage.distance_transform_edt(~inside)
    return result


def trained(preset: str) -> Method:
    """Return the method that the command line's ``propose --method PRESET`` runs."""

    def method(case: Case, seconds: float, device: str, seed: int = 0) -> Prediction:
        with tempfile.TemporaryDirectory() as folder:
            info = ImageInfo(case.name, case.image.shape, case.spacing)
            table = ClassTable.from_ids(case.classes)
            project = Project.create(Path(folder) / "p", case.image, info, table, 0)
            project.ink_store.save(case.ink)
            events: list[Event] = []
            request = TrainRequest(preset, seconds, device, seed)
            run_project(project.path, request, events.append, Control())
            chosen = next(e.recommended for e in events if isinstance(e, Finished))
            proposal = project.read_proposal(chosen)
        estimates = {e.slug: e for e in events if isinstance(e, Estimated)}
        return Prediction(
            proposal.classes,
            proposal.confidence / 255,
            proposal.regions,
            estimates.get(chosen),
            chosen,
        )

    return method


METHODS: dict[str, Method] = {
    "reference": reference,
    "sdf": signed_distance,
    "reference-run": trained("reference"),
    "auto": trained("auto"),
    "semsim": trained("semsim"),
    "supervised": trained("supervised"),
}


def score(case: Case, prediction: Prediction, seconds: float) -> dict[str, Any]:
    """All scores of one prediction."""
    labels, truth, references = prediction.labels, case.truth, case.reference_slices
    everywhere = scoring.slices_outside_references(references, len(truth))
    between = scoring.slices_between(references)
    row: dict[str, Any] = {
        "case": case.name,
        "dataset": case.dataset,
        "k": len(references),
        "dice_in": scoring.mean_dice(labels, truth, between, case.classes),
        "dice_all": scoring.mean_dice(labels, truth, everywhere, case.classes),
        "hd95": scoring.mean_hd95(labels, truth, references, case.classes, case.spacing),
        "seconds": seconds,
    }
    if prediction.confidence is not None:
        near = scoring.neighbourhood(truth, labels)
        near[references] = False
        correct = (labels == truth)[near]
        confidence = prediction.confidence[near]
        row["ece"], row["reliability"] = scoring.reliability(confidence, correct)
        row["error_quarters"] = scoring.error_by_confidence(confidence, correct)
    if prediction.regions is not None:
        row["proposal"] = prediction.proposal
        codes = prediction.regions[near]
        row["regions"] = scoring.region_errors(codes, (labels != truth)[near])
        if prediction.confidence is not None:
            agreed = np.isin(codes, (Region.UC, Region.US))
            row["ceiling"] = ceiling(agreed, prediction.confidence[near], (labels != truth)[near])
    if prediction.estimate is not None:
        row["estimate"] = prediction.estimate.mean
        row["estimate_error"] = abs(row["estimate"] - row["dice_all"])
        row["estimate_holds"] = (
            prediction.estimate.low <= row["dice_all"] <= prediction.estimate.high
        )
    return row


def best_rivals(path: Path) -> dict[str, tuple[float, str]]:
    """Best Dice between the references of any other tool, by case; empty without the file."""
    if not path.exists():
        return {}
    best: dict[str, tuple[float, str]] = {}
    for row in json.loads(path.read_text())["cases"]:
        best[row["case"]] = max(
            best.get(row["case"], (-1.0, "")), (float(row["dice_in"]), str(row["tool"]))
        )
    return best


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average every score over the cases of a method, dataset and K."""
    groups: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["method"], row["dataset"], row["k"]].append(row)
    result = []
    for (method, dataset, k), members in sorted(groups.items()):
        mean: dict[str, Any] = {"method": method, "dataset": dataset, "k": k, "cases": len(members)}
        for key in ("dice_in", "dice_all", "hd95", "ece", "seconds", "estimate_error"):
            values = [m[key] for m in members if key in m]
            mean[key] = float(np.mean(values)) if values else None
        if judged := [m for m in members if "regions" in m]:
            mean["regions"] = _promises(judged)
        mean["won"] = sum(bool(m.get("won")) for m in members)
        mean["rated"] = sum("won" in m for m in members)
        result.append(mean)
    return result


def _promises(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Count the cases that keep what is wanted of regions, and that any thresholds could keep."""
    errors = [[error for _, error in row["regions"].values()] for row in rows]
    shares = [row["regions"]["UC"][0] for row in rows]
    rise = [all(np.diff(e) > 0) for e in errors]
    hold = [s >= SHARE and e[0] <= ERROR for s, e in zip(shares, errors, strict=True)]
    best = [row["ceiling"] for row in rows]
    return {
        "rising": sum(rise),
        "holding": sum(hold),
        "both": sum(r and h for r, h in zip(rise, hold, strict=True)),
        "could rise": sum(b["rises"] for b in best),
        "could hold": sum(b["uc_share"] >= SHARE for b in best),
        "could both": sum(b["rises_and_holds"] for b in best),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    calm_threads()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("cases", type=Path, help="folder of case folders")
    parser.add_argument("--method", action="append", choices=sorted(METHODS), help="repeatable")
    parser.add_argument("--seconds", type=float, default=60.0, help="training budget of a case")
    parser.add_argument("--device", default="cpu", choices=DEVICES, help="where to compute")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write all scores here")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    options = parser.parse_args(arguments)
    folders = sorted(p.parent for p in options.cases.glob("*/case.json") if options.only in str(p))
    if not folders:
        parser.error(f"no case folders in {options.cases}")
    rivals = best_rivals(options.cases / "rivals.json")
    rows: list[dict[str, Any]] = []
    print(f"{'case':34}{'method':11}{'in':>7}{'all':>7}{'HD95':>7}{'ECE':>7}{'s':>6}  best rival")
    # The application does this when labelling starts, not when training does.
    warm_up(choose_device(options.device))
    for folder in folders:
        case = Case.read(folder)
        for name in options.method or ["reference"]:
            start = time.perf_counter()
            prediction = METHODS[name](case, options.seconds, options.device, options.seed)
            row = score(case, prediction, time.perf_counter() - start) | {"method": name}
            note = ""
            if "regions" in row:
                note += f"[{row['proposal']}] " + " ".join(
                    f"{name} {share:.2f}/{error:.3f}" if share else f"{name} –"
                    for name, (share, error) in row["regions"].items()
                )
                note += f" est {row['estimate']:.2f}  " if "estimate" in row else "  "
            if case.name in rivals:
                row["best_rival"], row["best_rival_tool"] = rivals[case.name]
                row["won"] = row["dice_in"] > row["best_rival"]
                note += f"{row['best_rival']:.3f} {row['best_rival_tool']}"
                note += "" if row["won"] else "  LOST"
            rows.append(row)
            print(_line(case.name, row) + "  " + note, flush=True)
    print("\nmeans")
    for mean in means(rows):
        head = f"{mean['dataset']} K={mean['k']} ({mean['cases']})"
        off = mean["estimate_error"]
        told = "" if off is None else f"  estimate off by {off:.3f}"
        print(_line(head, mean) + f"  won {mean['won']}/{mean['rated']}{told}")
        if "regions" in mean:
            print(f"{'':34}regions: " + ", ".join(f"{k} {n}" for k, n in mean["regions"].items()))
    if options.json is not None:
        options.json.write_text(json.dumps({"cases": rows, "means": means(rows)}, indent=1))
    return 0


def _line(head: str, row: dict[str, Any]) -> str:
    ece = f"{row['ece']:7.3f}" if row.get("ece") is not None else " " * 7
    return (
        f"{head:34}{row['method']:11}{row['dice_in']:7.3f}{row['dice_all']:7.3f}"
        f"{row['hd95']:7.2f}{ece}{row['seconds']:6.2f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
