"""Each stretch is worked on where its objects are, and where they go."""

from __future__ import annotations

import gc
import math
import weakref

import torch

from napari_sslseg.methods.intensity import standardise
from napari_sslseg.methods.propagation import Execution, InkedVolume, PropagationConfig
from napari_sslseg.methods.propagation_result import Propagation
from napari_sslseg.methods.propagation_sources import Sources
from napari_sslseg.methods.propagation_work import PropagationWork

SIZE, RADIUS = 128, 9


def discs(columns: list[int]) -> torch.Tensor:
    """Return labels (Z, H, W) of a disc that moves along a row."""
    rows, across = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return torch.stack(
        [(rows - 30) ** 2 + (across - column) ** 2 <= RADIUS**2 for column in columns]
    ).to(torch.uint8)


def seen(labels: torch.Tensor) -> torch.Tensor:
    """Return an image (Z, 1, H, W) of them, with noise."""
    noise = torch.randn(labels.shape, generator=torch.Generator().manual_seed(0))
    return standardise((labels + 0.1 * noise)[:, None])


def sources_of(
    labels: torch.Tensor,
    ink: torch.Tensor,
    looks: tuple[float, float] = (1.0, 2.0),
    margin: float = 0.25,
    apart: float = 1.0,
) -> Sources:
    """Return the sources in whole slices; looks alone tell nothing by default."""
    everything = slice(0, SIZE), slice(0, SIZE)
    config = PropagationConfig(looks_dice=looks, margin=margin)
    return Sources(
        InkedVolume(seen(labels), ink, 2, (apart, 1, 1)), everything, config, Execution()
    )


def inked(labels: torch.Tensor, references: list[int]) -> torch.Tensor:
    """Return ink of whole slices."""
    ink = torch.full_like(labels, 255)
    ink[references] = labels[references]
    return ink


def found_by(sources: Sources) -> Propagation:
    """Propagate."""
    return PropagationWork(sources, Execution()).run(None)


def test_work_in_windows_finds_what_work_in_whole_slices_finds() -> None:
    labels = discs([20 + z for z in range(9)] + [90 - z for z in range(9)])
    ink = inked(labels, [0, 8, 9, 17])
    found, whole = (found_by(sources_of(labels, ink, margin=margin)) for margin in (0.25, 99.0))
    assert torch.equal(found.labels, whole.labels)
    # The classes' areas are kept within what is worked on, hence a little differs.
    torch.testing.assert_close(found.probabilities, whole.probabilities, atol=0.02, rtol=0.0)
    # Around the windows nothing was looked at: background for certain.
    assert torch.all(found.probabilities[1:8, 0, 80:, 100:] == 1.0)
    assert not torch.all(whole.probabilities[1:8, 0, 80:, 100:] == 1.0)
    assert torch.all(found.agreement[1:8, 80:, 100:] == 1.0)


def test_an_object_that_leaves_the_window_of_its_stretch_is_followed() -> None:
    # Between two references it goes far to the right and comes back.
    columns = [round(20 + 45 * math.sin(math.pi * z / 36)) for z in range(37)]
    labels = discs([*columns, 110])
    ink = inked(labels, [0, 36, 37])
    assert columns[18] > 20 + RADIUS + 16 + 8
    found = found_by(sources_of(labels, ink)).labels[18]
    assert (found & labels[18]).sum() > 0.7 * labels[18].sum()


def test_what_may_appear_by_its_looks_may_appear_anywhere() -> None:
    labels = discs([30] * 17)
    labels[3:6, 90:102, 90:102] = 1
    sources = sources_of(labels, inked(labels, [0, 8, 16]), PropagationConfig().looks_dice, apart=8)
    assert sources.looks_believed[1] > 0
    assert (found_by(sources).labels[4, 90:102, 90:102] == 1).float().mean() > 0.7


def test_strokes_beside_the_objects_are_within_the_window() -> None:
    labels = discs([30] * 9)
    ink = inked(labels, [0, 8])
    ink[4, 100:106, 100:106] = 1
    sources = sources_of(labels, ink)
    assert sources.partial == {4}
    result = found_by(sources)
    assert torch.all(result.labels[4, 100:106, 100:106] == 1)
    assert result.probabilities[4, 1, 107, 102] > result.probabilities[2, 1, 107, 102]


def test_descriptors_are_let_go_of_with_the_sources() -> None:
    labels = discs([30] * 5)
    sources = sources_of(labels, inked(labels, [0, 4]))
    found_by(sources)
    kept = weakref.ref(sources)
    gc.disable()
    try:
        del sources
        assert kept() is None
    finally:
        gc.enable()
