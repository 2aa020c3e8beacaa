"""Presets: what a description adds to them, and what they keep."""

from __future__ import annotations

from napari_sslseg.methods.frameworks.combined import CombinedConfig
from napari_sslseg.methods.frameworks.metassl import MetaSSLConfig
from napari_sslseg.methods.regions import UNLABELLED_ORDER
from napari_sslseg.training.dataset.presets import build_options, changed, find_preset

RELEASED = find_preset("metassl-cps-released")


def _regions(preset) -> MetaSSLConfig:
    return build_options(preset.framework, preset.options)["regions"]


def test_released_script_has_its_published_numbers():
    regions = _regions(RELEASED)
    assert (regions.scale, regions.labelled_scale) == (50.0, 85.0)
    assert (regions.unlabelled_step, regions.labelled_step, regions.beta) == (0.6, 0.3, 3.0)
    assert regions.unlabelled_order == regions.labelled_order == UNLABELLED_ORDER
    assert (regions.normalisation, regions.unanimous) == ("region_mean", "halves")
    assert (RELEASED.steps, RELEASED.labelled, RELEASED.unlabelled) == (100_000, 12, 12)
    assert (RELEASED.options["cross"], RELEASED.options["ramp_end"]) == (0.1, 0.3)


def test_one_nested_option_leaves_the_others_of_the_preset():
    regions = _regions(changed(RELEASED, {"options": {"regions": {"cap": 0.9, "scale": 40}}}))
    before = _regions(RELEASED)
    assert (regions.cap, regions.scale) == (0.9, 40.0)
    for name in ("normalisation", "labelled_scale", "release_thresholds", "labelled_agreement"):
        assert getattr(regions, name) == getattr(before, name), name
    assert _regions(RELEASED) == before  # the preset itself is as it was
    literal = find_preset("semsim-literal")
    turned = changed(literal, {"options": {"weak": {"rotation": 5.0}}})
    assert literal.options["weak"]["free"] == 0
    assert turned.options["weak"] == {**literal.options["weak"], "rotation": 5.0}


def test_regions_of_the_default_keep_their_share_of_dice():
    default = find_preset("default")
    assert _regions(default) == CombinedConfig().regions
    regions = _regions(changed(default, {"options": {"regions": {"cap": 0.9}}}))
    assert (regions.cap, regions.dice) == (0.9, 0.5)


def test_rpg_has_the_published_schedule():
    assert [find_preset(name).schedule for name in ("rpg", "metassl-rpg")] == ["steps"] * 2
