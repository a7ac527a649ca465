"""What the noise was taken for: its spectra, and when each of them sounds."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from minvae_pyro.errors import UserError
from minvae_pyro.models import BayesianNMFNoise, FrozenNoise, NMFNoise, NoiseModel, PauseBoundedNoise, StationaryNoise
from minvae_pyro.plots.spectrograms import frame_edges
from minvae_pyro.plots.style import line_style

_FLOOR = 1e-12
_DYNAMIC_RANGE = 40.0  # dB below the loudest that are told apart
_MOST = 8  # as many looks as there are of lines


def noise_figure(
    noise: NoiseModel | Tensor,
    activations: Tensor | None = None,
    *,
    frame_times: Tensor | None = None,
    sample_rate: int = 16000,
    recording: int = 0,
    title: str | None = None,
) -> Figure:
    """Draw the parts of a noise, the strongest first: spectra W on the left, activations H on the right.

    Each spectrum has mean one, so that its activation is the mean power of the part in each frame. Of more than eight
    parts the strongest eight are drawn.

    Args:
        noise: A fitted noise model, or spectra (F, K) >= 0.
        activations: (K, N) >= 0, with spectra.
        frame_times: (N,) centres of the frames in seconds; frame numbers are shown when omitted.
        sample_rate: Hz.
        recording: Which of the model's batch.
        title: Above all.

    Raises:
        UserError: A noise model that has no spectra (yet), spectra without activations, or of another rank.
    """
    spectra, activations = _factors(noise, activations, recording)
    if activations.shape[-1] == 1 and frame_times is not None:  # the same in all of them
        activations = activations.expand(-1, len(frame_times))
    if spectra.dim() != 2 or activations.dim() != 2 or spectra.shape[1] != activations.shape[0]:
        shapes = f"{tuple(spectra.shape)} and {tuple(activations.shape)}"
        raise UserError(f"cannot draw spectra and activations of shape {shapes}: give (F, K) and (K, N)")
    spectra, activations = (part.detach().cpu().double() for part in (spectra, activations))
    scale = spectra.mean(0).clamp_min(_FLOOR)
    spectra, activations = spectra / scale, activations * scale[:, None]
    strength = activations.mean(1)
    order = strength.argsort(descending=True)[:_MOST].tolist()

    figure = Figure(figsize=(10, max(2.4, 0.5 + 0.95 * len(order))), layout="constrained")
    figure.suptitle(title or "")
    grid = figure.subplots(len(order), 2, squeeze=False, sharex="col", sharey="col", width_ratios=[1, 2])
    kilohertz = torch.linspace(0, sample_rate / 2000, spectra.shape[0]).numpy()
    begin, end = frame_edges(activations.shape[1], frame_times)
    times = torch.linspace(begin, end, activations.shape[1] + 1).numpy()
    loudest = float(_decibels(activations[order]).max())
    quietest = loudest - _DYNAMIC_RANGE
    for place, (part, (left, right)) in enumerate(zip(order, grid, strict=True)):
        colour = line_style(place)["color"]
        left.plot(kilohertz, _decibels(spectra[:, part]).numpy(), color=colour, linewidth=1)
        level = _decibels(activations[part]).clamp_min(quietest)
        right.stairs(level.numpy(), times, baseline=quietest, fill=True, color=colour)
        share = float(strength[part] / strength.sum().clamp_min(_FLOOR))
        left.set_title(f"part {place + 1}: spectrum (dB)", fontsize="small", loc="left")
        right.set_title(f"its activation (dB), {share:.0%} of the power", fontsize="small", loc="left")
        for axes in (left, right):
            axes.grid(alpha=0.3)
            axes.set_axisbelow(True)
    grid[0][0].set_ylim(bottom=max(-_DYNAMIC_RANGE, grid[0][0].get_ylim()[0]))
    grid[0][1].set(xlim=(begin, end), ylim=(quietest, loudest + 3))
    grid[-1][0].set_xlabel("frequency (kHz)")
    grid[-1][1].set_xlabel("frame" if frame_times is None else "time (s)")
    return figure


def _factors(noise: NoiseModel | Tensor, activations: Tensor | None, recording: int) -> tuple[Tensor, Tensor]:
    """Spectra (F, K) and activations (K, N) of one recording."""
    if isinstance(noise, Tensor):
        if activations is None:
            raise UserError("spectra need their activations (K, N) to be drawn")
        return noise, activations
    if isinstance(noise, FrozenNoise):
        return _factors(noise.noise, activations, recording)
    name = type(noise).__name__
    if not noise.started:
        raise UserError(f"{name} has not been fitted to a recording yet: there is nothing to draw")
    if isinstance(noise, BayesianNMFNoise):
        return noise.level[recording, :, None] * noise.spectra[recording], noise.activations[recording]
    if isinstance(noise, PauseBoundedNoise):
        moving = noise.activations[recording]
        steady = torch.ones_like(moving[:1])
        spectra = torch.cat([noise.steady[recording, :, None], noise.spectra[recording]], 1)
        return spectra, torch.cat([steady, moving])
    if isinstance(noise, NMFNoise):
        return noise.spectra[recording], noise.activations[recording]
    if isinstance(noise, StationaryNoise):
        spectrum = noise.spectrum[recording, :, None]
        return spectrum, spectrum.new_ones(1, 1)
    raise UserError(f"cannot draw {name}: give its spectra (F, K) and activations (K, N)")


def _decibels(power: Tensor) -> Tensor:
    return 10 * power.clamp_min(_FLOOR).log10()
