"""Descriptions of data sets: what they mean, and one clear sentence for what they cannot."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from napari_sslseg.training.dataset.cases import load_case, to_indices, to_values
from napari_sslseg.training.dataset.description import DatasetError, parse_dataset, read_dataset

from ..dataset_files import NpyReader, make_volume, write_dataset


def test_templates_find_cases_and_not_their_labels(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path))
    assert sorted(dataset.entries) == ["c0", "c1", "c2", "c3", "c4"]
    assert dataset.entries["c3"].labels == tmp_path / "c3_gt.npy"
    assert dataset.unlabelled == ("c2", "c3")
    assert [e.name for e in dataset.cases("validation")] == ["c4"]
    assert dataset.outputs == 3


def test_a_case_may_be_named_more_than_once_in_its_path(tmp_path):
    for folder, file in (("anna", "anna"), ("ben", "ben"), ("ben", "carl")):
        (tmp_path / folder).mkdir(exist_ok=True)
        for kind in ("t1", "seg"):
            (tmp_path / folder / f"{file}_{kind}.npy").touch()
    volumes = [{"image": "{case}/{case}_t1.npy", "labels": "{case}/{case}_seg.npy"}]
    lists = {"labelled": ["anna"], "unlabelled": ["ben"], "validation": []}
    dataset = read_dataset(write_dataset(tmp_path, volumes=volumes, **lists))
    assert sorted(dataset.entries) == ["anna", "ben"]
    assert dataset.entries["ben"].labels == tmp_path / "ben" / "ben_seg.npy"


def test_a_list_may_be_a_file(tmp_path):
    path = write_dataset(tmp_path, labelled="lists.txt")
    # Editors on Windows put a mark in front.
    (tmp_path / "lists.txt").write_text("c2\n\n  c3 \n", encoding="utf-8-sig")
    dataset = read_dataset(path)
    assert dataset.labelled == ("c2", "c3")
    assert dataset.unlabelled == ("c0", "c1")


def test_names_in_a_list_may_hold_spaces(tmp_path):
    volumes = {"Anna B": {"image": "c0.npy", "labels": "c0_gt.npy"}, "Ben": {"image": "c1.npy"}}
    path = write_dataset(tmp_path, volumes=volumes, labelled="lists.txt", validation=[])
    (tmp_path / "lists.txt").write_text("Anna B\n")
    assert read_dataset(path).labelled == ("Anna B",)


@pytest.mark.parametrize("overlapping", [False, True])
def test_classes_are_in_the_order_of_their_values(tmp_path, overlapping):
    classes = {4: "core", 1: "ring"}
    dataset = read_dataset(write_dataset(tmp_path, classes=classes, overlapping=overlapping))
    assert list(dataset.classes.items()) == [(1, "ring"), (4, "core")]


def test_cases_can_be_given_one_by_one_with_several_channels(tmp_path):
    two = {"image": ["c0.npy", "c1.npy"], "labels": "c0_gt.npy"}
    lists = {"labelled": ["a"], "unlabelled": "rest", "validation": []}
    path = write_dataset(tmp_path, volumes={"a": two, "b": {"image": "c2.npy"}}, **lists)
    dataset = read_dataset(path)
    assert dataset.entries["a"].images == (tmp_path / "c0.npy", tmp_path / "c1.npy")
    assert dataset.entries["b"].labels is None
    case = load_case(dataset.entries["a"], dataset, NpyReader())
    assert case.image.shape == (5, 2, 16, 16)


def test_excluded_patterns_are_left_out(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path, exclude=["c3*"]))
    assert dataset.unlabelled == ("c2",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": 1}, "unknown key 'axes'"),
        ({"size": [16]}, "size must be 2"),
        ({"middle": 0}, "middle must be a share"),
        ({"middle": 0.5, "dimensions": 3, "size": [4, 8, 8]}, "middle is for slices"),
        ({"dimensions": 4}, "dimensions must be 2 or 3"),
        ({"axis": 3}, "axis must be 0 to 2"),
        ({"axis": True}, "axis must be 0 to 2"),
        ({"overlapping": "false"}, "overlapping must be true or false"),
        ({"dimensions": 2.0}, "dimensions must be 2 or 3"),
        ({"size": [True, 16]}, "size must be 2 whole numbers"),
        ({"classes": {True: "x"}}, "from 1 to 254"),
        ({"not_annotated": 5}, "not_annotated must be a list"),
        ({"not_annotated": ["x"]}, "not_annotated must be a whole number"),
        ({"volumes": [{"image": []}]}, "has an image"),
        ({"volumes": ["{case}.npy"]}, "has an image"),
        ({"volumes": [{"image": "/data/{case}.npy"}]}, "give the folder as root"),
        ({"labelled": "c0.npy"}, "cannot be read"),
        ({"classes": {0: "background"}}, "from 1 to 254"),
        ({"classes": {3: "x"}, "overlapping": True}, "powers of two"),
        ({"classes": None}, "classes must name"),
        ({"labelled": ["c9"]}, "c9 of the labelled list is no case"),
        ({"labelled": ["c4"]}, "c4 is in the labelled list and in a test list"),
        ({"labelled": ["c0", "c0"]}, "names a case twice"),
        ({"labelled": "missing.txt"}, "cannot be read"),
        ({"labelled": "rest"}, "only one list can be the rest"),
        ({"volumes": [{"image": "x{case}.npy"}]}, "no image was found"),
        ({"volumes": [{"image": "c0.npy"}]}, "lacks"),
        ({"volumes": {"a": {"image": "none.npy"}}}, "does not exist"),
        ({"volumes": {"../a": {"image": "c0.npy"}}}, "cannot name a case"),
        ({"volumes": "all"}, "volumes must be"),
        ({"training": "semsim"}, "training must be settings"),
        ({"distances": "cm"}, "mm or voxels"),
        ({"root": "nowhere"}, "no folder .*nowhere; check root"),
        ({"root": "c0.npy"}, "no folder .*; check root"),
        ({"volumes": []}, "volumes is empty; list templates"),
        ({"volumes": {}}, "volumes is empty; list templates"),
        ({"volumes": {False: {"image": "c0.npy"}}}, "volumes holds False, which is no name"),
        ({"labelled": [False]}, "the labelled list holds False, .* YAML takes .* in quotes"),
        ({"test": [1.1]}, "the test list holds 1.1, which is no name"),
        ({"exclude": [None]}, "exclude holds None, which is no name"),
        ({"classes": {255: "polyp"}}, "only class of masks of 0 and 255, name it as class 1"),
        ({"classes": {1: True}}, "class 1 needs a name, not True; .* in quotes"),
        ({"classes": {1: "a", 3: None}}, "class 3 needs a name, not None"),
        ({"classes": {1: " "}}, "class 1 needs a name"),
        ({"classes": {1: "a", 3: "a"}}, "two classes are called a"),
        ({"classes": {1: "a", 3: "mean"}}, "a row “mean”"),
        ({"classes": {2**i: f"s{i}" for i in range(8)}, "overlapping": True}, "sum to 255"),
        ({"not_annotated": [3]}, "3 cannot be not annotated"),
        ({"classes": {1: "a", 2: "b"}, "overlapping": True, "not_annotated": [3]}, "3 cannot be"),
        ({"context": 1, "dimensions": 3, "size": [4, 8, 8]}, "context is for slices"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(tmp_path, changes, message):
    with pytest.raises(DatasetError, match=message) as caught:
        read_dataset(write_dataset(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_labelled_cases_need_labels(tmp_path):
    write_dataset(tmp_path)
    (tmp_path / "c0_gt.npy").unlink()
    with pytest.raises(DatasetError, match="c0 is in the labelled list but has no labels") as told:
        read_dataset(tmp_path / "dataset.yaml")
    assert f"({tmp_path / 'c0_gt.npy'} does not exist); check labels under" in str(told.value)


def test_numbers_and_dates_may_be_names(tmp_path):
    for name in ("12", "2020-01-05"):
        for end in ("", "_gt"):
            (tmp_path / f"{name}{end}.npy").touch()
    path = write_dataset(tmp_path)
    text = path.read_text().partition("labelled:")[0]
    path.write_text(f"{text}labelled: [12, 2020-01-05]\nexclude:\n")
    assert read_dataset(path).labelled == ("12", "2020-01-05")


def test_values_that_no_class_has_may_be_not_annotated(tmp_path):
    bits = {2**i: f"s{i}" for i in range(7)}
    path = write_dataset(tmp_path, classes=bits, overlapping=True, not_annotated=[0, 129])
    assert read_dataset(path).not_annotated == (0, 129)


def test_a_case_is_resized_and_its_labels_are_indices(tmp_path):
    classes = {2: "none", 3: "core"}
    dataset = read_dataset(write_dataset(tmp_path, classes=classes, not_annotated=[1]))
    case = load_case(dataset.entries["c0"], dataset, NpyReader())
    assert case.image.shape == (5, 1, 16, 16)
    assert case.plane == (20, 24)
    assert float(case.image.mean()) == pytest.approx(0, abs=0.2)
    assert sorted(case.target.unique().tolist()) == [0, 2, 255]


def test_only_the_middle_of_slices_is_looked_at(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path, size=[10, 12], middle=0.5))
    case = load_case(dataset.entries["c0"], dataset, NpyReader())
    image, truth = make_volume(0)
    middle = truth[5:15, 6:18]
    assert case.plane == (20, 24)
    assert case.image.shape == (5, 1, 10, 12)
    np.testing.assert_array_equal(case.target, np.moveaxis(np.where(middle == 3, 2, middle), 2, 0))
    seen = np.moveaxis(image[5:15, 6:18], 2, 0)
    assert np.corrcoef(case.image[:, 0].numpy().ravel(), seen.ravel())[0, 1] > 0.999


def test_values_and_indices_are_each_others_inverse(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path))
    truth = np.moveaxis(make_volume(0)[1], 2, 0)
    assert np.array_equal(to_values(to_indices(truth, dataset), dataset), truth)
    content = yaml.safe_load((tmp_path / "dataset.yaml").read_text())
    content |= {"classes": {1: "a", 4: "b"}, "overlapping": True}
    bits = parse_dataset(content, tmp_path, "x")
    values = np.array([[[0, 1, 4, 5, 255]]], np.uint8)
    sets = to_indices(values, bits)
    assert sets[0, :, 0].T.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1], [255, 255]]
    assert to_values(sets[..., :4], bits).flatten().tolist() == [0, 1, 4, 5]


def test_labels_on_another_grid_are_refused(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path))
    np.save(tmp_path / "c0_gt.npy", np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(DatasetError, match="c0 have the shape"):
        load_case(dataset.entries["c0"], dataset, NpyReader())
    np.save(tmp_path / "c1.npy", np.full((20, 24, 5), np.nan))
    with pytest.raises(DatasetError, match=r"c1: .*no number in any voxel"):
        load_case(dataset.entries["c1"], dataset, NpyReader())


def test_pictures_are_cases_of_one_slice(tmp_path):
    path = write_dataset(tmp_path, validation=[])
    np.save(tmp_path / "c0.npy", np.random.default_rng(0).normal(size=(20, 24)))
    np.save(tmp_path / "c0_gt.npy", np.ones((20, 24), np.uint8))
    dataset = read_dataset(path)
    case = load_case(dataset.entries["c0"], dataset, NpyReader())
    assert case.flat
    assert case.image.shape == (1, 1, 16, 16)
    assert case.target.shape == (1, 16, 16)
