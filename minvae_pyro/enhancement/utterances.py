"""From a recording to a Pyro program, and back to a waveform."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from typing import Any, Self

import pyro
import torch
from torch import Tensor

from minvae_pyro import utterances
from minvae_pyro.audio.files import Sound
from minvae_pyro.audio.level import SILENCE, sounding_level
from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint
from minvae_pyro.enhancement.enhance import DEFAULT_CHECKPOINT
from minvae_pyro.enhancement.filter import apply_gain, as_utterances, whole_hops
from minvae_pyro.enhancement.ready import resampled, samples_at
from minvae_pyro.enhancement.recording import Source, Video, read_recording
from minvae_pyro.enhancement.separation import mix_down
from minvae_pyro.errors import UserError
from minvae_pyro.guides import UtteranceGuide
from minvae_pyro.inference import Settings, begin, posterior_gain
from minvae_pyro.inference.admission import admit
from minvae_pyro.models import NoisyMixture
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.registry.admission import Trust
from minvae_pyro.video.align import on_frames


@dataclass(frozen=True)
class Origin:
    """Where utterances come from.

    Attributes:
        checkpoint: the model that they are made for.
        sound: the recording, all channels at their own rate.
        notes: plain sentences on what could not be used of it.
    """

    checkpoint: Checkpoint
    sound: Sound
    notes: tuple[str, ...]


@dataclass
class Utterances(utterances.Utterances):
    """The batch type of this package, for programs that begin at a recording.

    Attributes:
        origin: the recording; None for utterances that were made otherwise.
    """

    origin: Origin | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_recording(
        cls,
        source: Source,
        checkpoint: str | os.PathLike[str] | Checkpoint = DEFAULT_CHECKPOINT,
        *,
        sample_rate: int | None = None,
        video: Video | None = None,
        video_frame_rate: float | None = None,
        trust: Trust = (),
        device: str | torch.device = "cpu",
    ) -> Self:
        """What the model gets of a recording when it is enhanced: one utterance, whatever its length.

        The mean of the channels at the rate of the model, at unit level, as STFT; a picture of the mouth for each
        frame; cells that say nothing left out.

        Args:
            source: a sound or video file, or (samples,) or (channels, samples) floating-point samples.
            checkpoint: a shipped name, a file, or a loaded checkpoint (which moves to ``device``).
            sample_rate: Hz, of samples; files know theirs.
            video: of the mouth, if not in ``source``: a video or lip file, crops (T, 67, 67), or a mouth track.
            video_frame_rate: pictures a second of crops and lip files.
            trust: modules whose classes the checkpoint may name, see :func:`minvae_pyro.load_checkpoint`.
            device: where the tensors are.

        Raises:
            UserError: recording, video, checkpoint or device cannot be used, or the recording is silent.
        """
        loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint, trust)
        stft = loaded.to(device).stft
        recording = read_recording(source, sample_rate=sample_rate, video=video, video_frame_rate=video_frame_rate)
        sound = recording.sound
        samples = samples_at(sound, stft.sample_rate)
        mono = whole_hops(stft, mix_down(resampled(sound, stft.sample_rate, samples)))
        level = sounding_level(mono)
        if level <= SILENCE:
            raise UserError("the recording is silent: there is nothing to infer from it.")
        mouth = None
        if recording.mouth is not None:
            mouth = on_frames(recording.mouth, stft.frame_times(stft.frames(samples)).cpu(), sound.seconds)
            mouth = mouth if mouth.found.any() else None
        made = as_utterances(stft, stft((mono / level).to(stft.window.device)), mouth)
        return cls(**made.tensors(), origin=Origin(loaded, sound, recording.notes))

    def start(self, *, seed: int = 0, **settings: Any) -> tuple[NoisyMixture, UtteranceGuide]:
        """A noisy mixture and a guide for it where enhancement has them before the first step.

        The noise starts from the recording; z where the encoders see it, or where another ``start`` says; q(alpha) is
        the gate's, or the closed form at that place, and is enumerated. The prior is a copy that no optimiser moves.
        Parameters are fit for both, Pyro's global store and ``pyro.settings.set(module_local_params=True)``; in the
        global store those of two recordings have the same names.

        Args:
            seed: decides everything random.
            **settings: instead of the checkpoint's, see :class:`minvae_pyro.inference.Settings`; the guide may be one
                of Pyro's (:class:`minvae_pyro.guides.PyroGuide`).

        Raises:
            UserError: these utterances are from no recording, there is no such setting, or the checkpoint names a part
                that is not trusted.
        """
        kept = self._origin.checkpoint
        chosen = Settings.of_checkpoint(kept.enhancement, kept.trust, settings)
        own = Checkpoint(copy.deepcopy(kept.prior).requires_grad_(False), kept.guide, kept.stft, {}, {})
        with torch.random.fork_rng([self.power.device] if self.power.is_cuda else []):
            torch.manual_seed(seed)
            begun = begin(own, self, chosen, seed)
        # programs that keep parameters local find the stores that Pyro makes for modules born in that mode
        with local_parameters(begun.mixture, begun.mixture.speech, begun.guide):
            return begun.mixture, begun.guide

    def gain(self, mixture: NoisyMixture, guide: UtteranceGuide, **settings: Any) -> Tensor:
        """The gain of the speech, (1, N, F), as enhancement works it out of a fitted mixture and guide.

        Args:
            mixture: fitted.
            guide: fitted.
            **settings: ``draws`` and ``unexplained`` instead of the checkpoint's.
        """
        kept = self._origin.checkpoint
        chosen = Settings.of_checkpoint(kept.enhancement, kept.trust, settings)
        with pyro.validation_enabled(False):
            found = posterior_gain(mixture, guide, self, chosen.draws)
        return admit(found, self, chosen.unexplained)

    def speech(self, gain: Tensor) -> Tensor:
        """The recording filtered by a gain: (channels, samples) with its rate, level and length.

        Args:
            gain: (1, N, F) or (N, F), perhaps complex.

        Raises:
            UserError: these utterances are from no recording, or the gain is of another size.
        """
        sound, stft = self._origin.sound, self._origin.checkpoint.stft
        gain = gain.detach().reshape(gain.shape[-2:]) if gain.dim() == 3 and len(gain) == 1 else gain.detach()
        if gain.shape != self.spectrum.shape[1:]:
            raise UserError(
                f"the gain of this recording is {tuple(self.spectrum.shape[1:])}, frames by frequencies, not "
                f"{tuple(gain.shape)}."
            )
        channels = resampled(sound, stft.sample_rate, samples_at(sound, stft.sample_rate))
        filtered = Sound(apply_gain(stft, gain.to(stft.window.device), channels), stft.sample_rate)
        return resampled(filtered, sound.sample_rate, sound.waveform.shape[-1])

    @property
    def _origin(self) -> Origin:
        if self.origin is None:
            raise UserError("these utterances are from no recording: make them by Utterances.from_recording.")
        return self.origin

    def tensors(self) -> dict[str, Tensor]:
        """The fields of the batch that have a value, by name."""
        return {name: value for name, value in super().tensors().items() if name != "origin"}
