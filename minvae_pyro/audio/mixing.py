"""Add noise to clean sound at a given signal-to-noise ratio."""

import torch
from torch import Tensor


def mix_at_snr(clean: Tensor, noise: Tensor, snr_db: float | Tensor, offset: int = 0) -> tuple[Tensor, Tensor]:
    """Mix so that ``10 log10(sum clean^2 / sum noise^2)`` over the whole clip is ``snr_db``.

    Args:
        clean: (..., samples).
        noise: (..., noise samples), read from ``offset`` on and from its start again when it ends.
        snr_db: ratio in decibels, a number or (...).
        offset: first sample of the noise.

    Returns:
        The mixture and the clean sound, (..., samples) each, both divided by the mixture's peak where that passes 1.
        Their difference is the noise.

    Raises:
        ValueError: clean sound or noise is silent, so that no scale gives the ratio; or one is empty.

    Example:
        >>> clean, noise = torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([3.0])
        >>> mixture, speech = mix_at_snr(clean, noise, snr_db=20.0)
        >>> (mixture - speech).square().sum() / speech.square().sum()
        tensor(0.0100)
        >>> mixture.abs().max()
        tensor(1.)
    """
    if clean.shape[-1] == 0 or noise.shape[-1] == 0:
        raise ValueError("clean sound and noise need at least one sample each")
    index = (torch.arange(clean.shape[-1], device=noise.device) + offset) % noise.shape[-1]
    noise = noise[..., index]
    # Energies in double precision: a float32 sum over a long clip loses digits.
    clean_energy = clean.double().square().sum(-1, keepdim=True)
    noise_energy = noise.double().square().sum(-1, keepdim=True)
    if not (clean_energy > 0).all() or not (noise_energy > 0).all():
        raise ValueError("silence has no signal-to-noise ratio: clean sound or noise is all zeros")
    ratio = torch.as_tensor(snr_db, dtype=torch.float64, device=clean.device)
    scale = (clean_energy / noise_energy).sqrt() * 10 ** (-ratio[..., None] / 20)
    mixture = clean + (scale * noise).to(clean.dtype)
    peak = mixture.abs().amax(-1, keepdim=True).clamp(min=1)
    return mixture / peak, clean / peak
