"""The first labels layer need not be waited for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

from napari_sslseg.app import first_labels

#: Prepares, then makes the layers of a session, and one of another type of values; says how much is
#: compiled for each.
_SESSION = """
import json
import numpy as np
from napari.layers import Labels
from numba.core import event
from napari_sslseg.app.first_labels import prepare_labels
from napari_sslseg.app.palette import proposal_colormap, reference_colormap, region_colormap
from napari_sslseg.volume.classes import ClassTable

table = ClassTable.from_ids([1, 2, 7])
colours = reference_colormap(table), proposal_colormap(table), region_colormap([1, 4])

def compiled(dtype, maps):
    with event.install_recorder("numba:compile") as recorded:
        for colormap in maps:
            Labels(np.zeros((3, 8, 9), dtype), colormap=colormap)
    return len(recorded.buffer)

prepare_labels().join()
print(json.dumps([compiled(np.uint8, colours), compiled(np.int16, colours[:1])]))
"""


def test_nothing_is_compiled_for_the_layers_of_a_session():
    told = subprocess.run([sys.executable, "-c", _SESSION], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    ours, another = json.loads(told.stdout)
    assert ours == 0
    assert another > 0  # so that would have been seen


#: Makes a layer as soon as the table of units is there, or begun.
_AT_ONCE = """
import numpy as np
import pint
from napari.layers import Image
from napari_sslseg.app.first_labels import prepare_labels

thread = prepare_labels()
while isinstance(pint.get_application_registry().get(), pint.registry.LazyRegistry):
    pass
Image(np.zeros((3, 8, 9)))
thread.join()
"""


def test_an_image_can_be_opened_while_labels_are_prepared():
    told = subprocess.run([sys.executable, "-c", _AT_ONCE], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


def test_a_panel_prepares_once_in_a_process(without_window, make_panel, monkeypatch, until):
    made = []
    monkeypatch.setattr(first_labels, "_make_a_layer", lambda: made.append(1))
    first_labels.prepare_labels.cache_clear()
    make_panel()
    until(lambda: bool(made))
    make_panel()
    first_labels.prepare_labels()
    assert made == [1]


def test_a_volume_is_shown_when_labels_are_prepared_and_the_window_works_meanwhile(
    started, monkeypatch, until
):
    _, panel = started
    path = panel.session.project.path
    panel.close_session()
    go, beats = threading.Event(), []
    monkeypatch.setattr(first_labels, "_make_a_layer", lambda: go.wait(30))
    first_labels.prepare_labels.cache_clear()
    panel.open(path)
    until(lambda: beats.append(1) or len(beats) > 30)
    assert panel.session is None
    go.set()
    until(lambda: panel.session is not None)
    first_labels.prepare_labels.cache_clear()
