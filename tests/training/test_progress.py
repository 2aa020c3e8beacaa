"""One bar, of which each phase has its part."""

from __future__ import annotations

import pytest

from napari_sslseg.training.events import Progress
from napari_sslseg.training.facts import Phase
from napari_sslseg.training.progress import BLOCKS_TRAINED, WHOLE, ProgressBar


@pytest.fixture
def told():
    return []


def test_a_phase_fills_its_part(told):
    bar = ProgressBar(BLOCKS_TRAINED, told.append)
    bar.tell(Phase.MATCHING, 0.0, None)
    bar.tell(Phase.MATCHING, 0.5, None)
    bar.tell(Phase.MATCHING, 1.5, None)
    bar.tell(Phase.DONE, 1.0, None)
    assert [e.fraction for e in told] == [0.03, 0.19, 0.35, 1.0]
    assert told[1] == Progress(Phase.MATCHING, 0.19, None)


def test_the_bar_never_moves_back(told):
    bar = ProgressBar(WHOLE, told.append)
    bar.tell(Phase.TESTING_MATCHING, 1.0, 50.0)
    bar.tell(Phase.TRAINING, 0.1, 49.0)  # a tenth of the time, and more is done already
    assert [e.fraction for e in told] == [0.15, 0.15]
    assert [e.seconds_left for e in told] == [50.0, 49.0]


def test_moves_that_nobody_sees_are_not_told(told):
    bar = ProgressBar(BLOCKS_TRAINED, told.append)
    for i in range(10_000):
        bar.tell(Phase.MATCHING, i / 10_000, None)
    assert 200 < len(told) < 330


def test_each_proposal_that_is_written_has_its_own_part(told):
    bar = ProgressBar(BLOCKS_TRAINED, told.append)
    for _ in range(3):
        bar.tell(Phase.WRITING, 1.0, None)
        bar.wrote()
    assert [e.fraction for e in told] == [0.4, 0.95, 1.0]
