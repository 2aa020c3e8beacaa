"""The simulated annotator counts what a person would do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_sslseg.acquisition.registry import create

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    """Let the benchmarks be imported, and forget them afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    # Importing effort sets it for its own process.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    for name in ("annotator", "effort", "effort_summary", "few_slice", "oracles", "scoring"):
        sys.modules.pop(name, None)


def cone(depth: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of a cone along the first axis, and its mask."""
    rows, columns = np.mgrid[:32, :32]
    radius = np.r_[np.zeros(3), np.linspace(4, 11, depth - 6), np.zeros(3)]
    distance = np.hypot(rows - 16, columns - 16)
    truth = (distance[None] < radius[:, None, None]).astype(np.uint8)
    noise = np.random.default_rng(0).normal(0, 0.1, truth.shape)
    return (truth + noise).astype(np.float32), truth


def test_the_annotator_counts_slices_voxels_and_rounds(benchmarks):
    from annotator import Ground, ReferenceMatching, Volume, annotate

    image, truth = cone()
    volume = Volume("cone", "synthetic", image, truth, (1.0, 1.0, 1.0))
    told: list[np.ndarray] = []

    class Watched(ReferenceMatching):
        def propose(self, ink):
            proposal = super().propose(ink)
            told.append(proposal.classes)
            return proposal

    ground = Ground(first=2, target=0.99)
    trace, touched = annotate(volume, create(), Watched(volume), ground)
    assert len(set(touched)) == len(touched) < volume.depth
    assert [e.touched for e in trace] == list(range(2, len(touched) + 1))
    assert [e.rounds for e in trace] == list(range(1, len(trace) + 1))
    assert trace[-1].dice >= 0.99 > trace[-2].dice
    assert trace[0].painted == np.count_nonzero(truth[touched[:2]])
    for before, after, index, proposed in zip(trace, trace[1:], touched[2:], told, strict=False):
        wrong = np.count_nonzero(proposed[index] != truth[index])
        assert after.painted - before.painted == wrong
    # What was made right stays right.
    assert np.array_equal(told[-1][touched], truth[touched])


def test_an_annotator_who_is_shown_no_object_goes_on_until_there_is_one(benchmarks):
    from annotator import Ground, ShapeInterpolation, Volume, annotate

    image, truth = cone()
    truth[3:14] = 0
    truth[1, 8:12, 8:12] = 1  # far from where the first slices are asked for
    volume = Volume("end", "synthetic", image, truth, (1.0, 1.0, 1.0))
    ground = Ground(first=1, told="nobody", target=1.0)
    trace, touched = annotate(volume, create("uniform"), ShapeInterpolation(volume), ground)
    assert 1 in touched
    assert trace[0].painted == 16
    assert trace[-1].dice == 1.0


def test_a_folder_is_simulated_summarised_and_gone_on_with(benchmarks, tmp_path, capsys):
    import effort

    image, truth = cone()
    nib.save(nib.Nifti1Image(np.moveaxis(image, 0, 2), np.eye(4)), tmp_path / "a.nii.gz")
    nib.save(nib.Nifti1Image(np.moveaxis(truth, 0, 2), np.eye(4)), tmp_path / "a_gt.nii.gz")
    out = tmp_path / "out.json"
    strategies = ["uniform", "error-reduction", "interpolation"]
    call = [str(tmp_path), "--strategy", *strategies, "--target", "0.8", "--json", str(out)]
    assert effort.main(call) == 0
    found = json.loads(out.read_text())
    assert {row["strategy"] for row in found["rows"]} == set(strategies)
    for record in found["summary"]:
        assert record["reached"] == 1
        if record["strategy"] == "error-reduction":
            assert sum(record["won_tied_lost"]) == 1
    capsys.readouterr()
    assert effort.main(call) == 0
    shown = capsys.readouterr()
    assert shown.err == ""  # nothing was simulated again
    assert "label everything" in shown.out


def test_who_proposes_is_told_what_the_annotator_is_told(benchmarks, monkeypatch):
    import effort
    from annotator import Ground, ReferenceMatching, Volume

    image, truth = cone()
    volume = Volume("cone", "synthetic", image, truth, (1.0, 1.0, 1.0))
    monkeypatch.setattr(effort.Volume, "read", lambda path, axis: volume)
    told: list[bool] = []

    class Watched(ReferenceMatching):
        def propose(self, ink):
            proposal = super().propose(ink)
            told.append(bool((proposal.confidence[:3] == 255).all() and self._extent))
            return proposal

    monkeypatch.setattr(effort, "ReferenceMatching", Watched)
    keys = []
    for whom, expected in (("all", True), ("baselines", False), ("nobody", False)):
        ground = Ground(first=2, told=whom, target=0.5)
        task = effort.Task(Path("a/b/c"), 0, "uniform", "reference", 0.0, ground)
        row = effort.simulate(task)
        assert told.pop() == expected
        low, high = volume.extent()
        if whom != "nobody":
            assert all(low <= z <= high for z in row["touched"])
        keys.append(json.dumps(task.key))
    assert len(set(keys)) == 3


def test_oracles_see_the_truth(benchmarks):
    from annotator import Ground, ReferenceMatching, Volume, annotate
    from oracles import BestNext, KnownErrors

    image, truth = cone(12)
    volume = Volume("cone", "synthetic", image, truth, (1.0, 1.0, 1.0))
    ground = Ground(first=1, target=0.97)
    proposer = ReferenceMatching(volume)
    trace, touched = annotate(volume, BestNext(), proposer, ground)
    plain, _ = annotate(volume, create(), proposer, ground)
    assert trace[1].dice >= plain[1].dice  # the first choice is the best that there is
    assert len(set(touched)) == len(touched)
    seen = []

    class Watched(KnownErrors):
        def look(self, volume, ink, proposal, evidence):
            found = super().look(volume, ink, proposal, evidence)
            seen.append((found.doubt, proposal.classes))
            return found

    annotate(volume, Watched(), proposer, ground)
    for doubt, classes in seen:
        assert doubt.sum() == np.count_nonzero(classes != truth)
