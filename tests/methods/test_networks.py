"""The U-Net: size, padding, taps and channel dropout."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks import create
from napari_sslseg.methods.networks import ChannelDropout, UNet2d, pad_to_multiple


def _parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_published_layout_has_the_published_number_of_parameters():
    assert _parameters(UNet2d(1, 4)) == 1_813_764
    assert _parameters(UNet2d(3, 2)) == 1_813_762


def test_encoder_maps_halve_in_size_and_follow_the_channels():
    network, image = UNet2d(2, 3), torch.randn(2, 2, 64, 96)
    assert [tuple(f.shape) for f in network.encode(image)] == [
        (2, c, 64 // 2**i, 96 // 2**i) for i, c in enumerate((16, 32, 64, 128, 256))
    ]
    taps = network.taps(image)
    assert taps.decoder.shape == (2, 16, 64, 96)
    assert taps.logits.shape == (2, 3, 64, 96)


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (45, 77)])
def test_any_size_is_padded_inside_and_cropped_back(size):
    net = UNet2d(1, 2, (4, 8, 16, 32))
    assert net(torch.randn(1, 1, *size)).shape == (1, 2, *size)


def test_padding_inside_equals_padding_before():
    torch.manual_seed(0)
    net = UNet2d(1, 2, (4, 8, 16, 32)).eval()
    image = torch.randn(1, 1, 45, 77)
    outside = net(pad_to_multiple(image, 8))[..., :45, :77]
    assert torch.equal(net(image), outside)


def test_decode_of_encode_is_forward():
    net = UNet2d(1, 2, (4, 8, 16)).eval()
    image = torch.randn(2, 1, 32, 32)
    assert torch.equal(net.decode(net.encode(image))[0], net(image))


def test_mismatched_dropout_is_refused():
    with pytest.raises(ValueError, match="dropout"):
        UNet2d(1, 2, (4, 8, 16), (0.1,))


def test_channel_dropout_spares_leading_samples_and_keeps_the_mean():
    drop = ChannelDropout(0.5, torch.Generator().manual_seed(0), untouched=1)
    out = drop(torch.ones(3, 1000, 2, 2))
    assert torch.equal(out[0], torch.ones(1000, 2, 2))
    assert set(out[1:].unique().tolist()) == {0.0, 2.0}
    assert out[1:].mean() == pytest.approx(1, abs=0.1)
    assert (out[1:].flatten(2).std(-1) == 0).all()


def test_channel_dropout_repeats_with_its_generator():
    x = torch.ones(2, 50, 1, 1)
    a, b = (ChannelDropout(0.5, torch.Generator().manual_seed(3))(x) for _ in range(2))
    assert torch.equal(a, b)


def test_whole_of_semsim_has_the_published_size_and_its_deployed_part_that_of_the_network():
    framework = create("semsim", 1, 4)
    trained = sum(p.numel() for p in framework.parameters())
    assert trained == 1_813_764 + 785_024  # 2.60 M
    assert sum(p.numel() for p in framework.network.parameters()) == 1_813_764
    assert sum(p.numel() for p in create("semsim", 3, 2).network.parameters()) == 1_813_762


def test_sizes_of_rivals_are_the_published_ones():
    def count(name):
        return sum(p.numel() for p in create(name, 1, 4).parameters() if p.requires_grad)

    assert count("cps") == 2 * 1_813_764  # 3.62 M
    assert count("mean_teacher") == count("fixmatch") == count("rdrop") == 1_813_764
