"""Writing fails safely: the old file stays, nothing else is left, and one sentence says why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_sslseg.formats import FORMATS, FormatError, export, read_labels, write_labels
from napari_sslseg.formats.atomic import check_writable, writing
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.formats.provenance import ImageIdentity, Provenance
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

from .conftest import as_nobody

SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".tif", ".ome.tif", ".npy"]
SUFFIXES += [".ome.zarr"]
CLASSES = ClassTable([SegmentClass(1, "Liver", "#ff0000"), SegmentClass(2, "Blob", "#00ff00")])


def like(shape):
    return Volume(np.zeros(shape, np.uint8), Geometry(np.diag([0.7, 1.3, 5.0, 1.0]), shape))


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def content(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("shape", "limit"), [((4, 10, 10), 100), ((40, 50, 60), 9000)], ids=["small", "large"]
)
def test_disk_that_fills_up_leaves_the_old_file(tmp_path, files_end_at, suffix, shape, limit):
    if suffix == ".ome.zarr":
        pytest.importorskip("zarr")
    target = tmp_path / f"a{suffix}"
    write_labels(target, noise(shape), like(shape))
    before = content(tmp_path)
    with files_end_at(limit), pytest.raises(FormatError) as caught:
        write_labels(target, noise(shape, 1), like(shape))
    text = str(caught.value)
    assert text.count(". ") == 0
    assert str(target) in text
    assert "takes no files of that size" in text
    assert content(tmp_path) == before


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s != ".nhdr"])  # ITK leaves that open
def test_nothing_is_open_in_what_is_discarded(tmp_path, files_end_at, monkeypatch, suffix):
    """As Windows would not discard it then."""
    if suffix == ".ome.zarr":
        pytest.importorskip("zarr")
    discard, still = shutil.rmtree, []

    def spy(folder, *arguments, **options):
        held = [Path(file.path) for file in psutil.Process().open_files()]
        still.extend(path for path in held if path.is_relative_to(folder))
        discard(folder, *arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", spy)
    with files_end_at(9000), pytest.raises(FormatError):
        write_labels(tmp_path / f"a{suffix}", noise((40, 50, 60)), like((40, 50, 60)))
    assert still == []


def test_a_file_that_is_open_elsewhere_is_said_to_be(tmp_path, monkeypatch):
    """As a table is in a spreadsheet, which only Windows minds."""
    target = tmp_path / "a.nii"
    write_labels(target, noise((4, 5, 6)), like((4, 5, 6)))
    before = content(tmp_path)

    def as_on_windows(source, place):
        error = PermissionError(13, "Access is denied")
        error.winerror = 5
        raise error

    monkeypatch.setattr(os, "replace", as_on_windows)
    with pytest.raises(FormatError, match="nii cannot be written: another program has it open"):
        write_labels(target, noise((4, 5, 6), 1), like((4, 5, 6)))
    assert content(tmp_path) == before


def test_full_disk_is_named(tmp_path):
    """On a real file system of 64 kB, where one can be mounted."""
    code = f"""
import numpy as np, os
from napari_sslseg.formats import FormatError, write_labels
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume
shape = (40, 50, 60)
labels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
like = Volume(labels, Geometry(np.eye(4), shape))
for suffix in {[s for s in SUFFIXES if s != ".ome.zarr"]!r}:
    target = {str(tmp_path)!r} + "/a" + suffix
    write_labels(target, np.zeros(shape, np.uint8)[:1, :1, :1] * 0, Volume(
        np.zeros((1, 1, 1)), Geometry(np.eye(4), (1, 1, 1))))
    names = sorted(os.listdir({str(tmp_path)!r}))
    old = open(target, "rb").read()
    try:
        write_labels(target, labels, like)
        raise SystemExit(suffix + " fits")
    except FormatError as error:
        assert "the disk is full" in str(error), str(error)
    assert open(target, "rb").read() == old, suffix
    assert sorted(os.listdir({str(tmp_path)!r})) == names, suffix
    for name in names:
        os.remove({str(tmp_path)!r} + "/" + name)
