"""TensorBoard files of a run, as TensorBoard reads them."""

from __future__ import annotations

import builtins
import csv

import pytest
import torch

from napari_sslseg.training.control import Control
from napari_sslseg.training.dataset.description import DatasetError, read_dataset
from napari_sslseg.training.dataset.log import Log, read_log
from napari_sslseg.training.dataset.run import train_dataset
from napari_sslseg.training.dataset.settings import make_settings

from ..dataset_files import NpyReader, write_dataset

CPU = torch.device("cpu")


class Dies(Control):
    """Dies without warning at the n-th look."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.left = looks

    def check(self) -> None:
        """Look, and count it."""
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("killed")


def _train(path, folder, control=None, **given):
    dataset = read_dataset(path)
    settings = make_settings(dataset, "cpu", log_every=1)
    return train_dataset(dataset, settings, folder, NpyReader(), CPU, control, board=True, **given)


def _shown(folder):
    """Return the points that TensorBoard shows, by name."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {
        name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]
    }


def _logged(folder, name):
    rows = read_log(folder / "log.csv")
    return [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]


def test_tensorboard_shows_what_the_log_has_after_an_interruption_too(tmp_path):
    pytest.importorskip("tensorboard")
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    with pytest.raises(RuntimeError):  # five cases are read; killed after step 5, saved at 3
        _train(path, folder, Dies(5 + 5))
    assert [step for step, _ in _shown(folder)["total"]] == [1, 2, 3, 4, 5]
    assert _train(path, folder).finished
    shown = _shown(folder)
    assert [step for step, _ in shown["total"]] == [1, 2, 3, 4, 5, 6]
    for name in ("total", "supervised", "learning_rate", "validation_dice"):
        logged = _logged(folder, name)
        assert [step for step, _ in shown[name]] == [step for step, _ in logged]
        assert [v for _, v in shown[name]] == pytest.approx([v for _, v in logged], rel=1e-4)
    assert len(list((folder / "tensorboard").iterdir())) == 2
    assert _train(path, folder, fresh=True).finished
    assert len(list((folder / "tensorboard").iterdir())) == 1


def test_numbers_that_will_be_written_again_are_hidden(tmp_path):
    pytest.importorskip("tensorboard")
    log = Log(tmp_path / "log.csv", 0, tmp_path / "tensorboard")
    for step in (1, 2, 3):
        log.write(step, {"total": 1.0})
    log.close()
    log = Log(tmp_path / "log.csv", 1, tmp_path / "tensorboard")
    log.write(2, {"total": 7.0})
    log.close()
    assert _shown(tmp_path)["total"] == [(1, 1.0), (2, 7.0)]


def test_missing_tensorboard_is_told_before_anything_is_written(tmp_path, monkeypatch):
    original = builtins.__import__

    def without(name, *rest, **named):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    path = write_dataset(tmp_path / "data")
    with pytest.raises(DatasetError, match="pip install tensorboard"):
        _train(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_log_is_rewritten_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    log = Log(path, 0)
    log.write(1, {"total": 1.0})
    before = path.read_bytes()

    def full(*given):
        raise OSError("full")

    monkeypatch.setattr(csv.DictWriter, "writerows", full)
    with pytest.raises(OSError, match="full"):
        log.write(2, {"validation_dice": 0.5})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_a_line_that_was_cut_off_is_dropped(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"step,total\r\n10,0.5\r\n20,0.4\r\n2")
    assert [row["step"] for row in read_log(path)] == ["10", "20"]
    Log(path, 20).write(30, {"total": 0.25})
    assert path.read_bytes() == b"step,total\r\n10,0.5\r\n20,0.4\r\n30,0.25\r\n"


def test_lines_that_a_disk_has_damaged_are_dropped(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes("step,total\n10,0.5\n²,1\n".encode() + b"\xff\xfe,1\n20,0.4\n")
    assert [row["step"] for row in read_log(path)] == ["10", "20"]
