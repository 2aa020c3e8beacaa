"""What went wrong, in a sentence: real errors of the system, of torch and of its helpers."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_sslseg.training.stack import TrainingError
from napari_sslseg.training.trouble import explain
from napari_sslseg.volume.project import ProjectError


def error_of(act) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what is asked
        act()
    return caught.value


def test_errors_made_for_the_user_keep_their_words_and_need_no_log():
    for kind in (TrainingError, ProjectError):
        trouble = explain(kind("Label a slice first."))
        assert (trouble.sentence, trouble.foreseen, trouble.detail) == (
            "Label a slice first.",
            True,
            "",
        )


def test_files_and_folders_are_told_with_their_place(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for act, words in (
        (lambda: file.mkdir(), "file of that name is in the way"),
        (lambda: (file / "sub").mkdir(), "no folder"),
        (lambda: tmp_path.write_text("x"), "it is a folder"),
        (lambda: (tmp_path / "none").read_text(), "does not exist"),
        (lambda: (tmp_path / ("x" * 300)).write_text("x"), "too long"),
    ):
        trouble = explain(error_of(act))
        assert trouble.foreseen
        assert trouble.sentence.startswith(str(tmp_path))
        assert words in trouble.sentence
        assert "Errno" not in trouble.sentence
        assert trouble.sentence.endswith(".")
        assert "Traceback" in trouble.detail


def test_a_full_disk_is_told_whoever_says_so(tmp_path, files_end_at):
    with files_end_at(100):
        for act in (
            lambda: (tmp_path / "a").write_bytes(bytes(1000)),
            lambda: save_file({"a": torch.zeros(1000)}, tmp_path / "b"),
        ):
            trouble = explain(error_of(act))
            assert trouble.foreseen
            assert "takes no files of that size" in trouble.sentence
        cut = explain(error_of(lambda: np.zeros(1000).tofile(tmp_path / "c")))
        assert "the disk is full" in cut.sentence
    full = explain(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a")))
    assert full.sentence.startswith(f"{tmp_path / 'a'} cannot be")
    assert "the disk is full; make room" in full.sentence


def test_where_rust_cannot_write_is_told_by_the_folder(tmp_path):
    where = tmp_path / "none"
    trouble = explain(error_of(lambda: save_file({"a": torch.zeros(3)}, where / "x")))
    assert trouble.foreseen
    assert trouble.sentence.startswith(f"{where} cannot be")


def test_memory_is_told_apart_from_that_of_a_gpu():
    for act in (lambda: torch.empty(10**15), lambda: np.empty(10**15)):
        trouble = explain(error_of(act))
        assert trouble.foreseen
        assert trouble.sentence.startswith("The memory is full")
    assert explain(OSError(errno.ENOMEM, "")).sentence.startswith("The memory is full")
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ):
        assert explain(error).sentence.startswith("The GPU's memory is full; choose the CPU")


def test_a_fault_of_the_program_is_one_short_line_with_type_and_message():
    def fault():
        raise KeyError("weights\nof the model" + 1000 * "x")

    trouble = explain(error_of(fault))
    assert not trouble.foreseen
    assert trouble.sentence.startswith("An unexpected error ended this (KeyError: ")
    assert "\n" not in trouble.sentence
    assert len(trouble.sentence) < 300
    assert "in fault" in trouble.detail
    assert explain(AssertionError()).sentence == "An unexpected error ended this (AssertionError)."


def test_it_is_imported_without_torch():
    code = "import sys, napari_sslseg.training.trouble; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_what_the_processors_library_and_threads_lack_is_told():
    # oneDNN says no more than this, and Python no more than that.
    assert explain(RuntimeError("could not create a memory object")).sentence.startswith(
        "The memory is full"
    )
    trouble = explain(RuntimeError("can't start new thread"))
    assert trouble.foreseen
    assert (
        trouble.sentence == "The computer starts no more threads; close other programs, then retry."
    )
