"""Semi-supervised training frameworks: each a small class with one `losses(batch)` step.

`create` builds one by name. Frameworks see batches of slices and yield scalar losses; data loading,
optimisation, mixed precision and checkpoints are the trainer's.
"""

from __future__ import annotations

from .base import Batch, Framework, FrameworkConfig, PredictionPair, PredictOutput
from .registry import available, create

__all__ = [
    "Batch",
    "Framework",
    "FrameworkConfig",
    "PredictOutput",
    "PredictionPair",
    "available",
    "create",
]
