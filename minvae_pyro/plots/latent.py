"""What the coordinates of the latent z do to the spectrum of speech."""

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
from minvae_pyro.models import Latent, SpeechPrior
from minvae_pyro.utterances import Utterances

_FREQUENCIES = 513
_STRONGEST = 6  # coordinates that are drawn when none is named


def latent_figure(
    prior: SpeechPrior,
    dimensions: Sequence[int] | None = None,
    *,
    reach: float = 3.0,
    steps: int = 7,
    z: Tensor | None = None,
    utterances: Utterances | None = None,
    sample_rate: int = 16000,
    title: str | None = None,
) -> Figure:
    """Draw traversals of the latent space as spectra: one panel a coordinate, all others held where they are.

    Args:
        prior: Any speech prior; where its variance depends on alpha, the sound is trusted (alpha = 1).
        dimensions: Coordinates of z; by default the six that change the spectrum most.
        reach: How far from the point to go, up and down; standard deviations of a standard normal z.
        steps: Spectra in a panel.
        z: (L,) the point to pass through; the origin when omitted.
        utterances: One frame, with the mouth that a prior may depend on; silent and without one when omitted.
        sample_rate: Hz.
        title: Above all.

    Raises:
        UserError: A coordinate that z does not have.
    """
    if utterances is None:
        utterances = Utterances.from_spectrum(torch.zeros(1, 1, _FREQUENCIES))
    prior = copy.deepcopy(prior).eval().condition_on(utterances)
    with torch.no_grad(), poutine.block():
        drawn = prior.latent(utterances, utterances.plates())
    point = Latent(
        drawn.z.new_zeros(prior.latent_dim) if z is None else z.detach(),
        None if drawn.alpha is None else torch.ones_like(drawn.alpha),
    )
    wrong = [d for d in dimensions or () if not 0 <= d < len(point.z)]
    if wrong:
        raise UserError(f"there is no coordinate {wrong[0]} in a z of {len(point.z)}: they count from 0")
    places = torch.linspace(-reach, reach, steps).to(point.z)
    if dimensions is None:
        ends = torch.tensor([-reach, reach]).to(point.z)
        ways = [traverse(prior, point, d, ends, utterances) for d in range(len(point.z))]
        change = torch.stack([way.diff(dim=0).square().mean() for way in ways])
        dimensions = change.argsort(descending=True)[:_STRONGEST].tolist()
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
def traverse(prior: SpeechPrior, point: Latent, dimension: int, places: Tensor, utterances: Utterances) -> Tensor:
    """Variance of speech in dB, (P, F), at places (P,) from a point, z (L,) and alpha, along one coordinate of z."""
    z = point.z.expand(len(places), 1, 1, -1).clone()
    z[..., dimension] += places[:, None, None]
    variance = prior.speech_variance(Latent(z, point.alpha), utterances)
    return 10 * variance[:, 0, 0].clamp_min(1e-12).log10().cpu()
