"""What is there before the command line is imported."""

from __future__ import annotations

import subprocess
import sys
import tomllib

from .test_architecture import PACKAGE

INTERRUPTED = """
import sys

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Slow())
from napari_sslseg.__main__ import main
main()
"""


def test_ctrl_c_while_modules_are_imported_is_no_traceback():
    command = [sys.executable, "-c", INTERRUPTED, "version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_command_begins_there():
    with (PACKAGE.parent / "pyproject.toml").open("rb") as file:
        scripts = tomllib.load(file)["project"]["scripts"]
    assert scripts == {"napari-sslseg": "napari_sslseg.__main__:main"}
