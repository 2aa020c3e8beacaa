"""``scripts/setup``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from .test_architecture import PACKAGE

#: A Python that says it is of another version.
PYTHON = """#!/bin/sh
[ "$1" = -c ] || {{ echo "taken: $*"; exit 3; }}
exec {python} -c "import sys; sys.version_info = ({version}, 0, 'final', 0)
$2"
"""


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
@pytest.mark.parametrize(
    ("version", "taken"), [("3, 10", False), ("3, 11", True), ("3, 13", True), ("3, 14", False)]
)
def test_only_versions_that_are_supported_are_taken(tmp_path, version, taken):
    (tmp_path / "scripts").mkdir()
    shutil.copy(PACKAGE.parent / "scripts" / "setup", tmp_path / "scripts")
    packages, python = tmp_path / "scripts" / "system-packages", tmp_path / "python"
    packages.write_text("#!/bin/sh\n")
    python.write_text(PYTHON.format(python=sys.executable, version=version))
    packages.chmod(0o755)
    python.chmod(0o755)
    done = subprocess.run(
        [tmp_path / "scripts" / "setup"],
        env=os.environ | {"PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert ("taken: -m venv" in done.stdout) == taken
    assert ("Python 3.11 to 3.13 is needed" in done.stderr) != taken
