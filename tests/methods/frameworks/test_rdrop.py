"""R-Drop: two passes of one network."""

from __future__ import annotations

from .small import generator, small


def test_r_drop_is_zero_without_dropout_and_positive_with(disc_batch):
    for dropout, least, most in ((0.0, 0.0, 1e-9), (0.4, 1e-6, 10.0)):
        framework = small("rdrop", dropout=(dropout,) * 4)
        value = framework.losses(disc_batch(), 1.0, generator())["unlabelled"].item()
        assert least <= value <= most
