"""Options that do not fit the images are told before a step is tried."""

from __future__ import annotations

import re

import pytest
import torch

from napari_sslseg.methods.augment import WeakAugmentation
from napari_sslseg.methods.frameworks import Batch, create, registry
from napari_sslseg.methods.frameworks.cct import CCTConfig
from napari_sslseg.methods.frameworks.fixmatch import FixMatchConfig
from napari_sslseg.methods.frameworks.semsim_config import SemSimConfig
from napari_sslseg.training.dataset.errors import DatasetError
from napari_sslseg.training.dataset.fitting import check_fit


def _framework(name="fixmatch", inputs=1, **options):
    return create(name, inputs, 2, **{"channels": (4, 8, 8, 16), **options})


@pytest.mark.parametrize(("channels", "inputs"), [(1, 1), (1, 3), (4, 4), (2, 6)])
def test_colour_needs_red_green_and_blue(channels, inputs):
    with pytest.raises(DatasetError, match=rf"colour .* {channels} channels?; leave colour out"):
        check_fit(_framework(inputs=inputs, colour=True), channels, (16, 16))
    check_fit(_framework(inputs=inputs), channels, (16, 16))


@pytest.mark.parametrize(("channels", "inputs", "positions"), [(3, 3, 0), (3, 9, 0), (5, 5, 2)])
def test_colours_may_come_with_context_and_positions(channels, inputs, positions):
    framework = _framework(inputs=inputs, colour=True, position_channels=positions)
    check_fit(framework, channels, (16, 16))


def test_positions_leave_an_image():
    check_fit(_framework(inputs=2, position_channels=1), 2, (16, 16))
    with pytest.raises(DatasetError, match="position_channels must leave a channel"):
        check_fit(_framework(inputs=2, position_channels=2), 2, (16, 16))


def _step(framework, size) -> None:
    images = torch.randn(2, 1, *size)
    batch = Batch(images, torch.ones(2, *size, dtype=torch.uint8), images)
    framework.losses(batch, 0.5, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", registry.available())
def test_sizes_that_are_refused_are_those_with_which_no_step_can_be_done(name):
    for size in ((9, 9), (9, 40), (8, 8), (40, 3)):
        framework = _framework(name)
        check_fit(framework, 1, size)
        _step(framework, size)
    framework = _framework(name, weak=WeakAugmentation(crop=0.5))
    if isinstance(framework.config, (CCTConfig, FixMatchConfig, SemSimConfig)):
        with pytest.raises(DatasetError, match=re.escape("size [40, 8] is too small")):
            check_fit(framework, 1, (40, 8))
        with pytest.raises(RuntimeError, match="must match the size"):
            _step(framework, (40, 8))
    else:
        check_fit(framework, 1, (40, 8))
        _step(framework, (40, 8))


def test_cropped_views_need_as_many_pixels():
    framework = _framework(weak=WeakAugmentation(crop=0.5))
    check_fit(framework, 1, (32, 32))
    with pytest.raises(DatasetError, match="views need 16 pixels a side"):
        check_fit(framework, 1, (16, 16))


def test_thin_volumes_are_made_to_fit():
    pytest.importorskip("monai")
    framework = _framework(network="unet3d", channels=(2, 2, 2, 2, 2))
    check_fit(framework, 1, (4, 16, 16))
    _step(framework, (4, 16, 16))
