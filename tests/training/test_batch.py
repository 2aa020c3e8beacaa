"""Proposals for several volumes: labelled ones on their own, the others by a shared network."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sslseg.methods.frameworks.combined import Combined
from napari_sslseg.training import batch
from napari_sslseg.training.batch import LEARNED, run_batch
from napari_sslseg.training.checkpoint import read_head
from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.events import Estimated, VolumeBegun, VolumeFailed, VolumeProposed
from napari_sslseg.training.facts import Phase
from napari_sslseg.training.memory import NETWORK, PROGRAM, Need
from napari_sslseg.training.outcome import FEWEST_STEPS
from napari_sslseg.training.plan import FIRST_STEPS
from napari_sslseg.training.request import BatchRequest, TrainRequest, read_request
from napari_sslseg.training.shared import SharedNetwork
from napari_sslseg.training.shared_size import SharedSize
from napari_sslseg.training.stack import TrainingError
from napari_sslseg.training.trainer import Trainer
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo, Project

SHAPE = (10, 32, 32)


def disc(shift: float, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Make a wandering bright disc in noise, on a grid of some pixels a side, and its mask."""
    z, y, x = np.meshgrid(np.arange(10), *(np.arange(size) * 32 / size,) * 2, indexing="ij")
    truth = ((y - 16) ** 2 + (x - 12 - shift - z / 2) ** 2 < 49).astype(np.uint8)
    noise = np.random.default_rng(int(10 * shift)).normal(0, 0.1, truth.shape)
    return truth + noise, truth


@pytest.fixture
def cohort(tmp_path):
    """One labelled volume, one bare on the same grid, one bare on a grid twice as fine."""
    image, truth = disc(0)
    info = ImageInfo("first", SHAPE, (1.0, 1.0, 1.0))
    first = Project.create(tmp_path / "p", image, info, ClassTable.from_ids([3]), 0)
    ink = first.ink_store.load()
    for index in (1, 5, 8):
        ink[index] = 3 * truth[index]
    first.ink_store.save(ink)
    cohort = Cohort(first.path)
    cohort.add(disc(2)[0], ImageInfo("bare", SHAPE, (1.0, 1.0, 1.0)), 0)
    cohort.add(disc(1, 64)[0], ImageInfo("fine", (10, 64, 64), (1.0, 0.5, 0.5)), 0)
    return cohort


def dice(proposed: np.ndarray, truth: np.ndarray) -> float:
    return (
        2
        * np.count_nonzero((proposed == 3) & (truth == 1))
        / (np.count_nonzero(proposed) + np.count_nonzero(truth))
    )


def test_a_network_that_has_hardly_begun_proposes_nothing(cohort):
    events = []
    request = BatchRequest(TrainRequest(seconds=0.01, device="cpu"), tuple(cohort.keys[1:]))
    run_batch(cohort.path, request, events.append, Control())
    failed = [e for e in events if isinstance(e, VolumeFailed)]
    assert [e.volume for e in failed] == cohort.keys[1:]
    assert "Give it more time" in failed[0].message
    assert events[-1].kind == "Finished"
    assert not cohort.open(cohort.keys[1]).proposal_slugs()


