"""One window at a time works on a project."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_sslseg.app.project_lock import ProjectLock
from napari_sslseg.volume.user_error import ProjectError

pytestmark = pytest.mark.usefixtures("without_window")

HOLD = """
import sys
from pathlib import Path
from napari_sslseg.app.project_lock import ProjectLock
lock = ProjectLock()
lock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_process(tmp_path):
    """Give a process that holds the project."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_project_that_another_process_has_open_is_refused_until_that_dies(
    tmp_path, other_process
):
    lock = ProjectLock()
    with pytest.raises(ProjectError, match="open in another window, or in a batch"):
        lock.take(tmp_path)
    other_process.kill()
    other_process.wait()
    lock.take(tmp_path)


def test_two_windows_of_one_process_count_as_two(tmp_path):
    first, second = ProjectLock(), ProjectLock()
    first.take(tmp_path)
    with pytest.raises(ProjectError):
        second.take(tmp_path)
    first.release()
    second.take(tmp_path)


def test_all_volumes_of_a_project_are_held_together(tmp_path):
    (tmp_path / "project.json").write_text("{}")
    volume = tmp_path / "volumes" / "001-second"
    volume.mkdir(parents=True)
    first, second = ProjectLock(), ProjectLock()
    first.take(tmp_path)
    first.take(volume)
    with pytest.raises(ProjectError):
        second.take(volume)


def test_going_to_another_project_lets_go_of_the_one_before(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    first, second = ProjectLock(), ProjectLock()
    first.take(tmp_path / "a")
    first.take(tmp_path / "b")
    second.take(tmp_path / "a")
    with pytest.raises(ProjectError):
        first.take(tmp_path / "a")
    with pytest.raises(ProjectError):
        second.take(tmp_path / "b")  # the refused wish changed nothing


def test_where_nothing_can_be_written_nothing_is_held(tmp_path):
    lock = ProjectLock()
    lock.take(tmp_path / "missing" / "folder")
    assert not (tmp_path / "missing").exists()
    lock.release()


def test_a_project_that_another_window_shows_is_not_opened(with_proposal, make_panel, until, qtbot):
    _, panel = with_proposal
    path = panel.session.project.path
    _, other = make_panel()
    heard = []
    other.volume.set_busy = heard.append
    other.open(path)
    until(lambda: heard[-1:] == [""])
    assert other.session is None
    panel.close_session()
    other.open(path)
    until(lambda: other.session is not None)
