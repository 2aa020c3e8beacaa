"""How the suite is spread over two processes, each of which has a screen to itself if it can."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

from napari_sslseg.training.threads import calm_threads

_WINDOWS = Path(__file__).parent / "app"

#: Files whose tests share what takes long to make.
_SHARING = {"test_local.py", "test_remote.py", "test_trainer.py"}


def _take_a_screen() -> None:
    """Open a virtual screen for this process alone."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x900x24", "-nolisten", "tcp"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    screen = subprocess.Popen(command, pass_fds=[write], **quiet)
    atexit.register(screen.kill)
    os.close(write)
    with open(read) as told:
        number = told.readline().strip()
    if not number:
        raise RuntimeError("Xvfb did not start; run the tests in one process: make test JOBS=0")
    os.environ["DISPLAY"] = f":{number}"


# A screen that somebody looks at is there once; of virtual ones there are as many as are wanted.
_VIRTUAL = "NAPARI_SSLSEG_HEADLESS" in os.environ
if _VIRTUAL and os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
    _take_a_screen()

# Both are inherited by what the tests start, and must be said before torch is imported.
calm_threads()
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # or the processes take the cores from each other

# What builds of torch for CUDA compile with crashes when Mesa's renderer in software has loaded its
# own LLVM before; the other way round both work. Only tests train where windows are drawn.
with suppress(ImportError):
    import triton  # noqa: F401


#: What stands for ssh: computers that greet, one with another password, one that is off.
_SSH = """#!/bin/sh
while true; do
    case "$1" in
        -o) shift 2 ;;
        -*) shift ;;
        *) break ;;
    esac
done
host=$1
shift
case "$host" in
    gpu-server) ;;
    locked) echo "me@locked: Permission denied (publickey,password)." >&2; exit 255 ;;
    stranger) echo "Host key verification failed." >&2; exit 255 ;;
    off) echo "ssh: connect to host off port 22: Connection timed out" >&2; exit 255 ;;
    closed) echo "ssh: connect to host closed port 22: Connection refused" >&2; exit 255 ;;
    odd) echo "something new is wrong" >&2; exit 255 ;;
    *) echo "ssh: Could not resolve hostname $host: Name or service not known" >&2; exit 255 ;;
esac
export HOME={home}
cd
echo "Welcome to $host, it is a fine day."
eval "exec $*"
"""


def _unit_of(test: str) -> str:
    """Return the name of what a test is handed out with: itself, or others that need it near."""
    path = Path(test.split("::")[0])
    if _WINDOWS.name in path.parts and not _VIRTUAL:
        return "windows"
    return str(path) if path.name in _SHARING else test


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Hand out tests one by one, and together those that open windows on one screen for all.

    Two viewers would take the keyboard from each other there. The groups of pytest-xdist 3.8 do
    not hold: it writes them into names that pytest 9.2 no longer reads.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Units(LoadScopeScheduling):
        """Units of work by `_unit_of`."""

        def _split_scope(self, nodeid: str) -> str:
            return _unit_of(nodeid)

    return Units(config, log)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """Put a script in place of ssh, and return the home folder of the computers it leads to."""
    return lead_elsewhere(tmp_path, monkeypatch)


def lead_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Do what `elsewhere` says, within a folder."""
    if sys.platform == "win32":
        pytest.skip("the script is one of Unix")
    programs, home = folder / "programs", folder / "elsewhere"
    for made in (programs, home):
        made.mkdir()
    script = programs / "ssh"
    script.write_text(_SSH.format(home=home))
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return home


@pytest.fixture
def command_line(monkeypatch, capfd) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in this process, where torch is imported already."""
    from napari_sslseg.cli import main

    def call(*words: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["napari-sslseg", *map(str, words)])
        capfd.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        assert isinstance(code, int), code
        return subprocess.CompletedProcess(sys.argv, code, *capfd.readouterr())

    return call


@pytest.fixture
def files_end_at() -> Callable[[int], AbstractContextManager[None]]:
    """Let no file grow beyond a size, as on a disk that fills up."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)

    return limited


@pytest.fixture
def replaced(monkeypatch) -> list[tuple[str, bool]]:
    """Record each file that is replaced, in order, and whether all of it was on the disk then."""
    flush, replace = os.fsync, os.replace
    flushed: set[tuple[int, int]] = set()
    found: list[tuple[str, bool]] = []

    def spy_flush(handle: int) -> None:
        flush(handle)
        about = os.fstat(handle)
        flushed.add((about.st_ino, about.st_size))

    def spy_replace(source: str | Path, target: str | Path) -> None:
        about = os.stat(source)
        found.append((Path(target).name, (about.st_ino, about.st_size) in flushed))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_flush)
    monkeypatch.setattr(os, "replace", spy_replace)
    return found
