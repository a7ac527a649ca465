"""The synthetic talker as a corpus in memory, for the demonstration and the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from minvae_pyro.audio.stft import STFT
from minvae_pyro.corpora.corpus import MemoryCorpus
from minvae_pyro.errors import UserError
from minvae_pyro.utterances import Utterances

if TYPE_CHECKING:
    from minvae_pyro.synthetic.talker import SyntheticUtterance


class SyntheticCorpus(MemoryCorpus):
    """Utterances of the plain synthetic talker, drawn when the corpus is made (some 50 ms each).

    Args:
        utterances: how many.
        seconds: length of each.
        first_seed: utterance ``i`` is drawn by ``first_seed + i``; keep corpora apart by it.
        hop: samples between STFT frames.

    Raises:
        UserError: no utterance is asked for, or none of that length can be drawn.
    """

    def __init__(self, utterances: int = 100, seconds: float = 3.0, first_seed: int = 0, hop: int = 533) -> None:
        if utterances < 1:
            raise UserError("a synthetic corpus needs at least one utterance.")
        from minvae_pyro.synthetic.talker import synthesise  # filters of scipy, for which help should not wait

        stft = STFT(hop=hop)
        drawn = (synthesise(seconds, first_seed + i) for i in range(utterances))
        super().__init__([_features(utterance, stft) for utterance in drawn], stft)


def _features(utterance: SyntheticUtterance, stft: STFT) -> Utterances:
    from minvae_pyro.corpora.prepare import unit_power
    from minvae_pyro.video.align import align_mouth
    from minvae_pyro.video.track import MouthTrack

    power = unit_power(utterance.waveform, stft)
    assert power is not None, "the synthetic talker is never silent"
    found = torch.ones(len(utterance.times), dtype=torch.bool)
    track = MouthTrack(utterance.crops, utterance.times, found)
    return Utterances.from_spectrum(power, *align_mouth(track, stft.frame_times(len(power))))
