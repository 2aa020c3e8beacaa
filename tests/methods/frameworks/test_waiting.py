"""No step may wait for the device, or depend in its operations on what it computes.

Tensors without values stand in for a device: reading a number, branching on one, or picking rows by
a mask, whose count only the values tell, all fail on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from napari_sslseg.methods.augment import StrongAugmentation, WeakAugmentation
from napari_sslseg.methods.frameworks import Batch, available, create

SMALL = {"channels": (4, 8, 8, 16)}
PUBLISHED = {
    "weak": WeakAugmentation(draw="published"),
    "strong": StrongAugmentation(draw="published"),
}
WINDOWS = WeakAugmentation(stretch=0.6, crop=0.75)
SEMSIM = {"fusion_width": 16}
NAMES = [(name, {}) for name in available()] + [
    (name, {"metassl": True}) for name in available() if not name.startswith("combined")
]
OPTIONS = [
    ("rpg", {"strong_geometry": 0.5, "temperature": 0.1, "supervised_loss": "whole"}),
    ("mean_teacher", {"metassl": True, "labelled_reference": "student"}),
    ("semsim", {"metassl": True, "heterogeneous": ("intra", "cross"), "fusion_place": "main"}),
    ("combined", {"gated": True}),
    ("cct", {"auxiliary": ("objects", "context", "cutout", "adversarial")}),
    ("rpg", {"refine": "full"}),
    ("rpg", {"refine": "distribution", "most_references": 50}),
    ("rpg", {"refine": "features", "morph": True}),
    ("rpg", {"refine": "distribution"}),
    ("rpg", {"standardise": True, "agreement": "binary", "matched_on": "both"}),
    ("rpg", {"metassl": True, "heterogeneous": ("plain", "matched")}),
    ("semsim", {"affinity_axis": "output", "intra_at": "image", "divergence": "raw"}),
    ("fixmatch", PUBLISHED),
    ("rpg", {**PUBLISHED, "weak": WINDOWS}),
    ("semsim", {"targets": "soft", "cross_mask": "weak", "feature_dropout_at": "decoder+fusion"}),
]


def _create(name, **options):
    extra = SEMSIM if name.startswith(("semsim", "combined")) else {}
    return create(name, 1, 3, **SMALL, **extra, **options)


def _on(device: str, batch: Batch) -> Batch:
    held = {f.name: getattr(batch, f.name) for f in fields(batch)}
    return Batch(**{k: v if v is None else v.to(device) for k, v in held.items()})


#: Where overlapping classes take a way of their own.
OVERLAPPING = [
    (name, o) for name, o in NAMES + OPTIONS if name in ("semsim", "rpg", "cps", "cct") or o
]


def _sampled(image: Tensor, grid: Tensor, *how: object) -> Tensor:
    return image.new_empty(*image.shape[:2], *grid.shape[1:-1])


def _resized(image: Tensor, size: tuple[int, int], *how: object) -> Tensor:
    return image.new_empty(*image.shape[:2], *size)


def _normalised(image: Tensor, *given: object) -> tuple[Tensor, Tensor, Tensor]:
    training = given[4]
    mean = image.new_empty(image.shape[1] if training else 0)
    return torch.empty_like(image), mean, torch.empty_like(mean)


def _unnormalised(gradient: Tensor, image: Tensor, *given: object) -> tuple[Tensor, Tensor, Tensor]:
    mean = image.new_empty(image.shape[1])
    return torch.empty_like(image), mean, torch.empty_like(mean)


@pytest.fixture(scope="module")
def _shapes_are_told_at_once() -> Iterator[None]:
    """Spare torch its definitions, in dozens of operations, of what only needs a shape here.

    They take most of the time of a step without values, and are none of ours.
    """
    library = torch.library.Library("aten", "IMPL", "Meta")
    for name, told in (
        ("grid_sampler_2d", _sampled),
        ("upsample_bilinear2d", _resized),
        ("native_batch_norm", _normalised),
        ("native_batch_norm_backward", _unnormalised),
    ):
        library.impl(name, told, allow_override=True)
    yield
    library._destroy()


@pytest.mark.usefixtures("_shapes_are_told_at_once")
@pytest.mark.parametrize(
    ("name", "options", "overlapping"),
    [(*case, False) for case in NAMES + OPTIONS] + [(*case, True) for case in OVERLAPPING],
)
def test_a_step_needs_no_values(name, options, overlapping, disc_batch, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # knows no "meta"
    framework = _create(name, overlapping=overlapping, **options)
    batch = _on("meta", disc_batch(prior=True))
    if overlapping:
        batch.labelled_target = batch.labelled_target[:, None].expand(-1, 3, -1, -1)
    progress = torch.tensor(0.5, device="meta")
    losses = framework.to("meta").losses(batch, progress, torch.Generator())
    losses["total"].backward()
    framework.after_step()
    assert losses["total"].device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("name", "options"), NAMES + OPTIONS)
def test_a_step_can_be_recorded_and_replayed(name, options, disc_batch):
    device = torch.device("cuda")
    torch.manual_seed(0)
    framework = _create(name, **options).to(device)
    batch, progress = _on("cuda", disc_batch(prior=True)), torch.tensor(0.5, device=device)
    generator = torch.Generator(device).manual_seed(0)

    def step():
        losses = framework.losses(batch, progress, generator)
        losses["total"].backward()
        framework.after_step()
        return losses["total"].detach()

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(2):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph, stream=side):
        total = step()
    seen = []
    for _ in range(2):
        graph.replay()
        seen.append(float(total))
    assert seen[0] != seen[1]  # every replay draws anew
    assert all(0 < value < 100 for value in seen)


def test_only_steps_that_are_all_alike_are_said_to_repeat():
    assert _create("combined").repeats
    assert not _create("combined", similarity_every=2).repeats
    assert not _create("combined", ramp_begin=0.1).repeats
    assert _create("cps").repeats
