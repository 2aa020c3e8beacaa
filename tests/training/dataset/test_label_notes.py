"""What is said of labels: classes that none of them shows, and values that are no class."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.training.dataset.cases import load_cases
from napari_sslseg.training.dataset.description import read_dataset
from napari_sslseg.training.dataset.label_notes import label_notes

from ..dataset_files import NpyReader, write_dataset


def _notes(folder, **changes):
    dataset = read_dataset(write_dataset(folder, **changes))
    parts = ("labelled", "validation")
    return label_notes(
        *(load_cases(dataset.cases(p), dataset, NpyReader()) for p in parts), dataset
    )


def test_nothing_is_said_of_labels_that_show_all_classes_and_no_others(tmp_path):
    assert _notes(tmp_path) == []
    assert _notes(tmp_path, classes={3: "core"}, not_annotated=[1]) == []


def test_a_class_that_no_labelled_case_shows_and_values_of_no_class_are_told(tmp_path):
    unseen, strange = _notes(tmp_path, classes={2: "a", 3: "b", 7: "c"})
    assert unseen == (
        "no labelled case shows classes 2 (a) and 7 (c), so they are never predicted; check "
        "classes."
    )
    assert strange == (
        f"the value 1 in 3 files, first {tmp_path / 'c0_gt.npy'}, is no class and counts as "
        "background; unless that is meant, name it under classes, or list it under not_annotated."
    )


def test_what_a_validation_case_alone_has_is_not_learned(tmp_path):
    write_dataset(tmp_path)
    for name in ("c0", "c1"):
        path = tmp_path / f"{name}_gt.npy"
        np.save(path, np.where(np.load(path) == 3, 255, np.load(path)))
    changes = {"classes": {1: "ring", 3: "core"}, "labelled": ["c0"], "validation": ["c1"]}
    dataset = read_dataset(write_dataset(tmp_path / "again", root="..", **changes))
    np.save(tmp_path / "c1_gt.npy", np.full((20, 24, 5), 3, np.int64))
    cases = load_cases(dataset.cases("labelled"), dataset, NpyReader())
    others = load_cases(dataset.cases("validation"), dataset, NpyReader())
    (note,) = label_notes(cases, others, dataset)
    assert note.startswith("no labelled case shows class 3 (core), so it is")


@pytest.mark.parametrize(("overlapping", "value"), [(False, 3), (True, 2)])
def test_a_class_that_is_lost_by_resizing_is_told_apart(tmp_path, overlapping, value):
    write_dataset(tmp_path)
    labels = np.zeros((20, 24, 5), np.uint8)
    labels[:10] = 1
    labels[0, 0, 0] |= value
    for name in ("c0", "c1", "c4"):
        np.save(tmp_path / f"{name}_gt.npy", labels)
    changes = {"classes": {1: "large", value: "tiny"}, "overlapping": overlapping}
    dataset = read_dataset(write_dataset(tmp_path / "again", root="..", size=[4, 4], **changes))
    cases = load_cases(dataset.cases("labelled"), dataset, NpyReader())
    (note,) = label_notes(cases, [], dataset)
    assert f"class {value} (tiny) is in the labels, but not in what is left" in note
    assert "at size [4, 4] and middle 1" in note


def test_parts_of_sums_that_are_no_class_are_told(tmp_path):
    _, strange = _notes(tmp_path, classes={1: "a", 4: "b"}, overlapping=True)
    assert strange.startswith("the value 3 in 3 files, first ")
    assert "has a part that is no class and counts as background" in strange
