"""Networks of latent dynamics (Krishnan et al., arXiv 1609.09869; Golmakani et al., arXiv 2211.00988)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from minvae_pyro.nn.audio import FREQUENCIES, POWER_TRANSFORMS, GaussianHead, PowerTransform, precise
from minvae_pyro.nn.base import AudioVisualDecoder, Decoder, LatentTransition, SequenceEncoder
from minvae_pyro.probability.normals import Gaussian
from minvae_pyro.probability.parameters import AbstractModule


class Fusion(nn.Module):
    """Lets features of the mouth into a layer: tanh(linear([input, tanh(linear(features))])) (arXiv 2211.00988).

    Args:
        size: of the last axis of the input; the output has the same unless ``output`` is given.
        feature_dim: V, features of the mouth.
        output: units of the output.
    """

    def __init__(self, size: int, feature_dim: int = 32, output: int | None = None) -> None:
        super().__init__()
        self.output = size if output is None else output
        self.visual = nn.Linear(feature_dim, size)
        self.mix = nn.Linear(2 * size, self.output)

    def forward(self, inputs: Tensor, features: Tensor) -> Tensor:
        """Map inputs (..., size) and features (..., V), leading axes broadcasting, to (..., output)."""
        visual = torch.tanh(self.visual(features))
        return torch.tanh(self.mix(torch.cat(torch.broadcast_tensors(inputs, visual), -1)))


class GatedTransition(LatentTransition):
    """p(z_n | z_{n-1}): a gate chooses between a linear and a proposed mean (arXiv 1609.09869, gated transition).

    ::

        gate     = sigmoid(linear(relu(linear(z))))
        proposal = squash(linear(relu(linear(z))))
        mean     = (1 - gate) * linear(z) + gate * proposal
        variance = softplus(linear(relu(proposal)))

    Args:
        latent_dim: L.
        hidden: units of the layer inside gate and proposal.
        squash: bounds the proposal; the published A-DKF has a sigmoid there, the paper and the default nothing.
        fusion: lets the mouth in, see :class:`Fusion`; without it z alone decides.
    """

    def __init__(
        self,
        latent_dim: int = 32,
        hidden: int = 64,
        squash: nn.Module | None = None,
        fusion: Fusion | None = None,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.fusion = fusion
        size = latent_dim if fusion is None else fusion.output
        self.gate = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, latent_dim), nn.Sigmoid())
        squash = nn.Identity() if squash is None else squash
        self.proposal = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, latent_dim), squash)
        self.mean = nn.Linear(size, latent_dim)
        self.variance = nn.Linear(latent_dim, latent_dim)

    def forward(self, previous: Tensor, features: Tensor | None = None) -> Gaussian:
        """Map z (..., L) of the frame before and features (..., V) of this one to mean and scale, each (..., L)."""
        state = previous if self.fusion is None else self.fusion(previous, features)
        gate, proposal = self.gate(state), self.proposal(state)
        mean = (1 - gate) * self.mean(state) + gate * proposal
        variance = nn.functional.softplus(precise(self.variance(proposal.relu())))
        return precise(mean), variance.clamp_min(1e-6).sqrt()


class DeepDecoder(Decoder, AudioVisualDecoder):
    """Frame-wise decoder of several tanh layers: z -> variance of every bin.

    Args:
        latent_dim: L.
        hidden: units of the layers, the first one first.
        frequencies: F.
        fusion: lets the mouth into the last of them, see :class:`Fusion`; without it z alone decides.
    """

    def __init__(
        self,
        latent_dim: int = 32,
        hidden: Sequence[int] = (128,),
        frequencies: int = FREQUENCIES,
        fusion: Fusion | None = None,
    ) -> None:
        super().__init__()
        self.layers = _tanh_layers(latent_dim, *hidden)
        self.fusion = fusion
        self.log_variance = nn.Linear(hidden[-1] if fusion is None else fusion.output, frequencies)

    def forward(self, latent: Tensor, features: Tensor | None = None) -> Tensor:
        """Map z (..., L) and features (..., V), leading axes broadcasting, to variance (..., F) > 0."""
        hidden = self.layers(latent)
        if self.fusion is not None:
            hidden = self.fusion(hidden, features)
        return precise(self.log_variance(hidden)).clamp(-25.0, 25.0).exp()


class _NoisyFrames(AbstractModule):
    """A tanh layer on the power of each frame, perhaps fused with the mouth: what the encoders below begin with."""

    def __init__(self, frequencies: int, hidden: int, transform: PowerTransform, fusion: Fusion | None) -> None:
        super().__init__()
        self.transform = POWER_TRANSFORMS[transform]
        self.hidden = nn.Linear(frequencies, hidden)
        self.fusion = fusion
        self.size = hidden if fusion is None else fusion.output

    def frames(self, power: Tensor, features: Tensor | None) -> Tensor:
        """Map power (B, N, F) and features (B, N, V) to (B, N, size)."""
        frames = torch.tanh(self.hidden(self.transform(power)))
        return frames if self.fusion is None else self.fusion(frames, features)


class RecurrentEncoder(_NoisyFrames, SequenceEncoder):
    """q(z_n | all frames): a tanh layer, a network that goes both ways, N(mean, scale) (arXiv 1609.09869, MF-LR).

    Args:
        frequencies: F.
        hidden: tanh units before the recurrent layer.
        units: of the recurrent layer, each way.
        latent_dim: L.
        transform: what the first layer reads of the power; ``log_power`` or ``plain_power``.
        fusion: lets the mouth into that layer, see :class:`Fusion`; without it the sound alone decides.
    """

    def __init__(
        self,
        frequencies: int = FREQUENCIES,
        hidden: int = 128,
        units: int = 64,
        latent_dim: int = 32,
        transform: PowerTransform = "log_power",
        fusion: Fusion | None = None,
    ) -> None:
        super().__init__(frequencies, hidden, transform, fusion)
        self.forward_in_time = nn.GRU(self.size, units, batch_first=True)
        self.backward_in_time = nn.GRU(self.size, units, batch_first=True)
        self.head = GaussianHead(self.size + 2 * units, latent_dim)

    def forward(self, power: Tensor, mask: Tensor, features: Tensor | None = None) -> Gaussian:
        """Map power (B, N, F), mask (B, N) and features (B, N, V) to mean and standard deviation, each (B, N, L)."""
        frames = self.frames(power, features)
        past, _ = self.forward_in_time(frames)
        future = run_backward(self.backward_in_time, frames, mask)
        return self.head(torch.cat([frames, past, future], -1))


class StructuredEncoder(_NoisyFrames):
    """q(z_n | z_{n-1}, this frame and all later ones): what the true posterior depends on (arXiv 1609.09869, DKS).

    The published A-DKF's (arXiv 2211.00988)::

        g[n] = backward recurrent network over tanh(linear(power))
        q(z[n] | z[n-1], power) = N(head(tanh layer((tanh layers(z[n-1]) + g[n]) / 2)))

    Args:
        frequencies: F.
        hidden: tanh units before the recurrent layer.
        units: of the recurrent layer.
        state: tanh units between z of the frame before and ``units``.
        narrow: tanh units before mean and scale.
        latent_dim: L.
        transform: what the first layer reads of the power; ``log_power`` or ``plain_power``.
        fusion: lets the mouth into that layer, see :class:`Fusion`; without it the sound alone decides.
    """

    def __init__(
        self,
        frequencies: int = FREQUENCIES,
        hidden: int = 256,
        units: int = 128,
        state: int = 32,
        narrow: int = 32,
        latent_dim: int = 32,
        transform: PowerTransform = "log_power",
        fusion: Fusion | None = None,
    ) -> None:
        super().__init__(frequencies, hidden, transform, fusion)
        self.latent_dim = latent_dim
        self.backward_in_time = nn.LSTM(self.size, units, batch_first=True)
        self.state = _tanh_layers(latent_dim, state, units)
        self.narrow = _tanh_layers(units, narrow)
        self.head = GaussianHead(narrow, latent_dim)

    def forward(self, power: Tensor, mask: Tensor, features: Tensor | None = None) -> Tensor:
        """Summary of this frame and the later ones, (B, N, units); arguments as of :class:`RecurrentEncoder`."""
        return run_backward(self.backward_in_time, self.frames(power, features), mask)

    def step(self, previous: Tensor, ahead: Tensor) -> Gaussian:
        """Mean and scale of z, each (..., L), from z of the frame before and :meth:`forward`, (..., units)."""
        return self.head(self.narrow((self.state(previous) + ahead) / 2))


def run_backward(network: nn.RNNBase, inputs: Tensor, mask: Tensor) -> Tensor:
    """Run a recurrent network from the end of each utterance to its first frame, (B, N, units); padding is ignored.

    Args:
        network: with ``batch_first``, in one direction.
        inputs: (B, N, size).
        mask: (B, N) bool, False in padding at the end.
    """
    frame = torch.arange(mask.shape[1], device=mask.device)
    lengths = mask.sum(1, keepdim=True)
    order = torch.where(frame < lengths, lengths - 1 - frame, frame)[..., None]
    outputs, _ = network(inputs.gather(1, order.expand_as(inputs)))
    return outputs.gather(1, order.expand_as(outputs))


def _tanh_layers(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.Tanh()]
    return nn.Sequential(*layers)
