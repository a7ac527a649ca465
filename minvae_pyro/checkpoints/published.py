"""What published weights look like, and where each of their tensors belongs here: facts, no code.

The family ``av-dkf`` is that of the library of arXiv 2211.00988: A-VAE, AV-CVAE and A-DKF trained on TCD-TIMIT, each a
file of plain tensors beside a ``config.ini``. Its spectra are those of recordings scaled to unit peak.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

LEVEL = 0.1
"""Root mean square of speech at unit peak, near which these models were trained; here sound comes at unit RMS."""

SIGHT = (
    "Its features of the mouth were the 512 of a lip-reading network (3-D convolution and ResNet-18, arXiv 2001.08702, "
    "trained on LRW), one vector for each STFT frame, of crops normalised by mean 0.421 and standard deviation 0.165. "
    "That network is not a part of the weights: without it every frame counts as unseen, and the sound alone is heard."
)

MIT_LICENSE = """MIT License. For av-dkf library. Copyright (c) 2020 INRIA

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated \
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the \
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit \
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the \
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE \
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR \
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR \
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """One published model.

    Attributes:
        mode: by which its configuration names it (``vae_mode``).
        places: its layers, and where they are here.
        hears: the layer that reads power.
        describe: what prior and guide are made from, see :func:`minvae_pyro.registry.build.build`.
        note: what a user must know.
        enhancement: defaults of enhancement, see :class:`minvae_pyro.inference.Settings`.
    """

    mode: str
    places: Mapping[str, str]
    hears: str
    describe: Callable[[Tensors], dict[str, Any]]
    note: str = ""
    enhancement: Mapping[str, Any] = field(default_factory=lambda: {"start": "audio"})


def _size(tensors: Tensors, layer: str, axis: int = 0) -> int:
    """Outputs of a layer, or its inputs along axis 1."""
    return int(tensors[f"{layer}.weight"].shape[axis])


def _part(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": name, "init_args": arguments}


def _a_vae(tensors: Tensors) -> dict[str, Any]:
    size = partial(_size, tensors)
    sizes = {"latent_dim": size("inf_mean"), "frequencies": size("gen_logvar")}
    encoder = _part("SpectrumEncoder", **sizes, hidden=size("mlp_x_z.linear0"), transform="plain_power")
    decoder = _part("SpectrumDecoder", **sizes, hidden=size("mlp_z_x.linear0"))
    return {
        "prior": _part("AudioVAE", latent_dim=sizes["latent_dim"], decoder=decoder),
        "guide": _part("AudioGuide", audio=_part("NoisyAudioEncoder", encoder=encoder)),
    }


def _av_cvae(tensors: Tensors) -> dict[str, Any]:
    size = partial(_size, tensors)
    latent, features, frequencies = size("inf_mean"), size("decoder_layerV", 1), size("gen_logvar")
    sizes = {"latent_dim": latent, "feature_dim": features}
    heard = {"frequencies": frequencies, "transform": "plain_power"}
    encoder = _part("ConcatenatingEncoder", **sizes, **heard, hidden=size("mlp_x_z.linear0"))
    prior = _part(
        "ConditionalVAE",
        latent_dim=latent,
        visual_features=_part("MissingFeatures", feature_dim=features),
        decoder=_part("ConcatenatingDecoder", **sizes, frequencies=frequencies, hidden=size("mlp_z_x.linear0")),
        network=_part("FeaturePerceptron", **sizes, hidden=size("prior_layerV")),
    )
    return {"prior": prior, "guide": _part("AudioVisualGuide", encoder=encoder)}


def _a_dkf(tensors: Tensors) -> dict[str, Any]:
    size = partial(_size, tensors)
    latent, frequencies = size("inf_mean"), size("gen_logvar")
    squash = {"class_path": "torch.nn.Sigmoid"}
    transition = _part("GatedTransition", latent_dim=latent, hidden=size("mlp_gate.linear1"), squash=squash)
    hidden = [size(f"mlp_z_x.linear{layer}") for layer in range(4)]
    decoder = _part("DeepDecoder", latent_dim=latent, hidden=hidden, frequencies=frequencies)
    encoder = _part(
        "StructuredEncoder",
        frequencies=frequencies,
        hidden=size("mlp_x_gx.linear0"),
        units=size("mlp_ztm1_g.linear_last"),
        state=size("mlp_ztm1_g.linear0"),
        narrow=size("mlp_g_z.linear0"),
        latent_dim=latent,
        transform="plain_power",
    )
    return {
        "prior": _part("DeepKalmanFilter", latent_dim=latent, transition=transition, decoder=decoder),
        "guide": _part("StructuredGuide", encoder=encoder),
    }


AV_DKF = (
    Layout(
        "A-VAE",
        {
            "mlp_x_z.linear0": "guide.audio.encoder.hidden",
            "inf_mean": "guide.audio.encoder.head.mean",
            "inf_logvar": "guide.audio.encoder.head.log_variance",
            "mlp_z_x.linear0": "prior.decoder.hidden",
            "gen_logvar": "prior.decoder.log_variance",
        },
        "mlp_x_z.linear0",
        _a_vae,
        # as many M-steps as decoder passes: the noise is what takes longest to fit
        enhancement={
            "start": "audio",
            "noise": _part("NMFNoise", rank=8),
            "engine": _part("FastVariational", iterations=120, steps=1, learning_rate=0.4),
        },
    ),
    Layout(
        "AV-CVAE",
        {
            "mlp_x_z.linear0": "guide.encoder.layers.first",
            "encoder_layerV": "guide.encoder.layers.second",
            "layer_mix_encoder": "guide.encoder.layers.mix",
            "inf_mean": "guide.encoder.head.mean",
            "inf_logvar": "guide.encoder.head.log_variance",
            "prior_layerV": "prior.visual_component.network.hidden",
            "zprior_mean_layer": "prior.visual_component.network.head.mean",
            "zprior_logvar_layer": "prior.visual_component.network.head.log_variance",
            "mlp_z_x.linear0": "prior.decoder.layers.first",
            "decoder_layerV": "prior.decoder.layers.second",
            "layer_mix_decoder": "prior.decoder.layers.mix",
            "gen_logvar": "prior.decoder.log_variance",
        },
        "mlp_x_z.linear0",
        _av_cvae,
        SIGHT,
    ),
    Layout(
        "A-DKF",
        {
            "mlp_x_gx.linear0": "guide.encoder.hidden",
            "rnn_gx": "guide.encoder.backward_in_time",
            "mlp_ztm1_g.linear0": "guide.encoder.state.0",
            "mlp_ztm1_g.linear_last": "guide.encoder.state.2",
            "mlp_g_z.linear0": "guide.encoder.narrow.0",
            "inf_mean": "guide.encoder.head.mean",
            "inf_logvar": "guide.encoder.head.log_variance",
            "mlp_gate.linear1": "prior.transition.gate.0",
            "mlp_gate.linear2": "prior.transition.gate.2",
            "mlp_z_prop.linear1": "prior.transition.proposal.0",
            "mlp_z_prop.linear2": "prior.transition.proposal.2",
            "prior_mean": "prior.transition.mean",
            "prior_logvar.1": "prior.transition.variance",
            "mlp_z_x.linear0": "prior.decoder.layers.0",
            "mlp_z_x.linear1": "prior.decoder.layers.2",
            "mlp_z_x.linear2": "prior.decoder.layers.4",
            "mlp_z_x.linear3": "prior.decoder.layers.6",
            "gen_logvar": "prior.decoder.log_variance",
        },
        "mlp_x_gx.linear0",
        _a_dkf,
    ),
)
"""The models of the family ``av-dkf``."""
