"""Removing layers from a window that is drawn by software; a crash would end the tests' process."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import time
import napari
import numpy as np
from vispy.gloo import gl
from qtpy.QtWidgets import QApplication
from napari_sslseg.app.software_rendering import keep_shader_programs

keep_shader_programs()
keep_shader_programs()
viewer = napari.Viewer(show=True)


def draw():
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        QApplication.processEvents()


image = viewer.add_image(np.zeros((4, 32, 32), np.uint8))
layers = [viewer.add_labels(np.ones((4, 32, 32), np.uint8)) for _ in range(2)]
draw()
viewer.layers.remove(layers[0])
draw()
viewer.layers.remove(image)
draw()
viewer.add_image(np.zeros((4, 32, 32), np.uint8))
draw()
print([layer.name for layer in viewer.layers])
programs = []
for contour in (0, 2, 0, 2):
    layer = viewer.add_labels(np.ones((4, 32, 32), np.uint8))
    draw()
    layer.contour = contour  # by other shaders
    draw()
    programs.append(sum(bool(gl.glIsProgram(n)) for n in range(1, 2000)))
    viewer.layers.remove(layer)
    draw()
print(programs[2] == programs[0] and programs[3] == programs[1], programs)
viewer.close()
"""


def test_layers_can_be_removed_in_any_order():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "True" in done.stdout, "programs of removed layers serve the next ones"
