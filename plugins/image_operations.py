"""Operations on batches of images, each image with parameters of its own.

Images are ``[N, C, H, W]`` with values of 0..255, and keep their type. Parameters are ``[N]``. The operations on
colors do what those of ``torchvision.transforms`` do to single images; the factor 1 leaves an image as it is.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.nn import functional

BRIGHTEST = 255
GRAY = (0.2989, 0.587, 0.114)
"""How bright red, green and blue are to the eye (ITU-R BT.601), as in torchvision."""

SHARPNESS_KERNEL = ((1.0, 1.0, 1.0), (1.0, 5.0, 1.0), (1.0, 1.0, 1.0))
"""Pillow's filter SMOOTH, before it is divided by its sum."""


@functools.cache
def constant(values: tuple[float, ...] | tuple[tuple[float, ...], ...], device: torch.device) -> Tensor:
    """Return numbers on a device, copied there once: each copy would wait for all that the device has to do."""
    return torch.tensor(values, device=device)


def per_image(values: Tensor) -> Tensor:
    """Return ``[N]`` as ``[N, 1, 1, 1]``."""
    return values[:, None, None, None]


def as_type(pixels: Tensor, dtype: torch.dtype, *, rounds: bool = True) -> Tensor:
    """Return pixels in a type, within 0..255; whole numbers are rounded, or else cut off as torchvision does."""
    pixels = pixels.clamp(0, BRIGHTEST)
    return (pixels.round() if rounds and dtype == torch.uint8 else pixels).to(dtype)


def mirrored(images: Tensor, chosen: Tensor) -> Tensor:
    """Return the batch with the chosen images (bool ``[N]``) mirrored left to right."""
    return torch.where(per_image(chosen), images.flip(-1), images)


def blend(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    """Return ``factor x image + (1 - factor) x other``."""
    factors = per_image(factors)
    return as_type(factors * images + (1 - factors) * others, images.dtype, rounds=False)


def gray(images: Tensor) -> Tensor:
    """Return images in gray, ``[N, 1, H, W]``; those without three channels are returned as they are."""
    if images.shape[1] != len(GRAY):
        return images
    weights = constant(GRAY, images.device)[:, None, None]
    return as_type((images * weights).sum(dim=1, keepdim=True), images.dtype, rounds=False)


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Return brighter or darker images."""
    return blend(images, torch.zeros_like(images), factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Return RGB images with stronger or weaker colors; others as they are."""
    if images.shape[1] != len(GRAY):
        return images
    return blend(images, gray(images), factors)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Return images that are farther from their mean gray, or closer to it."""
    return blend(images, gray(images).float().mean(dim=(1, 2, 3), keepdim=True), factors)


def sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Return sharper or smoother images; the outermost pixels stay as they are, and so do images of no others."""
    if min(images.shape[-2:]) < len(SHARPNESS_KERNEL):
        return images
    kernel = constant(SHARPNESS_KERNEL, images.device)
    channels = images.shape[1]
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1, -1)
    smooth = images.clone()
    inside = functional.conv2d(images.float(), kernel, groups=channels)
    smooth[..., 1:-1, 1:-1] = as_type(inside, images.dtype)
    return blend(images, smooth, factors)


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Return images with all values from the threshold on inverted."""
    return torch.where(images >= per_image(thresholds), BRIGHTEST - images, images)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Return uint8 images with so many bits left of each value."""
    steps = per_image(2 ** (8 - bits.int()))
    return (images.int() // steps * steps).to(torch.uint8)


def autocontrast(images: Tensor) -> Tensor:
    """Return images with each channel stretched to 0..255."""
    low, high = (function(dim=(-2, -1), keepdim=True).float() for function in (images.amin, images.amax))
    is_flat = low == high
    scale = torch.where(is_flat, 1.0, BRIGHTEST / (high - low))
    return as_type((images - torch.where(is_flat, 0.0, low)) * scale, images.dtype, rounds=False)


def equalize(images: Tensor) -> Tensor:
    """Return uint8 images with the histogram of each channel made even."""
    shape, num_values = images.shape, BRIGHTEST + 1
    values = images.flatten(2).flatten(0, 1).long()
    counts = torch.zeros(len(values), num_values, dtype=torch.int64, device=images.device)
    counts.scatter_add_(1, values, torch.ones_like(values))
    of_brightest = counts.gather(1, values.amax(dim=1, keepdim=True))
    steps = (counts.sum(dim=1, keepdim=True) - of_brightest) // BRIGHTEST
    table = (counts.cumsum(dim=1) + steps // 2) // steps.clamp(min=1)
    table = functional.pad(table, (1, -1)).clamp(0, BRIGHTEST)
    return torch.where(steps == 0, values, table.gather(1, values)).to(torch.uint8).view(shape)


def hue(images: Tensor, shifts: Tensor) -> Tensor:
    """Return RGB images with hues turned by fractions of a circle; others as they are."""
    if images.shape[1] != len(GRAY):
        return images
    red, green, blue = (images.float() / BRIGHTEST).unbind(dim=1)
    high, low = (function(red, function(green, blue)) for function in (torch.maximum, torch.minimum))
    spread = high - low
    divisor = torch.where(spread == 0, 1.0, spread)
    sextant = torch.where(
        high == red,
        (green - blue) / divisor,
        torch.where(high == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    sextant = sextant + 6 * shifts[:, None, None]
    # A color from hue, saturation and value: https://en.wikipedia.org/wiki/HSL_and_HSV#HSV_to_RGB_alternative
    channels = []
    for number in (5, 3, 1):
        distance = (number + sextant) % 6
        channels.append(high - spread * torch.minimum(distance, 4 - distance).clamp(0, 1))
    return as_type(torch.stack(channels, dim=1) * BRIGHTEST, images.dtype)


def affine(images: Tensor, matrices: Tensor) -> Tensor:
    """Return images whose pixel at x, y is the nearest one to ``matrix @ (x, y, 1)``; black from outside.

    Matrices are ``[N, 2, 3]``; x and y are in pixels and 0 in the middle of an image.
    """
    height, width = images.shape[-2:]
    scales = constant(((1.0, height / width, 2 / width), (width / height, 1.0, 2 / height)), images.device)
    grid = functional.affine_grid(matrices * scales, list(images.shape), align_corners=False)
    sampled = functional.grid_sample(images.float(), grid, mode="nearest", align_corners=False)
    return sampled.to(images.dtype)


def resized_boxes(images: Tensor, top: Tensor, left: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Return a box of each image, in pixels, enlarged to the size of the image by linear interpolation."""
    rows = _coordinates(top, height, images.shape[-2])
    columns = _coordinates(left, width, images.shape[-1])
    num_rows, num_columns = rows.shape[1], columns.shape[1]
    grid = torch.stack(
        (columns[:, None, :].expand(-1, num_rows, -1), rows[:, :, None].expand(-1, -1, num_columns)), dim=-1
    )
    # Coordinates are of centers of pixels: only rounding reaches outside. MPS has no "border" before torch 2.13.
    padding = "zeros" if images.device.type == "mps" else "border"
    sampled = functional.grid_sample(images.float(), grid, padding_mode=padding, align_corners=False)
    return as_type(sampled, images.dtype)


def _coordinates(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Return ``[N, size]`` coordinates of -1..1 of the images, evenly over each box and never outside of it."""
    centers = (torch.arange(size, device=start.device) + 0.5) / size
    pixels = start[:, None] + centers * length[:, None] - 0.5
    pixels = torch.minimum(torch.maximum(pixels, start[:, None]), (start + length - 1)[:, None])
    return (2 * pixels + 1) / size - 1
