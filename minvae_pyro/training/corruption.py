"""Wrong mouths for the training of a gate: video that does not belong to the sound."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from minvae_pyro.corpora.data import Corpus, Transform
from minvae_pyro.utterances import Utterances


class MouthCorruption(Transform):
    """Gives a share of utterances a video that is not theirs, wholly or from some moment on.

    A gate has to learn the difference between a mouth that speaks what is heard and any other. In equal parts of two
    the video is that of another utterance of the batch, and in one part each it is late by a random time, freezes at
    a random moment, or changes to another utterance at a random moment. Sound without video gets the mouth of another
    utterance: a voice that the visual network does not know. ``mouth_seen`` tells nothing of it.

    Args:
        share: of utterances with a video that get a wrong one.
        light: standard deviation of the logarithm of a gamma correction, one per utterance.
    """

    def __init__(self, share: float = 0.5, light: float = 0.25) -> None:
        self.share = share
        self.light = light

    def __call__(self, utterances: Utterances, generator: Generator, corpus: Corpus) -> Utterances:
        """Change ``mouth``, and mark the mouths given to sound without video as seen."""
        filmed = (utterances.mouth_seen & utterances.mask).any(1).nonzero().squeeze(1)
        if len(filmed) == 0:
            return utterances
        size, frames = utterances.mask.shape
        lengths = utterances.mask.sum(1)
        own = torch.arange(size)
        # another filmed utterance for each, itself only when there is no other
        place = torch.zeros(size, dtype=torch.long)
        place[filmed] = torch.arange(len(filmed))
        step = 1 + (torch.rand(size, generator=generator) * max(1, len(filmed) - 1)).long()
        other = filmed[(place + step) % len(filmed)]

        unfilmed = torch.ones(size, dtype=torch.bool)
        unfilmed[filmed] = False
        chosen = torch.rand(size, generator=generator) < self.share
        kind = torch.randint(5, (size,), generator=generator)
        swap = unfilmed | (chosen & (kind < 2))
        late, freeze, change = (chosen & ~unfilmed & (kind == k) for k in (2, 3, 4))

        frame = torch.arange(frames).expand(size, frames)
        moment = (torch.rand(size, generator=generator) * 0.8 * lengths).long()[:, None]
        delay = ((0.1 + 0.8 * torch.rand(size, generator=generator)) * lengths).long()[:, None]
        after = frame >= moment
        foreign = swap[:, None] | (change[:, None] & after)
        row = torch.where(foreign, other[:, None], own[:, None])
        time = torch.where((swap | late)[:, None], frame + delay, frame)
        time = torch.where(freeze[:, None] & after, moment, time) % lengths[row].clamp_min(1)
        seen = utterances.mouth_seen[row, time] & utterances.mask
        mouth = self._lit(utterances.mouth[row, time], generator) * seen[..., None, None]
        return utterances.replace(mouth=mouth, mouth_seen=seen)

    def _lit(self, mouth: Tensor, generator: Generator) -> Tensor:
        gamma = (self.light * torch.randn(len(mouth), generator=generator, dtype=mouth.dtype)).exp()
        return mouth.clamp_min(1e-3) ** gamma[:, None, None, None]
