"""Networks for volumes."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.networks import ChannelDropout
from napari_sslseg.methods.networks3d import UNet3d, VNet3d

pytest.importorskip("monai")

SMALL = (4, 4, 8, 8, 8)


def _make(kind):
    torch.manual_seed(0)
    return (VNet3d(1, 2, 0.0) if kind == "vnet" else UNet3d(1, 2, SMALL)).eval()


@pytest.mark.parametrize("kind", ["vnet", "unet3d"])
def test_taps_of_a_volume_of_any_size(kind):
    network = _make(kind)
    image = torch.randn(1, 1, 20, 32, 17)
    taps = network.taps(image)
    assert taps.logits.shape == (1, 2, 20, 32, 17)
    assert taps.decoder.shape[2:] == image.shape[2:]
    assert len(network.encode(image)) == 5


@pytest.mark.parametrize("kind", ["vnet", "unet3d"])
def test_in_parts_it_is_the_network_of_the_library(kind):
    network = _make(kind)
    image = torch.randn(1, 1, 32, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(image), network.net(image))


def test_channels_can_be_dropped_on_the_way_to_the_decoder():
    network = _make("unet3d")
    drop = ChannelDropout(0.5, torch.Generator().manual_seed(0), untouched=1)
    image = torch.randn(2, 1, 32, 32, 32)
    with torch.no_grad():
        features = network.encode(image)
        plain, dropped = network.decode(features)[0], network.decode(features, drop)[0]
    torch.testing.assert_close(plain[0], dropped[0])
    assert (plain[1] - dropped[1]).abs().max() > 1e-4


def test_what_cannot_be_built_is_refused_in_words():
    with pytest.raises(ValueError, match="channels"):
        VNet3d(3, 2)
    with pytest.raises(ValueError, match="five levels"):
        UNet3d(1, 2, (4, 8))


@pytest.mark.parametrize("place", ["deep", "last"])
def test_the_u_net_drops_values_in_two_places(place):
    torch.manual_seed(0)
    network = UNet3d(1, 2, SMALL).eval()
    assert (network.deep.p, network.last.p) == (0.3, 0.3)
    image = torch.randn(1, 1, 32, 32, 32)
    with torch.no_grad():
        getattr(network, place).train()
        seen, again = network.taps(image), network.taps(image)
        maps, others = network.encode(image), network.encode(image)
    # The map that is matched lies before the second place.
    assert torch.equal(seen.decoder, again.decoder) == (place == "last")
    assert torch.equal(maps[-1], others[-1]) == (place == "last")
    assert torch.equal(maps[-2], others[-2])
    assert not torch.equal(seen.logits, again.logits)
    assert not any("Dropout" in type(m).__name__ and m.p for m in network.net.modules())


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_the_v_net_drops_as_often_as_it_is_told(probability):
    torch.manual_seed(0)
    network = VNet3d(1, 2, probability).train()
    found = {m.p for m in network.modules() if isinstance(m, torch.nn.Dropout3d)}
    assert found == {probability}
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.eval()
    image = torch.randn(1, 1, 32, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(image), network(image)) == (probability == 0)
