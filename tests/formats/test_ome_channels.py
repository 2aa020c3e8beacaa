"""Names and colours of channels that OME metadata state."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import tifffile

from napari_sslseg.app.readers import image_layers
from napari_sslseg.formats import read
from napari_sslseg.formats.choice import SeveralVolumesError
from napari_sslseg.formats.ome_channels import described_channels, from_omero

STACK = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)  # Z, C, Y, X


def write(path, array, axes, **channels):
    tifffile.imwrite(path, array, ome=True, metadata={"axes": axes, "Channel": channels})
    return read(path)


def test_channels_of_an_ome_tiff_have_its_names_and_colours(tmp_path):
    red, green = -16776961, 16711935  # as OME has them: red, green, blue, opacity
    volume = write(
        tmp_path / "a.ome.tif",
        STACK,
        "ZCYX",
        Name=["DAPI", "GFP\n", ""],
        Color=[red, green, ""],
    )
    assert volume.channel_names == ("DAPI", "GFP", "2")
    assert volume.channel_colors == ("#ff0000", "#00ff00", "")
    layers = [described for _, described, _ in image_layers(volume)]
    assert [one["name"] for one in layers] == ["a [DAPI]", "a [GFP]", "a [2]"]
    assert [one["colormap"] for one in layers] == ["#ff0000", "#00ff00", "magenta"]
    assert np.array_equal(volume.array, np.moveaxis(STACK, 1, -1))


def test_what_ome_does_not_say_is_left_to_the_rules(tmp_path):
    bare = write(tmp_path / "a.ome.tif", STACK.astype(np.uint8), "ZCYX")
    assert (bare.channel_names, bare.channel_colors) == ((), ())
    assert image_layers(bare)[0][1]["rgb"], "three without names are colours, as ever"
    one = write(tmp_path / "b.ome.tif", STACK[:, 0], "ZYX", Name=["DAPI"])
    assert one.channel_names == ()
    rgb = np.moveaxis(STACK, 1, -1).astype(np.uint8)
    tifffile.imwrite(tmp_path / "c.ome.tif", rgb, ome=True, metadata={"axes": "ZYXS"})
    assert read(tmp_path / "c.ome.tif").channel_names == ()


def test_colours_of_ome_zarr_are_read_and_a_default_for_all_is_none():
    named = [{"label": "DAPI", "color": "0000FF"}, {"color": "#ff00zz"}]
    found = described_channels(from_omero(named), (2,))
    assert found == {"channel_names": ("DAPI", "1"), "channel_colors": ("#0000ff", "")}
    white = described_channels(from_omero([{"label": n, "color": "FFFFFF"} for n in "ab"]), (2,))
    assert white == {"channel_names": ("a", "b"), "channel_colors": ()}
    assert described_channels(from_omero(named), (3,)) == {}
    assert described_channels(from_omero([{}, {}]), (2,)) == {}


@pytest.mark.parametrize(("axes", "names"), [("TYX", ("t", "y", "x")), ("ZYX", ("z", "y", "x"))])
def test_planes_one_after_another_in_time_say_so(tmp_path, axes, names):
    volume = write(tmp_path / "a.ome.tif", STACK[:, 0], axes)
    assert volume.axis_names == (names if axes == "TYX" else ())
    assert image_layers(volume)[0][1]["axis_labels"] == names


def test_nifti_that_is_a_time_series_without_a_doubt_has_time_points(tmp_path):
    image = nib.Nifti1Image(np.zeros((4, 5, 6, 3), np.uint8), np.eye(4))
    nib.save(image, tmp_path / "a.nii")
    assert read(tmp_path / "a.nii").channels == 3
    image.header.set_intent("time series", ())
    nib.save(image, tmp_path / "b.nii")
    with pytest.raises(SeveralVolumesError) as caught:
        read(tmp_path / "b.nii")
    assert [choice.title for choice in caught.value.choices][:1] == ["time point 1 of 3"]
    assert read(tmp_path / "b.nii", "2").part == "2"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        *(("Brightfield", {}), ("Bright_field", {}), ("BF", {}), ("Phase contrast", {})),
        *(("T-PMT", {}), ("a", {"ContrastMethod": "DIC"})),
        ("a", {"IlluminationType": "Transmitted"}),
    ],
)
def test_light_that_came_through_is_grey_between_coloured_dyes(tmp_path, name, told):
    more = {key: [value, None] for key, value in told.items()}
    volume = write(tmp_path / "a.ome.tif", STACK[:, :2], "ZCYX", Name=[name, "DAPI"], **more)
    assert volume.channel_colors == ("#ffffff", "")
    layers = [described for _, described, _ in image_layers(volume)]
    assert [(one["colormap"], one.get("opacity", 1)) for one in layers] == [
        ("#ffffff", 0.5),
        ("magenta", 1),
    ]


def test_dyes_beside_light_that_came_through_have_the_colours_of_dyes_alone(tmp_path):
    volume = write(tmp_path / "a.ome.tif", STACK, "ZCYX", Name=["DAPI", "BF", "GFP"])
    assert [one["colormap"] for _, one, _ in image_layers(volume)] == [
        "magenta",
        "#ffffff",
        "green",
    ]


def test_only_what_comes_through_and_has_no_colour_is_made_grey(tmp_path):
    names = ["Brightfield", "ABF1", "Transferrin"]
    methods = ["Fluorescence", None, None]
    volume = write(tmp_path / "a.ome.tif", STACK, "ZCYX", Name=names, ContrastMethod=methods)
    assert volume.channel_colors == ()
    red = [{"label": "BF", "color": "FF0000"}, {"label": "DAPI", "color": "0000FF"}]
    found = described_channels(from_omero(red), (2,))
    assert found["channel_colors"] == ("#ff0000", "#0000ff")
    # All white is a default: then what is a dye gets a colour, and what came through does not.
    white = [{"label": n, "color": "FFFFFF"} for n in ("BF", "DAPI")]
    assert described_channels(from_omero(white), (2,))["channel_colors"] == ("#ffffff", "")
