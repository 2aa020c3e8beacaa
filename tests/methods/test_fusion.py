"""The spatial-aware fusion module."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.fusion import (
    SimpleFusion,
    SpatialFusion,
    from_windows,
    to_windows,
    window_grid,
)


def _stages(side, channels=(8, 16, 32), batch=1):
    return [
        torch.randn(batch, c, side * f, side * f) for c, f in zip(channels, (4, 2, 1), strict=True)
    ]


def test_default_module_has_the_documented_number_of_parameters():
    assert sum(p.numel() for p in SpatialFusion().parameters()) == 785_024


def test_heads_share_any_width_unless_their_number_is_asked_for():
    assert [SpatialFusion(width=n).attention.num_heads for n in (16, 48, 100, 128)] == [1, 1, 2, 4]
    with pytest.raises(ValueError, match="3 heads cannot share the 100 channels"):
        SpatialFusion(width=100, heads=3)


def test_result_of_a_224_pixel_image_is_56_wide():
    with torch.no_grad():
        assert SpatialFusion()(_stages(28, (32, 64, 128))).shape == (1, 128, 56, 56)


@pytest.mark.parametrize("s", [1, 2, 4, 7, 14])
def test_folding_inverts_unfolding(s):
    maps = torch.randn(2, 3, 28, 56)
    windows = to_windows(maps, s, s)
    assert windows.shape == (2 * s * s, (28 // s) * (56 // s), 3)
    assert torch.equal(from_windows(windows, s, s, (28, 56)), maps)


def test_windows_of_all_scales_cover_the_same_area():
    position = torch.arange(8.0).repeat_interleave(2)  # 16 rows, in units of the coarse map
    fine = position.view(1, 1, 16, 1).expand(1, 1, 16, 16)
    coarse = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 1, 8, 8)
    for a, b in zip(to_windows(fine, 4, 2), to_windows(coarse, 4, 2), strict=True):
        assert a.unique().tolist() == b.unique().tolist()


@pytest.mark.parametrize(
    ("length", "expected"),
    [(28, (7, 28)), (16, (4, 16)), (12, (6, 12)), (20, (5, 20)), (24, (6, 24)), (1, (1, 1)),
     (11, (6, 12)), (22, (6, 24)), (23, (6, 24)), (64, (16, 64)), (45, (12, 48))],
)  # fmt: skip
def test_window_grid(length, expected):
    windows, padded = window_grid(length)
    assert (windows, padded) == expected
    assert padded % windows == 0
    assert padded // windows <= 4


def test_a_pixel_alters_only_its_own_window():
    torch.manual_seed(0)
    fusion = SpatialFusion((8, 16, 32), width=32)
    maps = [torch.randn(1, 32, 12 * f, 12 * f) for f in (4, 2, 1)]
    with torch.no_grad():
        before = fusion.interact(maps)
        maps[0][0, :, 9, 17] = 3 * torch.randn(
            32
        )  # window (1, 2) of 6 x 6: 8 fine, 4 middle, 2 coarse cells a side
        after = fusion.interact(maps)
    for scale, cells in enumerate((8, 4, 2)):
        changed = (before[scale] != after[scale]).any(1)[0]
        own = torch.zeros_like(changed)
        own[cells : 2 * cells, 2 * cells : 3 * cells] = True
        assert changed[own].all()
        assert not changed[~own].any()


@pytest.mark.parametrize("side", [(12, 12), (16, 20), (11, 13), (2, 3)])
def test_any_size_of_crop_is_fused_at_the_middle_scale(side):
    stages = [torch.randn(2, c, side[0] * f, side[1] * f) for c, f in ((8, 4), (16, 2), (32, 1))]
    for module in (SpatialFusion((8, 16, 32), 32), SimpleFusion((8, 16, 32), 32)):
        out = module(stages)
        assert out.shape == (2, 32, 2 * side[0], 2 * side[1])
        assert (out >= 0).all()


def test_every_parameter_learns():
    fusion = SpatialFusion((8, 16, 32), 32)
    fusion(_stages(4, batch=2)).square().mean().backward()
    # A bias before batch normalisation has no effect, so its gradient is zero by construction.
    dead = {"merge.0.bias", "merge.3.bias"}
    for name, parameter in fusion.named_parameters():
        assert parameter.grad is not None, name
        if name not in dead and not name.startswith("attention.in_proj_bias"):
            assert parameter.grad.abs().sum() > 0, name


def test_scales_keep_what_they_say_themselves():
    fusion = SpatialFusion((4, 4, 4), width=32).eval()
    for p in (*fusion.attention.parameters(), *fusion.mlp.parameters()):
        torch.nn.init.zeros_(p)
    maps = [torch.rand(1, 32, 8 * f, 8 * f) for f in (4, 2, 1)]
    for found, own in zip(fusion.interact(maps), maps, strict=True):
        torch.testing.assert_close(found, own)


def test_maps_that_are_enlarged_stay_in_their_place():
    fusion = SpatialFusion((4, 4, 4), width=32).eval()
    for p in (*fusion.attention.parameters(), *fusion.mlp.parameters()):
        torch.nn.init.zeros_(p)
    maps = [torch.rand(1, 32, 29 * f, 11 * f) for f in (4, 2, 1)]  # 32 by 12 cells in windows
    for found, own in zip(fusion.interact(maps), maps, strict=True):
        torch.testing.assert_close(found, own)
