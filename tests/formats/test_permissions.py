"""Files that the user has no permission to read: said as that, and not as damage."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from napari_sslseg.formats import FormatError, registry

from .conftest import as_nobody
from .dicom_files import write_series

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")

ARRAY = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)


def is_one_sentence(text):
    return text.count(". ") == 0 and text.endswith(".") and "\n" not in text


@pytest.mark.parametrize("named", [True, False], ids=["named", "nameless"])
def test_files_that_may_not_be_read_are_a_matter_of_permissions(public, named):
    paths = write_series(public, ARRAY)
    if not named:
        paths = [path.rename(path.with_name(f"1.2.{n}")) for n, path in enumerate(paths)]
    for path in paths:
        path.chmod(0o000)
    for what in (public, paths[0]):
        with as_nobody(), pytest.raises(FormatError, match="may not be read") as caught:
            registry.read(what)
        named_first = min(paths) if what == public else what
        assert str(named_first) in str(caught.value)
        assert "permissions" in str(caught.value)
        assert "damaged" not in str(caught.value)
        assert is_one_sentence(str(caught.value))
    for path in paths[:3]:
        path.chmod(0o644)
    with as_nobody():
        volume = registry.read(public)
    assert volume.array.shape[2] == 3
    assert any(f"{min(paths[3:])} and 2 more may not be read" in w for w in volume.warnings)


def test_folders_that_may_not_be_listed_are_a_matter_of_permissions(public):
    write_series(public / "a", ARRAY)
    (public / "a").chmod(0o000)
    for what in (public / "a", public):
        with as_nobody(), pytest.raises(FormatError, match="may not be read"):
            registry.read(what)
    (public / "a").chmod(0o755)
    (public / "notes.txt").write_text("none")
    (public / "notes.txt").chmod(0o000)
    with as_nobody():
        assert registry.read(public).warnings == ()


def test_forbidden_file_does_not_turn_pictures_into_dicom(public):
    for n in range(3):
        Image.fromarray(np.full((4, 5), n, np.uint8)).save(public / f"s{n}.png")
    (public / "README").write_text("none")
    (public / "README").chmod(0o000)
    with as_nobody():
        assert registry.read(public).array.shape[0] == 3
