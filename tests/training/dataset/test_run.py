"""Runs on a data set: repeatable, and exactly as if never interrupted."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.dataset import run as run_module
from napari_sslseg.training.dataset.cases import load_case
from napari_sslseg.training.dataset.description import DatasetError, read_dataset
from napari_sslseg.training.dataset.log import Log, read_log
from napari_sslseg.training.dataset.prediction import in_file_order, predict_case
from napari_sslseg.training.dataset.run import clear_run, load_run, train_dataset
from napari_sslseg.training.dataset.settings import make_settings
from napari_sslseg.training.dataset.state import load_state, save_state
from napari_sslseg.training.finite import is_finite

from ..dataset_files import NpyReader, write_dataset

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _train(path, folder, control=None, seconds=None, **changes):
    dataset = read_dataset(path)
    settings = make_settings(dataset, "cpu", **changes)
    return train_dataset(dataset, settings, folder, NpyReader(), CPU, control, seconds=seconds)


def _tensors(folder):
    head = json.loads((folder / "state.json").read_text())
    return head["rest"], load_file(folder / head["tensors"])


def _assert_same(first, second):
    (rest_a, a), (rest_b, b) = _tensors(first), _tensors(second)
    assert rest_a == rest_b
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name
    assert (first / "log.csv").read_text() == (second / "log.csv").read_text()
    models = [load_file(next((f / "last").glob("*.safetensors"))) for f in (first, second)]
    assert all(torch.equal(value, models[1][name]) for name, value in models[0].items())


class StopAt(Control):
    """Cancels at the n-th look, or dies without warning."""

    def __init__(self, looks: int, kill: bool = False) -> None:
        super().__init__()
        self.left, self.kill = looks, kill

    def check(self) -> None:
        """Look, and count it."""
        self.left -= 1
        if self.left < 0:
            if self.kill:
                raise RuntimeError("killed")
            self.cancel()
        super().check()


READS = 5  # looks at the switch while the cases are read


@pytest.mark.parametrize("preset", ["metassl-fixmatch", "default", "mean-teacher", "metassl-rpg"])
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_interrupted_and_taken_up_again_equals_uninterrupted(tmp_path, preset, optimiser):
    path = write_dataset(tmp_path / "data")
    options = {"channels": [4, 8, 8, 16]}
    if preset == "default":
        options |= {"fusion_width": 16, "grid": 8, "similarity_every": 2}
    changes = {"preset": preset, "optimiser": optimiser, "options": options}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert _train(path, whole, **changes).finished
    with pytest.raises(Cancelled):  # politely, after two steps: between saves and log lines
        _train(path, parts, StopAt(READS + 2), **changes)
    assert load_state(parts)["trainer"]["step"] == 2
    with pytest.raises(RuntimeError):  # killed after step 5: goes back to the state of step 3
        _train(path, parts, StopAt(READS + 3, kill=True), **changes)
    assert load_state(parts)["trainer"]["step"] == 3
    outcome = _train(path, parts, **changes)
    assert (outcome.step, outcome.finished) == (6, True)
    _assert_same(whole, parts)


def test_patches_of_volumes_are_taken_up_again_exactly(tmp_path):
    pytest.importorskip("monai")
    path = write_dataset(tmp_path / "data", dimensions=3, size=[4, 16, 16])
    changes = {
        "preset": "metassl-mean-teacher",
        "options": {"channels": [2, 2, 4, 4, 4]},
        "labelled": 1,
        "unlabelled": 1,
        "steps": 3,
        "validate_every": 9,
        "save_every": 1,
    }
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    _train(path, whole, **changes)
    with pytest.raises(Cancelled):
        _train(path, parts, StopAt(READS + 1), **changes)
    _train(path, parts, **changes)
    _assert_same(whole, parts)


def test_a_deadline_stops_and_the_next_call_goes_on(tmp_path):
    path = write_dataset(tmp_path / "data")
    first = _train(path, tmp_path / "run", seconds=0.0)
    assert (first.step, first.finished) == (0, False)
    assert _train(path, tmp_path / "run").finished
    again = _train(path, tmp_path / "run")
    assert (again.step, again.finished) == (6, True)


def test_a_run_keeps_log_settings_and_models(tmp_path):
    folder = tmp_path / "run"
    outcome = _train(write_dataset(tmp_path / "data"), folder)
    rows = read_log(folder / "log.csv")
    losses = [row for row in rows if row.get("total")]
    assert [row["step"] for row in losses] == ["2", "4", "6"]
    assert float(losses[0]["learning_rate"]) == pytest.approx(0.01 * (5 / 6) ** 0.9, rel=1e-4)
    scores = [float(row["validation_dice"]) for row in rows if row.get("validation_dice")]
    assert len(scores) == 2
    assert outcome.best == pytest.approx(max(scores), abs=1e-5)
    assert not list(folder.rglob("*.pt")) + list(folder.rglob("*.pkl"))
    model, head = load_run(folder, "best", CPU)
    assert head["data"]["classes"] == {"1": "ring", "3": "core"}
    assert not model.training


def test_other_settings_need_another_folder(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder, seconds=0.0)
    with pytest.raises(DatasetError, match=r"steps other than described \(6, not 7\); use"):
        _train(path, folder, steps=7)
    write_dataset(tmp_path / "data", labelled=["c0"])
    with pytest.raises(DatasetError, match="labelled other than"):
        _train(path, folder)
    clear_run(folder)
    assert _train(path, folder, steps=2, seconds=0.0).step == 0


def test_a_damaged_state_is_told(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder, seconds=0.0)
    next(folder.glob("state-*.safetensors")).write_bytes(b"no")
    with pytest.raises(DatasetError, match="damaged"):
        _train(path, folder)


def test_bad_data_are_told_before_training(tmp_path):
    path = write_dataset(tmp_path / "data")
    image = np.load(tmp_path / "data" / "c2.npy")
    np.save(tmp_path / "data" / "c2.npy", np.stack([image] * 2, -1)[..., 0, :])
    np.save(tmp_path / "data" / "c3.npy", image[:, 0, 0])
    with pytest.raises(DatasetError, match="c3 has 1 dimensions"):
        _train(path, tmp_path / "run")
    path = write_dataset(tmp_path / "empty", labelled=[])
    with pytest.raises(DatasetError, match="labelled list is empty"):
        _train(path, tmp_path / "other")
    volumes = write_dataset(tmp_path / "volumes", dimensions=3, size=[4, 16, 16])
    with pytest.raises(
        DatasetError, match="made for images; train volumes with another preset"
    ):  # before anything is read
        _train(volumes, tmp_path / "third", StopAt(0), preset="semsim", options={})
    two = {"image": ["c0.npy", "c1.npy"], "labels": "c0_gt.npy"}
    lists = {"labelled": ["a"], "unlabelled": ["b"], "validation": []}
    path = write_dataset(tmp_path / "mixed", volumes={"a": two, "b": {"image": "c2.npy"}}, **lists)
    with pytest.raises(DatasetError, match="b has 1 channel but the labelled cases have 2; all"):
        _train(path, tmp_path / "fourth")


def test_a_cancel_says_what_was_saved_and_how_to_go_on(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    dataset = read_dataset(path)
    settings = make_settings(dataset, "cpu")
    for looks, sentence in (
        (1, f"Stopped while the cases were read; {folder} is as it was."),
        (READS + 2, f"Stopped after step 2 of 6, saved in {folder}; call the same command, "),
    ):
        told: list[str] = []
        with pytest.raises(Cancelled):
            train_dataset(dataset, settings, folder, NpyReader(), CPU, StopAt(looks), told.append)
        assert told[-1].startswith(sentence)


def test_training_learns_and_predicts_at_the_size_of_the_files(tmp_path):
    path = write_dataset(tmp_path / "data", size=[32, 32])
    dataset = read_dataset(path)
    folder = tmp_path / "run"
    options = {"channels": [8, 16, 16, 16], "dropout": [0.0] * 4}
    changes = {"optimiser": "adamw", "learning_rate": 0.01, "steps": 60, "validate_every": 60}
    outcome = _train(path, folder, preset="fixmatch", options=options, **changes)
    assert outcome.best > 0.75
    model, _ = load_run(folder, "last", CPU)
    case = load_case(dataset.entries["c4"], dataset, NpyReader())
    found = predict_case(model, case, dataset, CPU)
    assert found.shape == (5, 20, 24)
    truth = np.load(tmp_path / "data" / "c4_gt.npy")
    placed = in_file_order(found, case, dataset)
    assert placed.shape == truth.shape
    assert (placed == np.where(truth == 3, 2, truth)).mean() > 0.9


def test_patches_are_predicted_in_windows(tmp_path):
    pytest.importorskip("monai")
    path = write_dataset(tmp_path / "data", dimensions=3, size=[4, 16, 16])
    dataset = read_dataset(path)
    changes = {"labelled": 1, "unlabelled": 1, "steps": 1, "validate_every": 1}
    options = {"channels": [2, 2, 4, 4, 4]}
    outcome = _train(path, tmp_path / "run", preset="cps", options=options, **changes)
    assert outcome.best is not None
    model, _ = load_run(tmp_path / "run", "last", CPU)
    case = load_case(dataset.entries["c4"], dataset, NpyReader())
    assert predict_case(model, case, dataset, CPU).shape == (5, 20, 24)


def test_a_state_survives_a_failed_save(tmp_path, monkeypatch):
    save_state(tmp_path, 1, {"step": 1, "values": [torch.ones(2), {"a": None, 3: "x"}]})
    monkeypatch.setattr(
        "napari_sslseg.training.dataset.state.save_file",
        lambda *_: (_ for _ in ()).throw(OSError("full")),
    )
    with pytest.raises(OSError, match="full"):
        save_state(tmp_path, 2, {"step": 2})
    state = load_state(tmp_path)
    assert state["step"] == 1
    assert torch.equal(state["values"][0], torch.ones(2))
    assert state["values"][1] == {"a": None, 3: "x"}
    assert load_state(tmp_path / "none") is None


def test_a_state_is_on_the_disk_before_the_head_that_names_it(tmp_path, replaced):
    save_state(tmp_path, 1, {"step": 1, "values": torch.ones(2)})
    assert replaced == [("state-00000001.safetensors", True), ("state.json", True)]


def test_a_log_drops_what_will_be_written_again(tmp_path):
    log = Log(tmp_path / "log.csv", 0)
    for step in (1, 2, 3):
        log.write(step, {"total": step / 2})
    log = Log(tmp_path / "log.csv", 2)
    log.write(3, {"total": 9.0, "new": 1.0})
    rows = read_log(tmp_path / "log.csv")
    assert [row["total"] for row in rows] == ["0.5", "1", "9"]
    assert rows[2]["new"] == "1"


def test_validation_cannot_be_lost_by_a_cancel(tmp_path, monkeypatch):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    control = Control()
    original = run_module.mean_dice

    def cancelling(*arguments, **named):
        control.cancel()
        return original(*arguments, **named)

    monkeypatch.setattr(run_module, "mean_dice", cancelling)
    with pytest.raises(Cancelled):
        _train(path, folder, control)
    rows = read_log(folder / "log.csv")
    assert [row["step"] for row in rows if row.get("validation_dice")] == ["4"]
    assert load_state(folder)["trainer"]["step"] == 4


def test_channels_and_neighbouring_slices_are_inputs(tmp_path):
    two = [{"image": ["{case}.npy", "{case}.npy"], "labels": "{case}_gt.npy"}]
    path = write_dataset(tmp_path / "data", volumes=two, context=1)
    dataset = read_dataset(path)
    assert _train(path, tmp_path / "run", preset="default").finished
    model, head = load_run(tmp_path / "run", "last", CPU)
    assert head["in_channels"] == 6
    case = load_case(dataset.entries["c4"], dataset, NpyReader())
    assert predict_case(model, case, dataset, CPU).shape == (5, 20, 24)


def test_released_and_literal_readings_train(tmp_path):
    path = write_dataset(tmp_path / "data")
    for preset in ("semsim-literal", "metassl-cps-released"):
        dataset = read_dataset(path)
        options = {"channels": [4, 8, 8, 16]}
        settings = make_settings(dataset, "cpu", preset=preset, steps=2, options=options)
        folder = tmp_path / preset
        assert train_dataset(dataset, settings, folder, NpyReader(), CPU).finished
        (row,) = [r for r in read_log(folder / "log.csv") if r.get("total")]
        assert np.isfinite(float(row["total"]))
        if preset == "semsim-literal":
            assert float(row["cross"]) == 0


def _poisoned(monkeypatch, after):
    """Have the network turn into no numbers in the step after `after`."""
    original = run_module.DatasetTrainer.one_step

    def one_step(self, *given, **named):
        parts = original(self, *given, **named)
        if self.step > after:
            next(self.framework.parameters()).data.fill_(float("nan"))
        return parts

    monkeypatch.setattr(run_module.DatasetTrainer, "one_step", one_step)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"log_every": 6, "save_every": 1, "validate_every": 9}, "network is not finite at step 3"),
        ({"log_every": 1, "save_every": 2, "validate_every": 9}, "loss is not finite at step 4"),
        ({"log_every": 6, "save_every": 2, "validate_every": 3}, "network is not finite at step 3"),
    ],
)
def test_what_is_not_finite_stops_and_keeps_the_state(tmp_path, monkeypatch, how, told):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _poisoned(monkeypatch, 2)
    with pytest.raises(DatasetError, match=told):
        _train(path, folder, **how)
    assert load_state(folder)["trainer"]["step"] == 2
    assert is_finite(load_state(folder))
    assert not (folder / "last").exists()
    assert not (folder / "best").exists()


def test_neither_a_cancel_nor_the_deadline_saves_what_is_not_finite(tmp_path, monkeypatch):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    rare = {"log_every": 6, "save_every": 2, "validate_every": 9}
    _poisoned(monkeypatch, 2)
    with pytest.raises(DatasetError, match="network is not finite at step 3"):
        _train(path, folder, StopAt(READS + 3), **rare)
    assert load_state(folder)["trainer"]["step"] == 2

    def out_of_time(self, sampler, each_log, each_step, deadline=None):
        self.one_step(sampler, 0.5)
        return False

    monkeypatch.setattr(run_module.DatasetTrainer, "train", out_of_time)
    with pytest.raises(DatasetError, match="network is not finite at step 3"):
        _train(path, folder, seconds=60.0, **rare)
    assert load_state(folder)["trainer"]["step"] == 2
    assert not (folder / "last").exists()


@pytest.mark.parametrize("preset", ["supervised", "metassl-mean-teacher"])
def test_volumes_with_overlapping_classes_are_learned_from(tmp_path, preset):
    pytest.importorskip("monai")
    path = write_dataset(
        tmp_path / "data",
        dimensions=3,
        size=[4, 16, 16],
        overlapping=True,
        classes={1: "a", 2: "b"},
    )
    changes = {"labelled": 1, "unlabelled": 1, "steps": 2, "options": {"channels": [2, 2, 4, 4, 4]}}
    assert _train(path, tmp_path / "run", preset=preset, **changes).finished


def _without_numbers(monkeypatch, at):
    """Have the loss of one step be none."""
    original, calls = run_module.DatasetTrainer.one_step, []

    def one_step(self, *given, **named):
        losses = self.framework.losses

        def broken(*given):
            parts = losses(*given)
            return {**parts, "total": parts["total"] * torch.nan}

        calls.append(1)
        if len(calls) == at:
            monkeypatch.setattr(self.framework, "losses", broken)
        parts = original(self, *given, **named)
        self.framework.losses = losses
        return parts

    monkeypatch.setattr(run_module.DatasetTrainer, "one_step", one_step)


def test_one_loss_that_is_none_does_not_end_a_run(tmp_path, monkeypatch):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _without_numbers(monkeypatch, 3)
    assert _train(path, folder).finished
    assert is_finite(load_state(folder))
    losses = [float(row["total"]) for row in read_log(folder / "log.csv") if row.get("total")]
    assert len(losses) == 3
    assert np.isfinite(losses).all()
    assert load_run(folder, "last", CPU)


class TwoChannels(NpyReader):
    """Reads each image as two channels."""

    def image(self, paths):
        """Read an array twice."""
        return super().image([*paths, *paths])


def test_a_run_whose_images_have_got_another_channel_is_told_so(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder, steps=3, seconds=0.0)
    dataset = read_dataset(path)
    settings = make_settings(dataset, "cpu", steps=3)
    with pytest.raises(DatasetError, match="data of the run have changed"):
        train_dataset(dataset, settings, folder, TwoChannels(), CPU)


def _at(tree, *keys):
    for key in keys:
        tree = tree[key]
    return tree


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((), [1]),
        ((), {}),
        (("sampler",), {}),
        (("sampler", "generator"), "x"),
        (("best",), "x"),
        (("best",), float("nan")),
        (("trainer",), None),
        (("trainer", "step"), "x"),
        (("trainer", "step"), -1),
        (("trainer", "step"), 10**6),
        (("trainer", "log"), {"sums": {"total": "x"}, "missed": 0, "count": 1}),
        (("trainer", "log"), {"sums": {}, "count": 0}),
        (("trainer", "counters"), {"steps": "x"}),
        (("trainer", "framework"), {}),
        (("trainer", "optimizer"), {"state": {}, "param_groups": []}),
    ],
)
def test_a_state_with_wrong_content_is_told(tmp_path, place, value):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder, seconds=0.0)
    head = json.loads((folder / "state.json").read_text())
    *above, last = ("rest", *place)
    _at(head, *above)[last] = value
    (folder / "state.json").write_text(json.dumps(head))
    with pytest.raises(DatasetError, match=r"saved state in .* is damaged; start anew"):
        _train(path, folder)


def test_what_the_optimiser_does_is_said_by_the_settings_alone(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder, seconds=0.0)
    head = json.loads((folder / "state.json").read_text())
    for group in head["rest"]["trainer"]["optimizer"]["param_groups"]:
        group |= {"momentum": "x", "lr": None}
    (folder / "state.json").write_text(json.dumps(head))
    assert _train(path, folder).finished
