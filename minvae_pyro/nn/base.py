"""The networks that can be swapped: what each kind maps to what. Whatever derives from one of these has a name."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from minvae_pyro.nn.cached import Precomputed
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.probability.parameters import AbstractModule
from minvae_pyro.utterances import Utterances


class AudioEncoder(AbstractModule):
    """Power of a frame -> N(mean, scale) of z."""

    @abstractmethod
    def forward(self, power: Tensor) -> Gaussian:
        """Map power (..., F) to mean and scale of z, each (..., L)."""


class VisualEncoder(AbstractModule):
    """Mouth crops -> N(mean, scale) of z."""

    @abstractmethod
    def forward(self, mouth: Tensor, mouth_seen: Tensor) -> Gaussian:
        """Map crops (B, N, 67, 67) in [0, 1] and ``mouth_seen`` (B, N) bool to mean and scale, each (B, N, L)."""


class AudioVisualEncoder(AbstractModule):
    """Power and features of the mouth -> N(mean, scale) of z."""

    @abstractmethod
    def forward(self, power: Tensor, features: Tensor) -> Gaussian:
        """Map power (..., F) and features (..., V) to mean and scale of z, each (..., L)."""


class SequenceEncoder(AbstractModule):
    """Power of a whole utterance, perhaps with features of the mouth -> N(mean, scale) of z of every frame."""

    @abstractmethod
    def forward(self, power: Tensor, mask: Tensor, features: Tensor | None = None) -> Gaussian:
        """Map power (B, N, F), mask (B, N) bool and features (B, N, V) to mean and scale, each (B, N, L)."""


class Decoder(AbstractModule):
    """z -> variance of every frequency bin.

    Attributes:
        reach: on how many frames to either side of its own the variance of a frame depends, through their z.
    """

    reach: int = 0

    @abstractmethod
    def forward(self, latent: Tensor) -> Tensor:
        """Map z (..., L) to variance (..., F) > 0."""


class AudioVisualDecoder(AbstractModule):
    """z and features of the mouth -> variance of every frequency bin."""

    @abstractmethod
    def forward(self, latent: Tensor, features: Tensor) -> Tensor:
        """Map z (..., L) and features (..., V), leading axes broadcasting, to variance (..., F) > 0."""


class LatentTransition(AbstractModule):
    """z of the frame before, perhaps with features of the mouth -> N(mean, scale) of z."""

    @abstractmethod
    def forward(self, previous: Tensor, features: Tensor | None = None) -> Gaussian:
        """Map z (..., L) of the frame before and features (..., V) of this one to mean and scale, each (..., L)."""


class FeatureEncoder(AbstractModule):
    """Features of the mouth -> N(mean, scale) of z."""

    @abstractmethod
    def forward(self, features: Tensor) -> Gaussian:
        """Map features (..., V) to mean and scale of z, each (..., L)."""


class VisualFeatures(AbstractModule):
    """Utterances -> features of the mouth."""

    @abstractmethod
    def forward(self, utterances: Utterances) -> Tensor:
        """Features, (B, N, V), zero in frames without a mouth."""

    def condition_on(self, utterances: Utterances) -> Precomputed:
        """The features of these utterances."""
        return Precomputed(self(utterances))


class Gate(AbstractModule):
    """Noisy power and p(z | mouth) -> log-odds that a frame is better left to the sound."""

    @abstractmethod
    def forward(self, noisy_power: Tensor, predicted: Tensor, visual: Gaussian, mask: Tensor) -> Tensor:
        """Log-odds of alpha = 1, (B, N).

        Args:
            noisy_power: (B, N, F).
            predicted: (B, N, F) variance of speech at the mean by the mouth.
            visual: mean and scale of z by the mouth, each (B, N, L).
            mask: (B, N) bool, frames that exist and have a mouth; others do not count.
        """
