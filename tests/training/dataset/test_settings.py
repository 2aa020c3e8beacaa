"""Settings of a run: what the preset, the description and the caller make of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_sslseg.methods.augment import WeakAugmentation
from napari_sslseg.training.dataset.description import DatasetError, read_dataset
from napari_sslseg.training.dataset.presets import PRESETS, build_options, changed, find_preset
from napari_sslseg.training.dataset.settings import make_settings

from ..dataset_files import write_dataset


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
def test_views_are_as_published_and_gradients_but_for_the_default(name):
    preset = PRESETS[name]
    built = build_options(preset.framework, preset.options)
    assert preset.clip == (5 if name == "default" else None)
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
        ({"log_every": 0}, "log_every of training must be a whole number, 1 or more, not 0"),
        ({"steps": 0}, "steps of training must be a whole number, 1 or more, not 0"),
        ({"steps": -3}, "steps of training must be a whole number, 1 or more, not -3"),
        ({"labelled": 0}, "labelled of training must be a whole number, 1 or more, not 0"),
        ({"unlabelled": -1}, "unlabelled of training must be a whole number, 0 or more, not -1"),
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
    with pytest.raises(DatasetError, match="log_every of training must be a whole number, 1 or m"):
        make_settings(read_dataset(path), "cpu")


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weak": 3}, "weak must be “name: value” pairs, not 3"),
        ({"weak": None}, "weak must be “name: value” pairs, not None"),
        ({1: 2}, "An option has a name, not 1;"),
        ({True: 1}, "An option has a name, not True;"),
        ({"weak": {True: 1}}, "weak has no option 'True'"),
    ],
)
def test_options_of_the_wrong_shape_are_told(tmp_path, dimensions, options, message):
    size = [16, 16] if dimensions == 2 else [4, 16, 16]
    training = {"preset": "cps", "options": options}
    path = write_dataset(tmp_path, dimensions=dimensions, size=size, training=training)
    with pytest.raises(DatasetError, match=message):
        make_settings(read_dataset(path), "cpu")


def test_patches_have_the_batch_that_is_asked_for(tmp_path):
    dataset = replace(read_dataset(write_dataset(tmp_path)), dimensions=3, size=(8, 8, 8))
    for training, batch in (
        ({}, (2, 2)),
        ({"unlabelled": 4}, (2, 4)),
        ({"unlabelled": 0}, (2, 0)),
        ({"labelled": 1, "unlabelled": 3}, (1, 3)),
        ({"labelled": 1}, (1, 12)),
    ):
        described = replace(dataset, training={"preset": "cps", **training})
        settings = make_settings(described, "cpu")
        assert (settings.labelled, settings.unlabelled) == batch, training


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
