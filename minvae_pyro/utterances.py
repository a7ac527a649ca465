"""The one batch type that models, guides, training and inference read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import pyro
import torch
from pyro import poutine
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

MOUTH_SIZE = 67
"""Side of a mouth crop in pixels, as in NTCD-TIMIT."""


@dataclass(frozen=True)
class Plates:
    """The plates that one run of a model or guide lives in.

    Attributes:
        utterances: dim -2.
        frames: dim -1. A prior with dynamics opens only ``utterances`` around its latent chain.
        mask: (B, N) bool, False in padding.
    """

    utterances: Any
    frames: Any
    mask: Tensor

    @contextmanager
    def every_frame(self) -> Iterator[None]:
        """Both plates and the padding mask: sites inside are independent over utterances and frames."""
        with self.utterances, self.frames, poutine.mask(mask=self.mask):
            yield


@dataclass
class Utterances:
    """A batch of B utterances, padded to N frames of F frequency bins.

    Attributes:
        spectrum: (B, N, F) what the likelihood scores: power (real) or STFT coefficients (complex).
        noisy_power: (B, N, F) input of the audio encoder: power of ``spectrum``, plus noise injected in training.
        mouth: (B, N, 67, 67) grey crops in [0, 1], zeros without a mouth.
        mouth_seen: (B, N) bool, False where no mouth was found.
        mask: (B, N) bool, False in padding.
        index: (B,) row of each utterance in its corpus; the responsibility table is addressed by it.
        observed: (B, N, F) bool, cells that say something (:mod:`minvae_pyro.audio.observed`): what a codec, a lower
            sample rate or a gate left empty is no evidence. None: all do.
        independent: (B, 1) in (0, 1], the share of its cells that a recording counts for: overlapping frames say much
            the same. Equation :eq:`independent-cells`. None: all of them.
    """

    spectrum: Tensor
    noisy_power: Tensor
    mouth: Tensor
    mouth_seen: Tensor
    mask: Tensor
    index: Tensor
    observed: Tensor | None = None
    independent: Tensor | None = None

    @classmethod
    def from_spectrum(
        cls,
        spectrum: Tensor,
        mouth: Tensor | None = None,
        mouth_seen: Tensor | None = None,
        observed: Tensor | None = None,
    ) -> Utterances:
        """Wrap full-length utterances that need no padding.

        Args:
            spectrum: (B, N, F) or (N, F), power or complex coefficients.
            mouth: (B, N, 67, 67) or (N, 67, 67), in [0, 1] or uint8; None when there is no video.
            mouth_seen: (B, N) or (N,); all True when omitted with a mouth given.
            observed: (B, N, F) or (N, F) bool; all True when omitted.

        Example:
            >>> utterances = Utterances.from_spectrum(torch.ones(7, 513))
            >>> len(utterances), utterances.frames, utterances.mouth.shape
            (1, 7, torch.Size([1, 7, 67, 67]))
            >>> utterances.mouth_seen.any()
            tensor(False)
        """
        if spectrum.dim() == 2:
            spectrum = spectrum[None]
            mouth = None if mouth is None else mouth[None]
            mouth_seen = None if mouth_seen is None else mouth_seen[None]
            observed = None if observed is None else observed[None]
        size, frames, _ = spectrum.shape
        power = spectrum.abs().square() if spectrum.is_complex() else spectrum
        if mouth is None:
            # an expanded scalar: absent video costs no memory
            mouth = power.new_zeros(()).expand(size, frames, MOUTH_SIZE, MOUTH_SIZE)
            mouth_seen = torch.zeros(size, frames, dtype=torch.bool, device=power.device)
        elif mouth_seen is None:
            mouth_seen = torch.ones(size, frames, dtype=torch.bool, device=power.device)
        if mouth.dtype == torch.uint8:
            mouth = mouth.to(power.dtype) / 255
        assert mouth_seen is not None
        mask = torch.ones(size, frames, dtype=torch.bool, device=power.device)
        return cls(spectrum, power, mouth, mouth_seen, mask, torch.arange(size, device=power.device), observed)

    @classmethod
    def of(cls, utterances: Utterances) -> Self:
        """The same batch as one of this class."""
        return cls(**utterances.tensors())

    @property
    def power(self) -> Tensor:
        """(B, N, F) power of ``spectrum``."""
        return self.spectrum.abs().square() if self.spectrum.is_complex() else self.spectrum

    def __len__(self) -> int:
        return self.spectrum.shape[0]

    @property
    def frames(self) -> int:
        """N, padding included."""
        return self.spectrum.shape[1]

    @property
    def evident(self) -> Tensor:
        """Cells that exist and say something: (B, N, F) bool, or (B, N, 1) where all that exist do."""
        mask = self.mask[..., None]
        return mask if self.observed is None else mask & self.observed

    @property
    def evidence(self) -> Tensor:
        """What each cell counts for in a sum over :attr:`evident` cells, of its shape, real."""
        cells = self.evident.to(self.noisy_power.dtype)
        return cells if self.independent is None else cells * self.independent[..., None].to(cells.dtype)

    def replace(self, **changes: Any) -> Utterances:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)

    def to(self, target: torch.device | torch.dtype | str) -> Utterances:
        """Move to a device, or change the precision of every floating-point field."""
        if not isinstance(target, torch.dtype):
            return replace(self, **{name: tensor.to(target) for name, tensor in self.tensors().items()})
        spectrum = self.spectrum.to(target.to_complex() if self.spectrum.is_complex() else target)
        return replace(self, spectrum=spectrum, noisy_power=self.noisy_power.to(target), mouth=self.mouth.to(target))

    def encode_mouth(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Mean and scale, each (B, N, V), by a network on the mouth; all parts of a prior or guide call this."""
        mean, scale = network(self.mouth, self.mouth_seen)
        return mean, scale

    def one_by_one(self) -> list[Self]:
        """Batches of one utterance each, padding kept."""
        tensors = self.tensors()
        return [type(self)(**{name: tensor[[row]] for name, tensor in tensors.items()}) for row in range(len(self))]

    def tensors(self) -> dict[str, Tensor]:
        """The fields that have a value, by name."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def without_mouth(self) -> Utterances:
        """The same sound without a mouth in any frame."""
        return replace(
            self,
            mouth=self.mouth.new_zeros(()).expand_as(self.mouth),
            mouth_seen=torch.zeros_like(self.mouth_seen),
        )

    def plates(self) -> Plates:
        """The two Pyro plates of this batch; make them once per run of a model or guide."""
        size, frames = self.mask.shape
        return Plates(pyro.plate("utterances", size, dim=-2), pyro.plate("frames", frames, dim=-1), self.mask)


def concatenate(batches: Sequence[Utterances]) -> Utterances:
    """Join batches of the same F, dtype and device along the utterances, padding the frames of the shorter ones."""

    def joined(name: str) -> Tensor:
        return pad_sequence([row for batch in batches for row in getattr(batch, name)], batch_first=True)

    if any(batch.observed is not None for batch in batches):
        batches = [batch.replace(observed=batch.evident.expand(batch.spectrum.shape)) for batch in batches]
    joint = {name: joined(name) for name in batches[0].tensors() if name != "index"}
    return Utterances(**joint, index=torch.cat([batch.index for batch in batches]))
