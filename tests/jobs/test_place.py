"""Another computer: what is run there, and what is said when that does not work."""

from __future__ import annotations

import sys

import pytest

from napari_sslseg.jobs.mirror import Mirror
from napari_sslseg.jobs.place import USUAL_PYTHON, Place, PlaceError


def test_a_module_is_run_there_by_the_python_that_was_named(elsewhere):
    command = Place("me@gpu-server").command("a.module", ["a b", "c;d"])
    assert command[0] == str(elsewhere.parent / "programs" / "ssh")
    assert command[-2] == "me@gpu-server"
    assert command[-1] == f"{USUAL_PYTHON} -P -m a.module 'a b' 'c;d'"
    assert "BatchMode=yes" in command  # nobody is there to type a password


def test_files_do_not_wait_for_a_gpu(elsewhere):
    python = "srun --gres=gpu:1 '/my env/bin/python'"
    place = Place("gpu-server", python)
    assert place.command("m", [])[-1] == f"{python} -P -m m"
    assert place.command("m", [], needs_gpu=False)[-1] == "'/my env/bin/python' -P -m m"


@pytest.mark.parametrize("host", ["", "-oProxyCommand=sh", "two words", "a\nb"])
def test_what_is_no_name_of_a_computer_is_refused(host):
    with pytest.raises(PlaceError, match="no name of a computer"):
        Place(host)


@pytest.mark.parametrize("python", ["", "  ", "a\nb"])
def test_what_is_no_python_is_refused(python):
    with pytest.raises(PlaceError, match="which Python"):
        Place("gpu-server", python)


def test_without_ssh_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PlaceError, match="no ssh program on this computer"):
        Place("gpu-server").command("a.module", [])


@pytest.mark.parametrize(
    ("host", "python", "words"),
    [
        ("locked", sys.executable, "set up a key"),
        ("stranger", sys.executable, "connect once in a terminal"),
        ("off", sys.executable, "cannot be reached"),
        ("closed", sys.executable, "takes no SSH connections"),
        ("mistyped", sys.executable, "no computer mistyped"),
        ("odd", sys.executable, "something new is wrong"),
        ("gpu-server", "~/nowhere/python", "no ~/nowhere/python on gpu-server"),
        ("gpu-server", "./python", "has no napari-sslseg"),
    ],
)
def test_each_trouble_has_a_sentence_that_says_what_to_do(elsewhere, project, host, python, words):
    (elsewhere / "python").write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    (elsewhere / "python").chmod(0o755)
    mirror = Mirror(Place(host, python), project.path)
    with pytest.raises(PlaceError, match=words) as caught:
        mirror.send()
    mirror.close()
    assert str(caught.value).count(". ") == 0
    assert "\n" not in str(caught.value)
