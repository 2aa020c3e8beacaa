"""The folder of a run: what it takes, and what a fresh start deletes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.dataset.description import DatasetError, read_dataset
from napari_sslseg.training.dataset.run import clear_run, load_run, train_dataset
from napari_sslseg.training.dataset.settings import make_settings

from ..dataset_files import NpyReader, write_dataset

CPU = torch.device("cpu")


def _train(path, folder, control=None, fresh=False, reader=None, given=None, **changes):
    """Train as the description says, or on a data set that is given; seconds, tell: as they are."""
    dataset = given or read_dataset(path)
    named = {key: changes.pop(key) for key in ("seconds", "tell") if key in changes}
    settings = make_settings(dataset, "cpu", **{"steps": 2, "validate_every": 2, **changes})
    reader = reader or NpyReader()
    return train_dataset(dataset, settings, folder, reader, CPU, control, fresh=fresh, **named)


def _names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_fresh_start_leaves_nothing_of_the_run_before(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder)
    (folder / "tensorboard").mkdir()
    (folder / "tensorboard" / "events.out.tfevents.1.host").touch()
    (folder / "notes.txt").write_text("mine")
    (folder / "best" / "mine.txt").touch()
    before = _names(folder)
    assert {"settings.json", "log.csv", "state.json", "best/model.json", "last/model.json"} <= {
        *before
    }
    clear_run(folder)
    assert _names(folder) == ["best/mine.txt", "notes.txt"]
    assert not (folder / "last").exists()
    assert _train(path, folder, fresh=True, validate_every=9, steps=1).step == 1


def test_the_old_best_model_is_not_taken_for_the_new_one(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder)
    assert load_run(folder, "best", CPU)[1]["step"] == 2
    path = write_dataset(tmp_path / "data", validation=[])
    assert _train(path, folder, fresh=True, steps=1).step == 1
    with pytest.raises(DatasetError, match="no best model"):
        load_run(folder, "best", CPU)


@pytest.mark.parametrize("content", ["{}", '{"data": {}, "training": {}}', "[1]", '{"data": 3}'])
def test_settings_of_something_else_are_not_touched(tmp_path, content):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "other"
    folder.mkdir()
    (folder / "settings.json").write_text(content)
    (folder / "log.csv").write_text("time,value\n1,2\n")
    for fresh in (True, False):
        with pytest.raises(DatasetError, match="does not belong to a run"):
            _train(path, folder, fresh=fresh)
    with pytest.raises(DatasetError, match="does not belong"):
        clear_run(folder)
    assert (folder / "settings.json").read_text() == content
    assert (folder / "log.csv").read_text() == "time,value\n1,2\n"
    assert len(_names(folder)) == 2


@pytest.mark.parametrize("name", ["log.csv", "best/model.json", "state-00000003.safetensors"])
def test_files_of_a_runs_names_without_a_run_are_not_touched(tmp_path, name):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "other"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    for fresh in (True, False):
        with pytest.raises(DatasetError, match=f"holds {name} but no settings"):
            _train(path, folder, fresh=fresh)
    assert (folder / name).read_text() == "mine"
    assert _names(folder) == [name]


def test_nothing_is_deleted_before_all_else_is_good(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder)
    before = {name: (folder / name).read_bytes() for name in _names(folder)}

    class Broken(NpyReader):
        """A reader whose files have gone."""

        def image(self, paths):
            """Fail."""
            raise DatasetError("The disk is gone.")

    cancelled = Control()
    cancelled.cancel()
    with pytest.raises(DatasetError, match="gone"):
        _train(path, folder, fresh=True, reader=Broken())
    with pytest.raises(Cancelled):
        _train(path, folder, cancelled, fresh=True)
    options = {"channels": [4, 8, 8]}
    with pytest.raises(DatasetError, match="four levels"):
        _train(path, folder, fresh=True, preset="semsim", options=options)
    assert {name: (folder / name).read_bytes() for name in _names(folder)} == before


def test_a_fresh_start_in_an_empty_or_missing_folder_is_a_start(tmp_path):
    path = write_dataset(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        assert _train(path, tmp_path / name, fresh=True, steps=1).finished
        content = json.loads((tmp_path / name / "settings.json").read_text())
        assert content["training"]["preset"] == "metassl-fixmatch"


def test_a_run_of_another_version_is_told_by_it(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder, steps=1)
    content = json.loads((folder / "settings.json").read_text())
    content["training"]["settings_version"] -= 1
    del content["training"]["clip"]
    (folder / "settings.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="another version"):
        _train(path, folder, steps=1)


@pytest.mark.parametrize(
    ("preset", "options", "message"),
    [
        ("rpg", {"neighbours": 0}, "neighbours must be at least 1"),
        ("rpg", {"grid": 0}, "grid must be at least 1"),
        ("fixmatch", {"strong": {"aspect": 0}}, "aspect of strong must be more than 0"),
        ("fixmatch", {"colour": True}, "colour is for images of red, green and blue"),
        ("semsim", {"weak": {"crop": 0.5}}, "size \\[16, 16\\] is too small"),
    ],
)
def test_nothing_is_deleted_for_a_run_that_could_not_do_a_step(tmp_path, preset, options, message):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder)
    before = {name: (folder / name).read_bytes() for name in _names(folder)}
    options = {"channels": [4, 8, 8, 16], **options}
    with pytest.raises(DatasetError, match=message):
        _train(path, folder, fresh=True, preset=preset, options=options)
    assert {name: (folder / name).read_bytes() for name in _names(folder)} == before


@pytest.mark.parametrize("other", ["the order of classes", "no middle"])
def test_a_run_whose_data_are_told_otherwise_does_not_go_on(tmp_path, other):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder, seconds=0.0)
    content = json.loads((folder / "settings.json").read_text())
    data = content["data"]
    if other == "no middle":
        del data["middle"]
    else:
        data["classes"] = dict(reversed(data["classes"].items()))
    (folder / "settings.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"(classes|middle) other than described"):
        _train(path, folder)


def test_a_run_whose_labels_changed_does_not_go_on(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder, steps=9, save_every=1, seconds=0.0)
    truth = np.load(tmp_path / "data" / "c0_gt.npy")
    truth[..., 1:] = 255  # slices without any ink are no labelled ones
    np.save(tmp_path / "data" / "c0_gt.npy", truth)
    with pytest.raises(DatasetError, match=r"data of the run have changed .* --fresh"):
        _train(path, folder, steps=9, save_every=1)
    assert _train(path, folder, fresh=True).finished


@pytest.mark.parametrize(("preset", "count"), [("supervised", 3), ("fixmatch", 5)])
def test_cases_that_are_read_are_counted(tmp_path, preset, count):
    told: list[str] = []
    changes = {} if preset == "fixmatch" else {"unlabelled": 0}
    _train(write_dataset(tmp_path), tmp_path / "run", preset=preset, tell=told.append, **changes)
    assert told[0] == f"Reading {count} cases."


def test_validation_cases_need_labels(tmp_path):
    path = write_dataset(tmp_path / "data")
    (tmp_path / "data" / "c4_gt.npy").unlink()
    with pytest.raises(DatasetError, match="c4 is in the validation list but has no labels"):
        _train(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_two_runs_in_one_folder_are_refused_until_the_first_has_ended(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    refused = []

    def tell(line):
        for fresh in (False, True):
            with pytest.raises(DatasetError, match="Another run is under way in") as caught:
                _train(path, folder, fresh=fresh)
            refused.append(str(caught.value))

    assert _train(path, folder, tell=tell).finished
    assert len(refused) > 4  # from the reading of the cases to the last line
    assert not (folder / "run.lock").exists()
    assert _train(path, folder).finished


def test_a_run_that_does_not_begin_leaves_no_folder(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    np.save(tmp_path / "data" / "c3.npy", np.zeros(3))
    with pytest.raises(DatasetError, match="c3 has 1 dimensions"):
        _train(path, folder)
    assert not folder.exists()
    folder.mkdir()
    with pytest.raises(DatasetError, match="c3 has 1 dimensions"):
        _train(path, folder)
    assert list(folder.iterdir()) == []


def test_a_lock_that_a_killed_run_has_left_stops_nobody(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder)
    (folder / "run.lock").touch()
    assert _train(path, folder, fresh=True).finished


@pytest.mark.parametrize("changed", [{"framework": 3}, {"options": [1]}, {"in_channels": "one"}])
def test_a_model_whose_head_says_nonsense_is_told(tmp_path, changed):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder)
    file = folder / "last" / "model.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    with pytest.raises(DatasetError, match="no last model; train first"):
        load_run(folder, "last", CPU)


def test_a_model_that_does_not_say_what_it_learned_from_is_told(tmp_path):
    path, folder = write_dataset(tmp_path / "data"), tmp_path / "run"
    _train(path, folder)
    file = folder / "last" / "model.json"
    head = json.loads(file.read_text())
    for key in ("classes", "channels"):
        data = {k: v for k, v in head["data"].items() if k != key}
        file.write_text(json.dumps(head | {"data": data}))
        with pytest.raises(DatasetError, match=r"last model .* is damaged; train again"):
            load_run(folder, "last", CPU)
