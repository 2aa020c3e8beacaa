"""Thousands of damaged files: each is read, or refused in a sentence, fast and in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="memory is limited by a means of Unix")

SCRIPT = Path(__file__).with_name("fuzz_readers.py")

#: Megabytes that reading may add to the process at its peak.
MOST_MB = 300


@pytest.mark.parametrize(
    ("group", "count"),
    [
        ("nifti", 350),
        ("itk", 350),
        ("tiff", 300),
        ("pictures", 350),
        ("dicom", 300),
        ("zarr", 200),
    ],
)
def test_damaged_files_are_refused_in_a_sentence_or_read(tmp_path, group, count):
    if group == "zarr":
        pytest.importorskip("zarr")
    command = [sys.executable, "-X", "faulthandler", str(SCRIPT)]
    run = subprocess.run(
        [*command, group, str(count), "1", str(tmp_path)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert found["read"] + found["refused"] == count
    assert min(found["read"], found["refused"]) > count // 10  # damage of both kinds was tried
    assert found["grown_mb"] < MOST_MB