"""
    mount = f"mount -t tmpfs -o size=64k tmpfs {tmp_path}"
    run = subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-c",
            f'{mount} || exit 77; exec "$0" -c "$1"',
            sys.executable,
            code,
        ],
        capture_output=True,
        text=True,
    )
    if run.returncode == 77 or "unshare" in run.stderr:
        pytest.skip("no file system can be mounted here")
    assert run.returncode == 0, run.stderr


def test_file_that_itk_cut_off_without_a_word_is_noticed(tmp_path, files_end_at):
    shape = (4, 10, 10)
    for suffix in (".nrrd", ".nhdr", ".mha", ".mhd"):
        with files_end_at(100), pytest.raises(FormatError, match="that size"):
            write_labels(tmp_path / f"a{suffix}", noise(shape), like(shape))
    assert content(tmp_path) == {}


def test_folder_that_may_not_be_written_to(public):
    shape = (3, 4, 5)
    folder = public / "closed"
    folder.mkdir()
    write_labels(folder / "a.nii", noise(shape), like(shape))
    folder.chmod(0o555)
    before = content(folder)
    with as_nobody(), pytest.raises(FormatError, match="you may not write there"):
        write_labels(folder / "b.nii", noise(shape), like(shape))
    with as_nobody(), pytest.raises(FormatError, match=r"a\.nii cannot be written: "):
        write_labels(folder / "a.nii", noise(shape, 1), like(shape))
    folder.chmod(0o700)
    with as_nobody(), pytest.raises(FormatError, match="you may not write there"):
        write_labels(folder / "a.nii", noise(shape, 1), like(shape))
    folder.chmod(0o755)
    assert content(folder) == before


def test_file_that_is_protected_is_not_replaced(public):
    shape = (3, 4, 5)
    target = public / "a.nii"
    write_labels(target, noise(shape), like(shape))
    target.chmod(0o444)
    public.chmod(0o777)
    with as_nobody(), pytest.raises(FormatError, match="write-protected"):
        write_labels(target, noise(shape, 1), like(shape))
    assert np.array_equal(read_labels(target).array, noise(shape))


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".stl", ".csv", ".json", ".obj"])
def test_target_that_is_a_folder_is_left_alone(tmp_path, suffix):
    shape = (3, 4, 5)
    target = tmp_path / f"a{suffix}"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    if suffix == ".stl":  # the file of a class is what would be written
        target.rename(tmp_path / "a_Liver.stl")
    with pytest.raises(FormatError, match="it is a folder"):
        export(target, noise(shape), like(shape), CLASSES)
    assert list(content(tmp_path).values()) == [b"mine"]


def test_zarr_folder_is_replaced_as_a_whole(tmp_path):
    pytest.importorskip("zarr")
    target = tmp_path / "a.ome.zarr"
    write_labels(target, noise((300, 4, 5)), like((300, 4, 5)))
    write_labels(target, noise((3, 4, 5)), like((3, 4, 5)))
    assert not (target / "1").exists()
    assert os.listdir(tmp_path) == ["a.ome.zarr"]


def test_of_several_files_none_is_written_when_one_fails(tmp_path, monkeypatch):
    shape = (6, 7, 8)
    export(tmp_path / "a.nii", noise(shape), like(shape), CLASSES, per_class=True)
    before = content(tmp_path)
    assert len(before) == 2
    from napari_sslseg.formats import nifti

    honest, calls = nifti.write_labels, []

    def second_fails(path, labels, volume):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        honest(path, labels, volume)

    monkeypatch.setattr(nifti, "write_labels", second_fails)
    with pytest.raises(FormatError, match="disk is full"):
        export(
            tmp_path / "a.nii",
            noise(shape, 1),
            like(shape),
            CLASSES,
            per_class=True,
            provenance=Provenance(ImageIdentity("", shape, (1, 1, 1), "mm")),
        )
    assert content(tmp_path) == before


def test_what_cannot_be_explained_is_still_one_sentence(tmp_path):
    with (
        pytest.raises(FormatError, match="cannot be written as Nonsense; choose another format"),
        writing(tmp_path / "a.x", "Nonsense"),
    ):
        raise RuntimeError("Exception thrown in /build/itk.cxx:12\n")
    with (
        pytest.raises(FormatError, match="does not fit into memory"),
        writing(tmp_path / "a.x", "Nonsense"),
    ):
        raise MemoryError
    with pytest.raises(FormatError, match="nothing was written"), writing(tmp_path / "a.x", "N"):
        pass
    assert os.listdir(tmp_path) == []


def test_every_format_says_so_when_the_folder_is_missing(tmp_path):
    shape = (3, 4, 5)
    for kind in FORMATS:
        if "dicom" in kind.key or kind.key == "rtstruct":
            continue
        with pytest.raises(FormatError, match=r"folder .* does not exist"):
            export(tmp_path / "no" / f"a{kind.suffixes[0]}", noise(shape), like(shape), CLASSES)


def test_what_a_late_thread_still_writes_is_deleted_too(tmp_path):
    begun, threads = threading.Event(), []

    def write_on(folder):
        for n in range(30):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"chunk{n}").write_bytes(b"x")
            begun.set()
            time.sleep(0.005)

    def fail():
        with writing(tmp_path / "a.ome.zarr", "OME-Zarr") as path:
            threads.append(threading.Thread(target=write_on, args=(path,)))
            threads[0].start()
            begun.wait()
            raise OSError("stopped")

    with pytest.raises(FormatError):
        fail()
    threads[0].join()
    assert list(tmp_path.iterdir()) == []


def test_a_target_is_refused_before_the_work_and_left_as_it_is(public, tmp_path):
    shape = (3, 4, 5)
    target = tmp_path / "a.nii"
    write_labels(target, noise(shape), like(shape))
    before = content(tmp_path)
    check_writable(target)
    check_writable(tmp_path / "b.nii")
    for name, words in (("none/a.nii", "does not exist"), (".", "it is a folder")):
        with pytest.raises(FormatError, match=words):
            check_writable(tmp_path / name)
    with pytest.raises(FormatError, match="the name is too long; choose a shorter one"):
        check_writable(tmp_path / ("x" * 300))
    assert content(tmp_path) == before
    closed = public / "closed"
    closed.mkdir(0o555)
    with as_nobody(), pytest.raises(FormatError, match="you may not write there"):
        check_writable(closed / "a.nii")


@pytest.mark.parametrize("suffix", [".nii.gz", ".mhd", ".ome.zarr"])
@pytest.mark.parametrize("there", [True, False], ids=["there", "dangling"])
def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path, suffix, there):
    if suffix == ".ome.zarr":
        pytest.importorskip("zarr")
    (tmp_path / "real").mkdir()
    real, link = tmp_path / "real" / f"a{suffix}", tmp_path / f"link{suffix}"
    shape = (4, 5, 6)
    if there:
        write_labels(real, noise(shape), like(shape))
    link.symlink_to(real)
    check_writable(link)
    write_labels(link, noise(shape, 1), like(shape))
    assert link.is_symlink()
    assert not real.is_symlink()
    assert np.array_equal(import_labels(link, like(shape)).labels, noise(shape, 1))
    if suffix == ".nii.gz":
        assert np.array_equal(read_labels(real).array, noise(shape, 1))
    left = {p.name for folder in (tmp_path, tmp_path / "real") for p in folder.iterdir()}
    assert not [name for name in left if name.startswith(".")]


def test_link_to_another_disk(tmp_path):
    other = "/dev/shm"
    if not os.path.isdir(other) or os.stat(other).st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("there is no other disk")
    with tempfile.TemporaryDirectory(dir=other) as folder:
        for suffix in (".nii.gz", ".nrrd"):
            real, link = Path(folder) / f"a{suffix}", tmp_path / f"link{suffix}"
            real.write_bytes(b"old")
            link.symlink_to(real)
            record = Provenance(ImageIdentity.of(like((4, 5, 6)).geometry))
            export(link, noise((4, 5, 6)), like((4, 5, 6)), CLASSES, provenance=record)
            assert link.is_symlink()
            assert np.array_equal(read_labels(real).array, noise((4, 5, 6)))
        assert sorted(os.listdir(folder)) == ["a.nii.gz", "a.nrrd"]


def test_link_that_leads_nowhere_is_refused_and_stays(tmp_path):
    link = tmp_path / "link.nii"
    link.symlink_to(tmp_path / "missing" / "a.nii")
    with pytest.raises(FormatError, match="missing does not exist"):
        write_labels(link, noise((4, 5, 6)), like((4, 5, 6)))
    with pytest.raises(FormatError, match="missing does not exist"):
        check_writable(link)
    assert link.is_symlink()
    assert [p.name for p in tmp_path.iterdir()] == ["link.nii"]
