"""Descriptions of data sets: what they mean, and one clear sentence for what they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import yaml

from napari_sslseg.methods.augment import WeakAugmentation
from napari_sslseg.training.dataset.cases import load_case, to_indices, to_values
from napari_sslseg.training.dataset.description import DatasetError, parse_dataset, read_dataset
from napari_sslseg.training.dataset.presets import PRESETS, build_options, changed, find_preset
from napari_sslseg.training.dataset.settings import make_settings

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
    (tmp_path / "lists.txt").write_text("c2\nc3\n")
    dataset = read_dataset(path)
    assert dataset.labelled == ("c2", "c3")
    assert dataset.unlabelled == ("c0", "c1")


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
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(tmp_path, changes, message):
    with pytest.raises(DatasetError, match=message) as caught:
        read_dataset(write_dataset(tmp_path, **changes))
    assert "\n" not in str(caught.value)


def test_broken_yaml_names_the_line(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\nclasses: {1: [\n")
    with pytest.raises(DatasetError, match="line"):
        read_dataset(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_dataset(tmp_path / "none.yaml")
    path.write_text("just words")
    with pytest.raises(DatasetError, match="no settings"):
        read_dataset(path)


def test_labelled_cases_need_labels(tmp_path):
    write_dataset(tmp_path)
    (tmp_path / "c0_gt.npy").unlink()
    with pytest.raises(DatasetError, match="c0 is in the labelled list but has no labels"):
        read_dataset(tmp_path / "dataset.yaml")


def test_a_case_is_resized_and_its_labels_are_indices(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path, not_annotated=[1]))
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
    with pytest.raises(DatasetError, match=r"c1: .*not finite"):
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


# -- settings -----------------------------------------------------------------------------


def test_description_and_caller_change_the_preset(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path))
    settings = make_settings(dataset, "cpu", steps=9, seed=3, preset=None)
    assert (settings.framework, settings.steps, settings.seed) == ("fixmatch", 9, 3)
    views = {"weak": {"draw": "published"}, "strong": {"draw": "published"}}
    assert settings.options == {**views, "metassl": True, "channels": [4, 8, 8, 16]}
    assert (settings.labelled, settings.optimiser, settings.schedule) == (3, "sgd", "poly")
    assert settings.precision == "float32"
    assert make_settings(dataset, "cuda").precision == "bfloat16"


def test_papers_have_presets_as_published():
    semsim, rpg = find_preset("semsim"), find_preset("rpg")
    assert (semsim.labelled, semsim.unlabelled, semsim.optimiser) == (8, 8, "sgd")
    assert (semsim.learning_rate, semsim.schedule) == (0.01, "poly")
    assert (rpg.optimiser, rpg.learning_rate, rpg.labelled) == ("adamw", 1e-3, 4)
    for name in ("mean-teacher", "fixmatch", "cps", "cct", "r-drop", "semsim", "rpg"):
        plain, regions = PRESETS[name], PRESETS[f"metassl-{name}"]
        assert plain.framework == regions.framework
        assert regions.options["metassl"] is True
        assert "metassl" not in plain.options
        for part in ("weak", "strong"):
            assert plain.options[part] == regions.options[part]


@pytest.mark.parametrize("name", list(PRESETS))
def test_only_the_default_is_not_as_published(name):
    preset = PRESETS[name]
    built = build_options(preset.framework, preset.options)
    if name == "default":
        assert preset.clip == 5
        assert built["weak"] == WeakAugmentation()
        assert "strong" not in built
        return
    assert preset.clip is None
    assert built["strong"].draw == "published"
    weak = built["weak"]
    if preset.framework == "rpg":
        assert (weak.stretch, weak.stretched, weak.crop) == (0.6, 1.2, 480 / 512)
        assert (weak.flip, weak.quarter_turns, weak.free) == (0, 0, 0)
        assert (preset.betas, preset.bias_rate, preset.bias_decay) == ((0.9, 0.99), 2, False)
    elif name == "semsim-literal":
        assert (weak.flip, weak.quarter_turns, weak.free) == (0.5, 0, 0)
        assert built["affinity_resize"] == "plain"
    else:
        assert weak == WeakAugmentation(draw="published")


def test_volumes_have_a_weak_view_of_their_own(tmp_path):
    dataset = replace(read_dataset(write_dataset(tmp_path)), dimensions=3, size=(8, 8, 8))
    for preset in ("cps", "rpg"):
        settings = make_settings(dataset, "cpu", preset=preset, options={})
        wanted = {"draw": "published", "quarter_turns": 1.0, "free": 0.0}
        assert settings.options["weak"] == wanted
    options = {"weak": {"flip": 0.0}}
    settings = make_settings(dataset, "cpu", preset="cps", options=options)
    assert settings.options["weak"] == {**wanted, "flip": 0.0}


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_can_be_built(name):
    from napari_sslseg.methods.frameworks import registry

    preset = PRESETS[name]
    options = build_options(preset.framework, {**preset.options, "channels": [4, 8, 8, 16]})
    assert registry.create(preset.framework, 1, 2, **options).classes == 2


def test_settings_that_cannot_be_are_told(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path))
    for changes, message in (
        ({"preset": "magic"}, "no preset 'magic'"),
        ({"network": "vnet"}, "network must be unet"),
        ({"precision": "half"}, "precision"),
        ({"rate": 1}, "no key 'rate'"),
        ({"steps": "many"}, "whole number"),
        ({"optimiser": "lion"}, "sgd or adamw"),
        ({"schedule": "flat"}, "poly, cosine or steps"),
        ({"options": {"depth": 3}}, "no option depth"),
        ({"options": {"weak": {"turn": 3}}}, "weak has no option 'turn'"),
        ({"options": "none"}, "name: value"),
        ({"options": {"weak": {"crop": 2.0}}}, "Crop is a share above 0"),
        ({"clip": 0}, "clip must be more than 0"),
        ({"betas": [0.9, 1.0]}, "betas must be from 0"),
        ({"log_every": 0}, "log_every"),
        ({"every_class": "yes"}, "every_class of training must be true or false"),
        ({"learning_rate": "fast"}, "learning_rate of training must be a number, not 'fast'"),
        ({"learning_rate": True}, "learning_rate of training must be a number, not True"),
        ({"learning_rate": 0}, "more than 0"),
        ({"steps": True}, "steps of training must be a whole number"),
        ({"labelled": True}, "labelled of training must be a whole number"),
        ({"seed": "7"}, "seed of training must be a whole number"),
        ({"seed": 2**63}, "seed must be less than"),
        ({"save_every": 2.5}, "save_every of training must be a whole number"),
        ({"validate_every": True}, "validate_every of training must be a whole number"),
        ({"preset": ["rpg"]}, "preset of training must be a name"),
        ({"options": {"weak": {"flip": "x"}}}, "flip of weak must be a number"),
    ):
        with pytest.raises(DatasetError, match=message):
            make_settings(dataset, "cpu", **changes)


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path):
    path = write_dataset(tmp_path)
    text = "training: {steps: 6, learning_rate: 1e-3, options: {threshold: 9e-1}}\n"
    path.write_text(path.read_text().partition("training:")[0] + text)
    settings = make_settings(read_dataset(path), "cpu", preset="fixmatch")
    assert settings.learning_rate == 0.001
    assert settings.options["threshold"] == 0.9


def test_a_key_without_a_value_is_told(tmp_path):
    path = write_dataset(tmp_path)
    path.write_text(path.read_text().partition("training:")[0] + "training: {log_every: }\n")
    with pytest.raises(DatasetError, match="log_every of training must be a whole number, 0 or m"):
        make_settings(read_dataset(path), "cpu")


def test_every_class_is_for_slices(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path))
    assert make_settings(dataset, "cpu", every_class=True).every_class
    assert not make_settings(dataset, "cpu", preset="rpg").every_class
    volumes = replace(dataset, dimensions=3, size=(8, 8, 8))
    with pytest.raises(DatasetError, match="made for slices"):
        make_settings(volumes, "cpu", preset="cps", every_class=True)


def test_nested_options_become_their_classes():
    given = {"weak": {"scale": [0.8, 1.1]}, "channels": [4, 8], "metassl": True}
    options = build_options("cps", given)
    assert options["weak"].scale == (0.8, 1.1)
    assert options["channels"] == (4, 8)
    preset = changed(find_preset("rpg"), {"learning_rate": 1, "seed": 4})
    assert preset.learning_rate == 1.0
