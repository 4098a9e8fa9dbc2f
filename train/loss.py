"""The parts of the training loss, each a pure function.

Shapes: B batch, C latent channels, h and w the latent grid, D the number of size ratios.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from train.processes import count_per_process


def diffusion_loss(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Scalar: mean over the batch of `weight` (B,) times the mean squared error of (B, C, h, w)."""
    return (weight * (prediction - target).square().mean(dim=(1, 2, 3))).mean()


def picture_loss(drawn: Tensor, picture: Tensor) -> Tensor:
    """Scalar: mean absolute error of (B, 3, H, W) pictures, and of their steps from pixel to pixel.

    The steps count what blur takes away: prints, seams and outlines.

    Source:
        Mathieu et al. 2016 (beyond mean square error), eq. 6 with exponent 1, means for sums.
    """
    steps = [F.l1_loss(drawn.diff(dim=axis), picture.diff(dim=axis)) for axis in (2, 3)]
    return F.l1_loss(drawn, picture) + steps[0] + steps[1]


def layout_loss(
    logits: Tensor, layout: Tensor, weight: Tensor | None = None, total: Tensor | None = None
) -> Tensor:
    """Scalar: cross-entropy plus Dice of (B, 1, h, w) `logits` against `layout` in [0, 1].

    `layout` is the share of each cell that the worn garment covers. `weight` (B,) says how much each sample
    counts, all alike when None; if nothing counts the loss is zero. `total` is the sum of the weights, where
    this is but a piece of a batch.

    Source:
        Dice for soft masks: Milletari et al. 2016 (V-Net), eq. 1-2, one minus the coefficient.
    """
    probability = logits.sigmoid()
    overlap = 2 * (probability * layout).sum(dim=(1, 2, 3)) + 1
    area = (probability.square() + layout.square()).sum(dim=(1, 2, 3)) + 1
    entropy = F.binary_cross_entropy_with_logits(logits, layout, reduction="none").mean(dim=(1, 2, 3))
    loss = entropy + 1 - overlap / area
    if weight is None:
        return loss.mean()
    return (weight * loss).sum() / (weight.sum().clamp(min=1) if total is None else total)


def size_loss(read: Tensor, ratios: Tensor, weight: Tensor, total: Tensor | None = None) -> Tensor:
    """Scalar: Huber distance of (B, D) ratios read from a picture to those it should show.

    Null ratios (NaN) do not count. `weight` (B,) says how much each sample counts; if nothing counts the
    loss is zero. The mean is over the batch of all processes; `total` is the number of ratios that count,
    where that batch is split further.
    """
    known = ~ratios.isnan()
    error = F.smooth_l1_loss(read, torch.where(known, ratios, read.detach()), beta=0.1, reduction="none")
    counted = known * weight[:, None]
    return (error * counted).sum() / (count_per_process(counted.sum()) if total is None else total)


def contrastive_loss(left: Tensor, right: Tensor, logit_scale: Tensor) -> Tensor:
    """Scalar: symmetric cross-entropy between (B, E) unit vectors that belong together row by row.

    Source:
        Radford et al. 2021 (CLIP), figure 3.
    """
    logits = logit_scale.exp() * left @ right.T
    rows = torch.arange(len(left), device=left.device)
    return (F.cross_entropy(logits, rows) + F.cross_entropy(logits.T, rows)) / 2
