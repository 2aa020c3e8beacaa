"""Windows around pixels, and reads from them."""

from __future__ import annotations

import torch

from napari_sslseg.methods.read_window import Window


def test_a_window_is_a_disc_or_a_square_of_which_the_disc_counts() -> None:
    device = torch.device("cpu")
    disc, square = (Window.of(2, 0.5, device, whole) for whole in (False, True))
    assert len(disc.shifts) == 21
    assert len(square.shifts) == 25
    assert torch.equal(square.shifts[square.bias > -99], disc.shifts)
    assert disc.bias.min() == -0.5 * 5
