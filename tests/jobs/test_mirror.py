"""A project and its copy on another computer: real processes, with a script in place of ssh."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from napari_sslseg import __version__
from napari_sslseg.jobs.mirror import Mirror, name_of
from napari_sslseg.jobs.mirror_files import listing
from napari_sslseg.jobs.mirror_server import FOLDER_VARIABLE, GREETING, KEPT, forget_old
from napari_sslseg.jobs.place import Place, PlaceError
from napari_sslseg.volume.proposal import Proposal
from napari_sslseg.volume.user_error import ProjectError

from .conftest import SHAPE, make_project


@pytest.fixture
def mirror(elsewhere, project):
    """Give the connection to a copy that is not there yet."""
    made = Mirror(Place("gpu-server", sys.executable), project.path)
    yield made
    made.close()


@pytest.fixture
def copy(elsewhere, project) -> Path:
    """Give the folder that the copy is in."""
    return elsewhere / ".cache" / "napari-sslseg" / "mirrors" / name_of(project.path)


def propose(project, name: str, value: int) -> int:
    """Write a version of a proposal."""
    full = np.full(SHAPE, value, np.uint8)
    return project.write_proposal(Proposal(name, full, full, full, {"shares": {}}))


def contents(home: Path) -> dict[str, bytes]:
    return {name: (home / name).read_bytes() for name in listing(home)}


def test_a_copy_is_made_and_follows_what_changes(mirror, project, copy):
    propose(project, "SemSim", 1)
    told: list[float] = []
    mirror.send(told.append)
    assert contents(copy) == contents(project.path)
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700

    image = (copy / "image.npy").stat().st_ino
    ink = project.ink_store.load()
    ink[3] = 0
    project.ink_store.save(ink)
    (project.path / "volumes").mkdir()
    (project.path / "volumes" / "shown").write_text("")
    mirror.send()
    assert contents(copy) == contents(project.path)
    assert (copy / "image.npy").stat().st_ino == image  # sent once

    (project.path / "volumes" / "shown").unlink()
    (copy / "kept").mkdir()
    (copy / "kept" / "prediction.safetensors").write_text("of the trainer there")
    mirror.send()
    assert contents(copy) == contents(project.path)
    assert (copy / "kept" / "prediction.safetensors").exists()


def test_what_the_trainer_makes_comes_back_and_nothing_else(mirror, project, copy):
    propose(project, "SemSim", 1)
    mirror.send()
    before = contents(project.path)
    there = project.open(copy)
    for value in (2, 3, 4):
        propose(there, "SemSim", value)
    (copy / "models").mkdir()
    (copy / "models" / "model.json").write_text("{}")
    # As a trainer that has gone mad might: none of it is the trainer's.
    (copy / "ink.000000.journal").write_bytes(b"")
    (copy / "project.json").write_text("{}")
    (copy / "proposals" / "semsim" / "corrections.000000.journal").write_bytes(b"")
    mirror.fetch()
    after = contents(project.path)
    assert project.read_proposal("semsim").classes.max() == 4
    assert project.read_proposal("semsim", 3).classes.max() == 3
    assert (project.path / "models" / "model.json").read_text() == "{}"
    made = {name for name in after if name.startswith(("proposals/", "models/"))}
    assert {k: v for k, v in after.items() if k not in made} == {
        k: v for k, v in before.items() if not k.startswith("proposals/")
    }
    assert "proposals/semsim/corrections.000000.journal" not in after
    assert "proposals/semsim/classes.000001.npy" not in after  # an older version, gone there

    taken = {name: (project.path / name).stat().st_ino for name in made}
    mirror.fetch()
    assert taken == {name: (project.path / name).stat().st_ino for name in made}  # fetched once


def test_a_proposal_that_the_application_makes_meanwhile_stays(mirror, project, copy):
    propose(project, "Imported", 1)
    mirror.send()
    propose(project, "Imported", 7)
    propose(project, "Imported", 8)
    propose(project.open(copy), "SemSim", 2)
    mirror.fetch()
    assert project.read_proposal("imported").classes.max() == 8
    assert project.read_proposal("imported", 2).classes.max() == 7
    assert project.read_proposal("semsim").classes.max() == 2


def test_after_both_have_written_the_copy_is_the_project_again(mirror, project, copy):
    mirror.send()
    propose(project.open(copy), "SemSim", 2)
    mirror.fetch()
    propose(project, "SemSim", 3)  # a run on this computer
    mirror.send()
    assert contents(copy) == contents(project.path)
    assert propose(project.open(copy), "SemSim", 4) == 3


def test_where_no_copy_can_be_kept_it_is_said(elsewhere, project, monkeypatch):
    (elsewhere / "file").write_text("")
    monkeypatch.setenv(FOLDER_VARIABLE, str(elsewhere / "file" / "below"))
    mirror = Mirror(Place("gpu-server", sys.executable), project.path)
    with pytest.raises(PlaceError, match="gpu-server cannot keep a copy of the project"):
        mirror.send()
    mirror.close()


def stub(tmp_path: Path, lines: list[str]) -> Place:
    """Return a computer on which something else answers, one line to each request."""
    script = tmp_path / "stub.py"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfor line in {lines!r}:\n"
        "    print(line, flush=True)\n    sys.stdin.readline()\n"
    )
    script.chmod(0o755)
    return Place("gpu-server", str(script))


def test_another_version_is_refused(elsewhere, project, tmp_path):
    mirror = Mirror(stub(tmp_path, [f"{GREETING}0.0.7"]), project.path)
    with pytest.raises(PlaceError, match=r"has napari-sslseg 0\.0\.7, and this computer"):
        mirror.send()
    mirror.close()


def test_a_server_that_offers_the_users_files_is_not_heard(elsewhere, project, tmp_path):
    users = [*listing(project.path), "../outside", "kept/x", "models/../ink.000000.journal"]
    answer = json.dumps({"changed": users, "gone": users})
    before = contents(project.path)
    mirror = Mirror(stub(tmp_path, [f"{GREETING}{__version__}", answer]), project.path)
    mirror.fetch()
    mirror.close()
    assert contents(project.path) == before


@pytest.mark.parametrize("answer", ["no JSON", "{}", "[1]", '{"wanted": 1}', '{"error": "?"}'])
def test_an_answer_that_cannot_be_is_a_sentence(elsewhere, project, tmp_path, answer):
    mirror = Mirror(stub(tmp_path, [f"{GREETING}{__version__}", answer]), project.path)
    with pytest.raises(PlaceError, match="gpu-server"):
        mirror.send()
    mirror.close()


def test_a_connection_that_is_closed_under_way_is_a_sentence(mirror):
    mirror.send()
    mirror.close()
    with pytest.raises(PlaceError, match="gpu-server"):
        mirror.send()
    assert not mirror.alive


def test_of_a_project_that_is_gone_the_copy_stays_and_nothing_is_made(mirror, project, copy):
    propose(project, "SemSim", 1)
    mirror.send()
    before = contents(copy)
    shutil.rmtree(project.path)
    for act in (mirror.send, mirror.fetch):
        with pytest.raises(ProjectError, match="no longer there"):
            act()
    assert contents(copy) == before
    assert not project.path.exists()


def test_copies_that_nobody_uses_are_forgotten(tmp_path):
    now = time.time()
    for name, age in (("old", KEPT + 60), ("young", KEPT - 60)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.npy").write_text("")
        used = tmp_path / name / ".used"
        used.touch()
        os.utime(used, (now - age, now - age))
    (tmp_path / "something else").mkdir()
    forget_old(tmp_path, now)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["something else", "young"]


def test_each_project_and_each_folder_has_copies_of_its_own(project, tmp_path):
    other = make_project(tmp_path / "other")
    again = shutil.copytree(project.path, tmp_path / "again")
    names = [name_of(path) for path in (project.path, other.path, again, tmp_path, tmp_path)]
    assert len(set(names)) == 5
    project.save()  # as after each stroke
    assert name_of(project.path) == names[0]
