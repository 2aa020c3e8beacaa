"""Per-pixel descriptors of slices, without any learning.

A pixel is described by its neighbourhood in the slice: the 3 x 3 patches of the image blurred at
several Gaussian scales, decorrelated and shortened by a principal component analysis of the
volume itself. Patches keep the local texture and the direction of edges; the coarser scales keep
what lies around. The descriptor is scaled so that a squared distance between two pixels, averaged
over the patch entries, is in units of the variance of the volume's intensities: temperatures that
are set on it mean the same for every volume, modality and number of channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

_MAX_PCA_SAMPLES = 20_000


def gaussian_blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur every slice with a Gaussian, edges repeated.

    Parameters
    ----------
    image : (Z, C, H, W) float tensor
    sigma : float
        Standard deviation in pixels; 0 returns ``image`` itself.

    Returns
    -------
    (Z, C, H, W) tensor
    """
    if sigma <= 0:
        return image
    radius = min(math.ceil(3 * sigma), *(max(n - 1, 1) for n in image.shape[-2:]))
    positions = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-0.5 * (positions / sigma) ** 2)
    kernel = kernel / kernel.sum()
    depth, channels, height, width = image.shape
    flat = image.reshape(depth * channels, 1, height, width)
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), kernel[None, None, None])
    flat = F.conv2d(
        F.pad(flat, (0, 0, radius, radius), mode="replicate"), kernel[None, None, :, None]
    )
    return flat.reshape(depth, channels, height, width)


def standardise(image: torch.Tensor) -> torch.Tensor:
    """Scale each channel to zero mean and unit variance, robust to outliers.

    Intensities are clipped to the 0.5 and 99.5 percentiles of the volume first, so that metal,
    air or a hot spot does not take the whole range. A constant channel becomes 0.

    Parameters
    ----------
    image : (Z, C, H, W) tensor, any real dtype

    Returns
    -------
    (Z, C, H, W) float32 tensor
    """
    image = image.float()
    channels = image.shape[1]
    flat = image.permute(1, 0, 2, 3).reshape(channels, -1)
    step = max(1, flat.shape[1] // 200_000)
    low, high = torch.quantile(
        flat[:, ::step], torch.tensor([0.005, 0.995], device=image.device), dim=1
    )
    low, high = low.view(1, -1, 1, 1), high.view(1, -1, 1, 1)
    image = image.clamp(low, high)
    mean = image.mean(dim=(0, 2, 3), keepdim=True)
    spread = image.std(dim=(0, 2, 3), keepdim=True, unbiased=False)
    return torch.where(
        spread > 0, (image - mean) / spread.clamp_min(1e-12), torch.zeros_like(image)
    )


def slice_features(
    image: torch.Tensor, dimensions: int = 10, scales: Sequence[float] = (0.0, 1.0, 2.0)
) -> torch.Tensor:
    """Describe every pixel by multi-scale patches of its slice.

    Parameters
    ----------
    image : (Z, C, H, W) float tensor
        Standardised channels, see `standardise`.
    dimensions : int
        Principal components kept; fewer if the patches have fewer entries.
    scales : sequence of float
        Standard deviations of the blurs in pixels; a patch of scale s samples 3 x 3 points
        ``max(1, round(s))`` pixels apart.

    Returns
    -------
    (Z, D, H, W) float32 tensor
        The sum of squares of a difference approximates the mean squared difference of the patches.
    """
    depth, _, height, width = image.shape
    patches = []
    for scale in scales:
        blurred = gaussian_blur(image, scale)
        step = max(1, round(scale))
        padded = F.pad(blurred, (step, step, step, step), mode="replicate")
        patches += [
            padded[..., y : y + height, x : x + width]
            for y in (0, step, 2 * step)
            for x in (0, step, 2 * step)
        ]
    stride = max(1, math.isqrt(max(1, depth * height * width // _MAX_PCA_SAMPLES)))
    sample = torch.cat([p[..., ::stride, ::stride] for p in patches], 1)
    sample = sample.permute(1, 0, 2, 3).reshape(sample.shape[1], -1)
    entries = sample.shape[0]
    mean = sample.mean(1, keepdim=True)
    centred = sample - mean
    covariance = centred @ centred.T / max(1, centred.shape[1])
    _, vectors = torch.linalg.eigh(covariance.double())
    kept = min(dimensions, entries)
    projection = vectors[:, -kept:].T.float() / math.sqrt(entries)
    # A slice at a time: all patches of a large volume at once would not fit.
    features = torch.empty((depth, kept, height, width), device=image.device)
    for z in range(depth):
        stack = torch.cat([p[z] for p in patches]).reshape(entries, -1)
        features[z] = (projection @ (stack - mean)).reshape(kept, height, width)
    return features
