"""The application is killed while the user paints: at most the last two seconds are lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import psutil

from napari_sslseg.volume.project import Project

from .conftest import SHAPE

LOST_SECONDS = 2.0

#: Seconds and strokes after which it is killed: on a busy machine strokes take their time.
PAINTING_SECONDS, STROKES = 5.0, 40

#: Paints a voxel into References and one into the proposal every tenth of a second, and says when.
PAINTER = """
import json, sys, time
import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from napari_sslseg.app.panel import LoopPanel
from napari_sslseg.training.events import ProposalReady
from napari_sslseg.volume.proposal import Proposal

shape = tuple(json.loads(sys.argv[1]))
viewer = napari.Viewer(show=False)
viewer.add_image(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8), name="noise")
panel = LoopPanel(viewer)
viewer.window.add_dock_widget(panel)
panel.volume.start.click()

def work(done):
    while not done():
        QApplication.processEvents()
        time.sleep(0.005)

work(lambda: panel.session is not None)
session = panel.session
blank, sure = np.zeros(shape, np.uint8), np.ones(shape, np.uint8)
version = session.project.write_proposal(Proposal("SemSim", blank, sure, 200 * sure))
session.retraining.follow(ProposalReady("semsim", "SemSim", version))
work(lambda: "semsim" in session.proposals)
layers = session.references.layer, session.proposals["semsim"].layer
told = {"project": str(session.project.path), "trainer": session.training.pid}
print(json.dumps(told), flush=True)
count = 0
while True:
    z, y, x = np.unravel_index(count * 7, shape)
    session.go_to(int(z))
    for layer in layers:
        layer.data_setitem((np.array([z]), np.array([y]), np.array([x])), 1)
    print(json.dumps({"at": time.time(), "point": [int(z), int(y), int(x)]}), flush=True)
    count += 1
    until = time.monotonic() + 0.1
    work(lambda: time.monotonic() > until)
"""


def test_a_killed_application_loses_at_most_two_seconds(home):
    process = subprocess.Popen(
        [sys.executable, "-c", PAINTER, json.dumps(SHAPE)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    try:
        told = json.loads(process.stdout.readline())
        lines, begin = [], time.monotonic()
        while len(lines) < STROKES or time.monotonic() - begin < PAINTING_SECONDS:
            lines.append(process.stdout.readline())
            assert lines[-1], "it ended by itself"
    finally:
        process.kill()
        killed = time.time()
    lines += process.stdout.read().splitlines()
    strokes = [json.loads(line) for line in lines if line.rstrip()[-1:] == "}"]
    process.wait()
    old = [tuple(s["point"]) for s in strokes if s["at"] < killed - LOST_SECONDS]
    assert len(old) > 10
    assert killed - strokes[-1]["at"] < 1, "it was still painting"
    project = Project.open(told["project"])
    for name, ink in (
        ("References", project.ink_store.load()),
        ("the proposal", project.correction_store("semsim").load()),
    ):
        missing = [point for point in old if ink[point] != 1]
        assert not missing, f"{len(missing)} of {len(old)} strokes in {name} were lost"
        assert np.count_nonzero(ink == 1) <= len(strokes)
    # And the trainer, which would otherwise go on for nobody, leaves with it.
    end = time.monotonic() + 40  # of low priority, it may be starved on a busy machine
    while psutil.pid_exists(told["trainer"]) and time.monotonic() < end:
        time.sleep(0.1)
    assert not psutil.pid_exists(told["trainer"])
