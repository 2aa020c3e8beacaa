"""Reference-guided labels inside one volume: matching carried from slice to slice.

Seibold et al. (RPG, AAAI 2022) give a pixel the label of the most similar reference pixels. Inside
one volume the reference slice and its neighbour show the same patient, so the match can be local:

1. Every pixel is described by the patches around it (`slice_features`), or by learned features.
   Where objects and what is beside them take little of the image's range, as organs in CT do, it
   is scaled to them first (`object_contrast`).
2. Between each slice and the next, a displacement and a windowed soft read (`slice_matching`).
3. From each wholly inked slice, or one whose strokes tell an object from the background
   (`label_sources`), the labels are carried towards the next one, both ways, together with the
   matching cost gathered on the way. Other strokes, or a slice inked across, correct the labels as
   they come by (`ink_completion`). The two results are averaged, the
   nearer one and, pixel by pixel, the better matching one counting more.
4. Parts of one object that the two inked slices show instead of each other are told apart by
   nearness (`class_parts`). The classes are rebalanced to keep their area
   (`shape_prior.keep_areas`). As further evidence come the appearance of the classes in the inked
   slices (`appearance`) and, where the shapes of the two inked slices overlap well, the shape
   interpolated between them. Where inked slices show that its looks alone tell a class, it may
   appear between two of them that both do not show it.
5. Beyond the outermost inked slices, labels are carried one way, and shapes that were shrinking
   towards the end go on shrinking at that rate. Where it is known that slices are empty, these are
   the other end, and the labels fade towards them.

What lies around the objects of a stretch's own slices is background; where an object reaches the
edge of what is worked on, that grows (`working_region`).

The stretch between two inked slices depends on these two alone, apart from what all of the ink says
together, so a corrected slice only renews the stretches on either side of it.
"""

from __future__ import annotations

import torch

from .one_thread import one_thread
from .propagation_inputs import Execution, InkedVolume, Renewal
from .propagation_result import Propagation, PropagationConfig
from .propagation_sources import Sources
from .propagation_work import PropagationWork
from .working_region import grow_where_touched, working_region

__all__ = ["Execution", "InkedVolume", "Propagation", "PropagationConfig", "Renewal", "propagate"]


def propagate(
    volume: InkedVolume,
    config: PropagationConfig | None = None,
    execution: Execution | None = None,
    renewal: Renewal | None = None,
) -> Propagation:
    """Carry the labels of a few inked slices through the whole volume.

    Parameters
    ----------
    volume : InkedVolume
    config : PropagationConfig, optional
    execution : Execution, optional
    renewal : Renewal, optional
        What is taken over of an earlier result; by default nothing is.

    Returns
    -------
    Propagation

    Raises
    ------
    ValueError
        See `InkedVolume.check`; or if the renewed propagation is of another volume.
    """
    config, execution = config or PropagationConfig(), execution or Execution()
    volume.check()
    volume = volume.for_device(execution.device)
    with torch.no_grad(), one_thread():
        region = working_region(volume.ink, config.margin, config.minimum_margin)
        while True:
            sources = Sources(volume, region, config, execution)
            result = PropagationWork(sources, execution).run(renewal)
            grown = grow_where_touched(result.probabilities, *region)
            if grown == region:
                break
            region = grown
        if execution.progress is not None:
            execution.progress(1.0)
    return result
