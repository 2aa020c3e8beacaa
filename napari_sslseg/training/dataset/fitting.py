"""Whether the options of a method fit the images: what would else fail in the first step."""

from __future__ import annotations

from collections.abc import Sequence

from ...methods.frameworks.base import Framework
from ...methods.frameworks.cct import CCTConfig
from ...methods.frameworks.fixmatch import FixMatchConfig
from ...methods.frameworks.semsim_config import SemSimConfig
from .cases import channels_in_words
from .errors import DatasetError

_CELLS = (CCTConfig, FixMatchConfig, SemSimConfig)


def check_fit(framework: Framework, channels: int, size: Sequence[int]) -> None:
    """Refuse options that do not fit the data.

    Parameters
    ----------
    framework
        As it will be trained.
    channels
        Of the cases, without the slices in context.
    size
        Sides of the images or patches.

    Raises
    ------
    DatasetError
        With one sentence.
    """
    config, inputs = framework.config, framework.in_channels
    shown = inputs - config.position_channels
    if shown < 1:
        raise DatasetError(
            f"position_channels must leave a channel to the image, which has {inputs}, not be "
            f"{config.position_channels}."
        )
    # Three slices of a grey image are three channels too, and no colours.
    if config.colour and (shown % 3 or (channels % 3 and not config.position_channels)):
        raise DatasetError(
            f"colour is for images of red, green and blue, but these have "
            f"{channels_in_words(channels)}; leave colour out."
        )
    # These compare maps of the view with maps of the network, which sees two cells of its deepest
    # level a side at least. Images are padded to as many, but not the views that are cut from them.
    stride = framework.network.stride
    padded = [max(-(-n // stride), 2) * stride for n in size]
    if isinstance(config, _CELLS) and min(config.weak.size(padded, stride)) < 2 * stride:
        raise DatasetError(
            f"size {list(size)} is too small for this method with {framework.network.levels} "
            f"levels, whose views need {2 * stride} pixels a side; enlarge it, or list fewer "
            "channels."
        )
