"""What the coordinates of a latent code do to the spectrum of speech."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from pyro import poutine
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.models import SpeechPrior
from minvae_pyro.utterances import Utterances

_FREQUENCIES = 513


def latent_figure(
    prior: SpeechPrior,
    dimensions: Sequence[int] | None = None,
    *,
    reach: float = 3.0,
    steps: int = 7,
    code: Tensor | None = None,
    utterances: Utterances | None = None,
    sample_rate: int = 16000,
    title: str | None = None,
) -> Figure:
    """Draw traversals of the latent space as spectra: one panel a coordinate, all others held where they are.

    Args:
        prior: Any speech prior.
        dimensions: Coordinates of its code; by default the six that change the spectrum most.
        reach: How far from the point to go, up and down; standard deviations of a standard normal code.
        steps: Spectra in a panel.
        code: (C,) the point to pass through; the origin when omitted, with alpha = 1 (sound) where the code has it.
        utterances: One frame, with the mouth that a prior may look at; silent and unseen when omitted.
        sample_rate: Hz.
        title: Above all.

    Returns:
        The figure, to be saved by `save_figure`.

    Raises:
        UserError: A coordinate that the code does not have.
    """
    prior = copy.deepcopy(prior).eval()
    if utterances is None:
        utterances = Utterances.from_spectrum(torch.zeros(1, 1, _FREQUENCIES))
    point = _origin(prior, utterances) if code is None else code.detach()
    wrong = [d for d in dimensions or () if not 0 <= d < len(point)]
    if wrong:
        raise UserError(f"there is no coordinate {wrong[0]} in a code of {len(point)}: they count from 0")
    if dimensions is None:
        dimensions = _strongest(prior, point, utterances, reach)
    places = torch.linspace(-reach, reach, steps).to(point)
    across = min(3, len(dimensions))
    down = -(-len(dimensions) // across)
    figure = Figure(figsize=(0.8 + 3.2 * across, 0.6 + 2.3 * down), layout="constrained")
    figure.suptitle(title or "")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    # the brightest yellow would be lost on white
    colours = ListedColormap(colormaps["viridis"](np.linspace(0, 0.92, 256)))
    scale = Normalize(-reach, reach)
    for axes, dimension in zip(grid.flat, dimensions, strict=False):
        spectra = traverse(prior, point, dimension, places, utterances)
        kilohertz = torch.linspace(0, sample_rate / 2000, spectra.shape[-1]).numpy()
        for place, spectrum in zip(places.tolist(), spectra, strict=True):
            axes.plot(kilohertz, spectrum.numpy(), color=colours(scale(place)), linewidth=1)
        axes.set_title(f"coordinate {dimension}", fontsize="medium")
        axes.grid(alpha=0.3)
    for axes in list(grid.flat)[len(dimensions) :]:
        axes.set_axis_off()
    figure.supxlabel("frequency (kHz)", fontsize="medium")
    figure.supylabel("variance of speech (dB)", fontsize="medium")
    figure.colorbar(ScalarMappable(scale, colours), ax=grid, label="moved by", shrink=0.9)
    return figure


@torch.no_grad()
def traverse(prior: SpeechPrior, code: Tensor, dimension: int, places: Tensor, utterances: Utterances) -> Tensor:
    """Spectra in dB along one coordinate.

    Args:
        prior: Any speech prior.
        code: (C,) the point to pass through.
        dimension: The coordinate that moves.
        places: (P,) how far from the point.
        utterances: One frame.

    Returns:
        (P, F) variance of speech.
    """
    codes = code.expand(len(places), 1, 1, -1).clone()
    codes[..., dimension] += places[:, None, None]
    variance = prior.condition_on(utterances).speech_variance(codes, utterances)
    return 10 * variance[:, 0, 0].clamp_min(1e-12).log10().cpu()


def _origin(prior: SpeechPrior, utterances: Utterances) -> Tensor:
    """The code zero, with ones in what follows z in it: alpha = 1."""
    with torch.no_grad(), poutine.block():
        code = prior.latent(utterances, utterances.plates())
    point = torch.zeros_like(code[..., 0, 0, :].reshape(-1, code.shape[-1])[0])
    point[prior.latent_dim :] = 1
    return point


def _strongest(
    prior: SpeechPrior, point: Tensor, utterances: Utterances, reach: float, count: int = 6
) -> Sequence[int]:
    """The coordinates of z that change the spectrum most, in dB, between both ends of the way."""
    ends = torch.tensor([-reach, reach]).to(point)
    change = [
        traverse(prior, point, dimension, ends, utterances).diff(dim=0).square().mean()
        for dimension in range(min(prior.latent_dim, len(point)))
    ]
    return torch.stack(change).argsort(descending=True)[:count].tolist()