def test_bare_volumes_get_a_proposal_that_claims_nothing_and_a_broken_one_stops_nobody(
    cohort, monkeypatch
):
    bare, fine = cohort.keys[1:]
    image = cohort.add(disc(3)[0], ImageInfo("broken", SHAPE, (1.0, 1.0, 1.0)), 0).path
    (image / "image.npy").unlink()
    events = []
    request = BatchRequest(TrainRequest(seconds=0.5, device="cpu"), (bare, fine, cohort.keys[3]))
    assert read_request(request.to_json()) == request
    monkeypatch.setattr(batch, "USELESS", 0.0)  # how much is learned depends on the machine
    run_batch(cohort.path, request, events.append, Control())
    (failed,) = [e for e in events if isinstance(e, VolumeFailed)]
    assert failed.volume == cohort.keys[3]
    assert [(e.number, e.count) for e in events if isinstance(e, VolumeBegun)] == [(1, 2), (2, 2)]
    assert not [e for e in events if isinstance(e, Estimated)]
    told = [e for e in events if isinstance(e, VolumeProposed)]
    assert [e.dice for e in told] == [None, None]
    assert {tuple(e.lesson.volumes) for e in told} == {("first",)}
    assert all(e.lesson.enough == (e.lesson.fit >= LEARNED) for e in told)
    fractions = [e.fraction for e in events if e.kind == "Progress"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert events[-1].kind == "Finished"
    for key in (bare, fine):
        proposal = cohort.open(key).read_proposal("from-other-volumes")
        assert not (proposal.regions == 1).any()  # nothing is called sure
        assert proposal.confidence.max() <= 128
        assert proposal.info["learned_from"] == ["first"]
        assert proposal.info["estimate"] is None
    assert not cohort.open("").proposal_slugs()
    assert (cohort.shared / "model.json").exists()


def test_the_shared_network_finds_the_object_elsewhere_and_at_another_pixel_size(cohort):
    request = TrainRequest(seconds=60, device="cpu")
    network = SharedNetwork([cohort.open("")], request, lambda event: None, Control())
    network.train(None, lambda share: None, max_steps=2)
    assert network.fit() < LEARNED
    network.train(None, lambda share: None, max_steps=60)
    assert network.fit() > LEARNED
    for key, (_, truth) in zip(cohort.keys[1:], (disc(2), disc(1, 64)), strict=True):
        assert dice(network.propose(cohort.open(key), {}).classes, truth) > 0.7


def test_a_labelled_volume_is_proposed_on_its_own(cohort):
    events = []
    request = BatchRequest(TrainRequest("reference", seconds=5), ("",))
    run_batch(cohort.path, request, events.append, Control())
    (told,) = [e for e in events if isinstance(e, VolumeProposed)]
    assert told.slugs == ["reference-guided"]
    assert told.lesson is None
    assert told.dice > 0.9
    assert dice(cohort.open("").read_proposal("reference-guided").classes, disc(0)[1]) > 0.9
    assert not cohort.shared.exists()  # nothing bare was asked for


def test_volumes_too_large_for_the_memory_go_in_blocks_or_say_so(cohort, monkeypatch):
    # The first two have 10 000 voxels, the last one four times as many.
    monkeypatch.setattr(Need, "whole", property(lambda self: 2**20 * self.depth * self.pixels))
    request = TrainRequest("reference", seconds=1, device="cpu", memory=5 * 2**30)
    keys = tuple(cohort.keys)
    events = []
    run_batch(cohort.path, BatchRequest(request, keys), events.append, Control())
    failed = {e.name: e.message for e in events if isinstance(e, VolumeFailed)}
    assert set(failed) == {"bare", "fine"}
    assert "first needs 8.7 GB of memory, and 3.7 GB of 5.0 GB (as asked for)" in failed["bare"]
    assert not cohort.shared.exists(), "no time was spent on a network for nobody"
    (told,) = [e for e in events if isinstance(e, VolumeProposed)]
    assert told.name == "first"
    assert (cohort.path / "work").is_dir(), "the run in blocks"
    # With more room the network learns, and the largest volume alone is refused.
    monkeypatch.setattr(batch, "USELESS", 0.0)
    events.clear()
    more = replace(request, memory=12 * 2**30)
    run_batch(cohort.path, BatchRequest(more, keys[1:]), events.append, Control())
    (refused,) = [e for e in events if isinstance(e, VolumeFailed)]
    assert refused.name == "fine"
    assert refused.message.startswith("It needs 38.7 GB of memory beside the volumes that the")
    assert refused.message.endswith("train on it alone, which goes in blocks.")
    assert [e.name for e in events if isinstance(e, VolumeProposed)] == ["bare"]


def test_a_network_learns_from_as_many_volumes_as_there_is_room_for(cohort):
    first, bare, fine = (cohort.open(key) for key in cohort.keys)
    size = SharedSize(2**60, 2)
    assert size.choose([first, fine]) == ([first, fine], [])
    size = SharedSize(PROGRAM + NETWORK + 3 * 2**20, 2)
    assert size.choose([first, fine, bare]) == ([first, bare], [fine])
    room = size.no_room(fine)
    assert (room.name, room.asked) == ("fine", False)
    assert room.needed > room.left
    assert size.why_not_propose(bare) == ""
    assert "label some of its slices" in size.why_not_propose(fine)


def test_without_any_label_there_is_one_sentence_and_a_cancelled_batch_stops(cohort, tmp_path):
    request = BatchRequest(TrainRequest(seconds=60), tuple(cohort.keys[1:]))
    control = Control()

    def cancel_when_learning(event):
        if event.kind == "Loss":
            control.cancel()

    with pytest.raises(Cancelled):
        run_batch(cohort.path, request, cancel_when_learning, control)
    first = cohort.open("")
    first.ink_store.save(np.full(SHAPE, 255, np.uint8))
    with pytest.raises(TrainingError, match="No volume of the project is labelled"):
        run_batch(cohort.path, request, lambda event: None, Control())


def label(cohort: Cohort, key: str, truth: np.ndarray) -> None:
    project = cohort.open(key)
    ink = project.ink_store.load()
    for index in (1, 5, 8):
        ink[index] = 3 * truth[index]
    project.ink_store.save(ink)


def test_a_labelled_volume_that_fails_in_any_way_stops_nobody(cohort, monkeypatch):
    label(cohort, cohort.keys[1], disc(2)[1])
    label(cohort, cohort.keys[2], disc(1, 64)[1])
    errors: dict[str, Exception] = {
        "p": RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        cohort.keys[1]: KeyError("weights"),
    }
    run = batch.run_project

    def run_or_fail(path, *rest):
        if path.name in errors:
            raise errors[path.name]
        run(path, *rest)

    monkeypatch.setattr(batch, "run_project", run_or_fail)
    events = []
    request = BatchRequest(TrainRequest("reference", seconds=5), tuple(cohort.keys))
    run_batch(cohort.path, request, events.append, Control())
    failed = [e for e in events if isinstance(e, VolumeFailed)]
    assert [e.name for e in failed] == ["first", "bare"]
    assert failed[0].message.startswith("The GPU's memory is full; choose the CPU")
    assert failed[1].message == "An unexpected error ended this (KeyError: 'weights')."
    assert all("in run_or_fail" in e.detail for e in failed), "or the log could not tell where"
    assert [e.name for e in events if isinstance(e, VolumeProposed)] == ["fine"]
    assert events[-1].kind == "Finished"


def test_what_a_failed_volume_held_is_given_back_before_the_next_one_begins(cohort, monkeypatch):
    label(cohort, cohort.keys[1], disc(2)[1])
    held: list[weakref.ref[torch.Tensor]] = []
    left = []

    def run_or_fail(path, *rest):
        left.extend(reference() for reference in held)
        large = torch.zeros(1000)
        held.append(weakref.ref(large))
        raise MemoryError

    monkeypatch.setattr(batch, "run_project", run_or_fail)
    request = BatchRequest(TrainRequest("reference", seconds=5), tuple(cohort.keys[:2]))
    run_batch(cohort.path, request, lambda event: None, Control())
    assert left == [None]


def test_a_cancelled_volume_ends_the_batch(cohort, monkeypatch):
    def cancelled(*rest):
        raise Cancelled

    monkeypatch.setattr(batch, "run_project", cancelled)
    request = BatchRequest(TrainRequest("reference", seconds=5), ("",))
    with pytest.raises(Cancelled):
        run_batch(cohort.path, request, lambda event: None, Control())


def test_a_shared_network_that_fails_is_told_by_those_that_wait_for_it(cohort, monkeypatch):
    def full(*rest, **options):
        raise MemoryError

    monkeypatch.setattr(SharedNetwork, "train", full)
    events = []
    request = BatchRequest(TrainRequest("reference", seconds=5), tuple(cohort.keys))
    run_batch(cohort.path, request, events.append, Control())
    failed = [e for e in events if isinstance(e, VolumeFailed)]
    assert [e.name for e in failed] == ["bare", "fine"]
    assert all(e.message.startswith("The memory is full") for e in failed)
    assert [e.name for e in events if isinstance(e, VolumeProposed)] == ["first"]
    fractions = [e.fraction for e in events if e.kind == "Progress"]
    assert fractions == sorted(fractions)
    # With nobody else to go on with, it is the batch that failed.
    with pytest.raises(MemoryError):
        run_batch(cohort.path, replace(request, volumes=request.volumes[1:]), print, Control())


def test_a_bare_volume_that_fails_stops_nobody(cohort, monkeypatch):
    monkeypatch.setattr(batch, "USELESS", 0.0)
    propose = SharedNetwork.propose

    def propose_or_fail(network, project, info):
        if project.info.name == "bare":
            raise RuntimeError("CUDA out of memory.")
        return propose(network, project, info)

    monkeypatch.setattr(SharedNetwork, "propose", propose_or_fail)
    events = []
    request = BatchRequest(TrainRequest(seconds=0.5, device="cpu"), tuple(cohort.keys[1:]))
    run_batch(cohort.path, request, events.append, Control())
    (failed,) = [e for e in events if isinstance(e, VolumeFailed)]
    assert failed.name == "bare"
    assert [e.name for e in events if isinstance(e, VolumeProposed)] == ["fine"]


def stroke(cohort: Cohort, key: str, value: int) -> Project:
    """Paint a stroke of one class and nothing else, of which nobody can learn."""
    project = cohort.open(key)
    ink = project.ink_store.load()
    ink[5, 16, 10:16] = value
    project.ink_store.save(ink)
    return project


def test_one_volume_that_cannot_be_learned_from_is_named_and_stops_nobody(cohort, monkeypatch):
    monkeypatch.setattr(batch, "USELESS", 0.0)
    bare, fine = cohort.keys[1:]
    stroke(cohort, bare, 9)
    events = []
    request = BatchRequest(TrainRequest(seconds=0.5, device="cpu"), (fine,))
    run_batch(cohort.path, request, events.append, Control())
    (told,) = [e for e in events if isinstance(e, VolumeProposed)]
    assert told.name == "fine"
    assert (told.lesson.volumes, told.lesson.missed) == (["first"], ["bare"])
    learned = [
        e.volumes for e in events if e.kind == "Progress" and e.phase == Phase.TRAINING_SHARED
    ]
    assert learned[0] == ["first"]
    assert cohort.open(fine).read_proposal("from-other-volumes").info["learned_from"] == ["first"]
    head = read_head(cohort.shared)
    assert head["class_ids"] == [0, 3]  # nobody teaches what that volume alone names
    assert head["seen"] == [""]


def test_only_where_no_volume_is_left_the_network_fails_and_says_why(cohort):
    volumes = [stroke(cohort, key, 3) for key in cohort.keys[1:]]
    request, control = TrainRequest(device="cpu"), Control()
    with pytest.raises(TrainingError, match=r"^No network can learn from bare, fine: bare: Only"):
        SharedNetwork(volumes, request, lambda event: None, control)
    (volumes[0].path / "image.npy").unlink()
    with pytest.raises(TrainingError, match=r"^No network can learn from bare: [^.]*image.*\.$"):
        SharedNetwork(volumes[:1], request, lambda event: None, control)


def test_volumes_with_other_classes_learn_together(cohort):
    second = cohort.open(cohort.keys[1])
    ink = second.ink_store.load()
    ink[5] = np.where(disc(2)[1][5], 2, 0)
    second.ink_store.save(ink)
    network = SharedNetwork(
        [cohort.open(""), second], TrainRequest(device="cpu"), lambda event: None, Control()
    )
    assert network.class_ids == (0, 2, 3)
    values = [set(each.stack.ink.unique().tolist()) for each in network.lessons]
    assert values == [{0, 2, 255}, {0, 1, 255}]
    shown = [each.prior.probabilities.sum((0, 2, 3)) > 0 for each in network.lessons]
    assert [s.tolist() for s in shown] == [[True, False, True], [True, True, False]]


def test_a_shared_network_goes_on_once_it_has_learned_and_has_its_first_steps_once(
    cohort, monkeypatch
):
    over = []
    monkeypatch.setattr(Combined, "go_on", lambda framework, steps: over.append(steps))

    def steps_after(before: int | None = None) -> int:
        if before is not None:
            head = read_head(cohort.shared) | {"steps": before}
            (cohort.shared / "model.json").write_text(json.dumps(head))
        request = TrainRequest(seconds=60, device="cpu")
        network = SharedNetwork([cohort.open("")], request, lambda event: None, Control())
        network.train(cohort, lambda share: None, max_steps=2)
        return read_head(cohort.shared)["steps"]

    assert steps_after() == 2
    assert steps_after() == 2, "as good as untrained"
    assert not over
    for before in (FEWEST_STEPS, FIRST_STEPS):
        assert steps_after(before) == before + 2
        assert over[-1] == before


def test_a_shared_network_without_numbers_is_neither_heard_nor_kept(cohort, monkeypatch):
    def broken(trainer, *given):
        next(trainer.model.parameters()).data.fill_(torch.nan)

    monkeypatch.setattr(Trainer, "run", broken)
    request = TrainRequest(seconds=60, device="cpu")
    network = SharedNetwork([cohort.open("")], request, lambda event: None, Control())
    with pytest.raises(TrainingError, match="numbers are no longer finite; an earlier one is kept"):
        network.train(cohort, lambda share: None, max_steps=2)
    assert read_head(cohort.shared) == {}
