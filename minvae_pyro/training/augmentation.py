"""Changes of the mouth video in training: the visual encoder is to learn lips and not a recording session."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from minvae_pyro.corpora.corpus import Corpus, Transform
from minvae_pyro.errors import UserError
from minvae_pyro.utterances import Utterances
from minvae_pyro.video.occlusion import frozen_time, hide, own_time, repeated_time, show

_KINDS = ("blank", "freeze", "swap", "late")


@dataclass(frozen=True)
class MouthAugmentation(Transform):
    """Moves, lights, covers and interrupts the mouth video of every utterance at random.

    A shift, zoom, flip, light and covered rectangle hold for a whole utterance. In a share of utterances a span of the
    video is replaced (``kinds``); ``mouth_seen`` stays as it is there: nothing at test time marks such frames either.

    Attributes:
        shift: largest shift in pixels, each way.
        zoom: largest change of size, as a fraction.
        flip: share of utterances that are mirrored.
        brightness: largest change of brightness, of the grey range.
        contrast: largest change of contrast, as a fraction.
        cover: share of utterances with a covered rectangle.
        interrupt: share of utterances in which a span is replaced.
        hide: share of utterances whose mouth is removed, ``mouth_seen`` included, for decoders conditioned on it.
        kinds: how a span is replaced, each as often as it is listed: "blank", "freeze", "swap" (another utterance of
            the batch), "late". A visual encoder learns uncertainty from the first two; a gate needs all.

    Raises:
        UserError: a kind of another name.
    """

    shift: float = 3.0
    zoom: float = 0.08
    flip: float = 0.5
    brightness: float = 0.1
    contrast: float = 0.2
    cover: float = 0.2
    interrupt: float = 0.3
    hide: float = 0.0
    kinds: tuple[str, ...] = ("blank", "freeze")

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(_KINDS):
            raise UserError(f"kinds of interruption are {', '.join(_KINDS)}; {self.kinds} is none of them.")

    def __call__(self, utterances: Utterances, generator: Generator, corpus: Corpus) -> Utterances:
        """Change ``mouth``; frames without one stay zero."""
        if self.hide:
            utterances = hide(utterances, _uniform(generator, len(utterances)) < self.hide)
        rows = utterances.mouth_seen.any(1).nonzero().squeeze(1)
        if len(rows) == 0:
            return utterances
        mouth = self._move(utterances.mouth[rows], generator)
        # a tensor of its own from here on, changed in place: copies of video would cost more than the rest
        self._light(mouth, generator)
        self._cover(mouth, generator)
        self._interrupt(mouth, utterances.mask[rows].sum(1, keepdim=True), generator)
        mouth[~utterances.mouth_seen[rows]] = 0
        if len(rows) < len(utterances):
            mouth = mouth.new_zeros(utterances.mouth.shape).index_copy_(0, rows, mouth)
        return utterances.replace(mouth=mouth)

    def _move(self, mouth: Tensor, generator: Generator) -> Tensor:
        size, _, side, _ = mouth.shape
        matrix = torch.zeros(size, 2, 3)
        scale = 1 + self.zoom * _uniform(generator, size, -1, 1)
        mirror = torch.where(_uniform(generator, size) < self.flip, -1.0, 1.0)
        matrix[:, 0, :1], matrix[:, 1, 1:2] = scale * mirror, scale
        # grid_sample measures positions in half sides
        matrix[:, 0, 2:] = self.shift * _uniform(generator, size, -1, 1) * 2 / side
        matrix[:, 1, 2:] = self.shift * _uniform(generator, size, -1, 1) * 2 / side
        # frames ride as channels, so that one grid per utterance serves them all
        grid = torch.nn.functional.affine_grid(matrix, [size, 1, side, side], align_corners=False)
        return torch.nn.functional.grid_sample(mouth, grid.to(mouth.dtype), padding_mode="border", align_corners=False)

    def _light(self, mouth: Tensor, generator: Generator) -> None:
        contrast = 1 + self.contrast * _uniform(generator, len(mouth), -1, 1)[..., None, None]
        brightness = self.brightness * _uniform(generator, len(mouth), -1, 1)[..., None, None]
        mouth.sub_(0.5).mul_(contrast).add_(0.5 + brightness).clamp_(0, 1)

    def _cover(self, mouth: Tensor, generator: Generator) -> None:
        size, _, side, _ = mouth.shape
        extent = torch.randint(side // 6, side // 2, (size, 2), generator=generator)
        corner = (torch.rand(size, 2, generator=generator) * (side - extent)).long()
        grey = torch.rand(size, generator=generator, dtype=mouth.dtype)
        pixel = torch.arange(side)
        inside = (pixel >= corner[..., None]) & (pixel < (corner + extent)[..., None])
        rows = (_uniform(generator, size) < self.cover).nonzero()[:, 0]
        covered = inside[rows, 0, :, None] & inside[rows, 1, None, :]
        mouth[rows] = torch.where(covered[:, None], grey[rows, None, None, None], mouth[rows])

    def _interrupt(self, mouth: Tensor, lengths: Tensor, generator: Generator) -> None:
        size, frames = mouth.shape[:2]
        chosen = _uniform(generator, size) < self.interrupt
        choice = torch.tensor([_KINDS.index(kind) for kind in self.kinds])
        kind = choice[torch.randint(len(choice), (size, 1), generator=generator)]
        # a span of a tenth of the utterance up to all of it
        span = (_uniform(generator, size, 0.1, 1) * lengths).long().clamp_min(1)
        start = (_uniform(generator, size) * (lengths - span + 1)).long()
        grey = torch.rand(size, 1, generator=generator, dtype=mouth.dtype)
        # late by a quarter to three quarters of the utterance
        delay = (_uniform(generator, size, 0.25, 0.75) * lengths).long()
        frame, row = torch.arange(frames), torch.arange(size)[:, None]
        within = (frame >= start) & (frame < start + span) & chosen
        blank, freeze, swap, late = (within & (kind == k) for k in range(len(_KINDS)))
        row = torch.where(swap, row.roll(1, 0), row)
        time = torch.where(freeze, frozen_time(frame, start), torch.where(late, frame + delay, frame))
        time = repeated_time(time, lengths[row, 0])
        elsewhere = freeze | swap | late
        mouth[elsewhere] = mouth[row[elsewhere], time[elsewhere]]
        mouth[blank] = grey.expand(size, frames)[blank][:, None, None]


@dataclass(frozen=True)
class MouthCorruption(Transform):
    """Gives a share of utterances a video that is not theirs, wholly or from some moment on.

    A gate has to learn whether a mouth fits the sound. Of those utterances two fifths get the video of another one of
    the batch; one fifth each a video that is late by a random time, freezes, or changes to another utterance at a
    random moment. Sound without video gets the mouth of another utterance. ``mouth_seen`` does not show it.

    Attributes:
        share: of utterances with a video that get a wrong one.
        light: standard deviation of the logarithm of a gamma correction, one per utterance.
    """

    share: float = 0.5
    light: float = 0.25

    def __call__(self, utterances: Utterances, generator: Generator, corpus: Corpus) -> Utterances:
        """Change ``mouth``, and mark the mouths given to sound without video as visible in ``mouth_seen``."""
        filmed = (utterances.mouth_seen & utterances.mask).any(1, keepdim=True)
        if not filmed.any():
            return utterances
        size, lengths, rows = len(utterances), utterances.mask.sum(1, keepdim=True), filmed.nonzero()[:, 0]
        # another filmed utterance for each, itself only when there is no other
        step = 1 + (_uniform(generator, size) * max(1, len(rows) - 1)).long()
        other = rows[((filmed.cumsum(0) - 1) * filmed + step) % len(rows)]

        chosen = filmed & (_uniform(generator, size) < self.share)
        kind = torch.randint(5, (size, 1), generator=generator)
        swap = ~filmed | (chosen & (kind < 2))
        late, freeze, change = (chosen & (kind == k) for k in (2, 3, 4))

        frame = own_time(utterances)
        moment = (_uniform(generator, size, 0, 0.8) * lengths).long()
        delay = (_uniform(generator, size, 0.1, 0.9) * lengths).long()
        gamma = (self.light * torch.randn(size, 1, generator=generator, dtype=utterances.mouth.dtype)).exp()
        row = torch.where(swap | (change & (frame >= moment)), other, torch.arange(size)[:, None])
        time = torch.where(freeze, frozen_time(frame, moment), torch.where(swap | late, frame + delay, frame))
        shown = show(utterances, repeated_time(time, lengths[row, 0]), row)
        shown = shown.replace(mouth=shown.mouth.clamp_min(1e-3) ** gamma[..., None, None])
        return hide(shown, ~utterances.mask)


def _uniform(generator: Generator, size: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """A number between two for each utterance, (size, 1)."""
    return low + (high - low) * torch.rand(size, 1, generator=generator)
