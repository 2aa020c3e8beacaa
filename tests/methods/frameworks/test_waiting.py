"""No step may wait for the device, or depend in its operations on what it computes.

Tensors without values stand in for a device: reading a number, branching on one, or picking rows by
a mask, whose count only the values tell, all fail on them.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields

import pytest
import torch

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
