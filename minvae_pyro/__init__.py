"""Audio-visual speech enhancement as probabilistic programs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from minvae_pyro.errors import UserError
from minvae_pyro.version import __version__

if TYPE_CHECKING:
    from minvae_pyro.audio.files import Sound, read_sound, write_sound
    from minvae_pyro.checkpoints.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, shipped
    from minvae_pyro.enhancement.enhance import Enhancement, enhance
    from minvae_pyro.enhancement.streaming import SpeechStream, enhance_stream
    from minvae_pyro.inference.infer import Inference, infer
    from minvae_pyro.training.run import train
    from minvae_pyro.utterances import Utterances

__all__ = [
    "Checkpoint",
    "Enhancement",
    "Inference",
    "Sound",
    "SpeechStream",
    "UserError",
    "Utterances",
    "__version__",
    "enhance",
    "enhance_stream",
    "infer",
    "load_checkpoint",
    "read_sound",
    "save_checkpoint",
    "shipped",
    "train",
    "write_sound",
]

# Found when asked for: `minvae --help` should not wait for torch.
_HOMES = {
    "Checkpoint": "minvae_pyro.checkpoints.checkpoint",
    "Enhancement": "minvae_pyro.enhancement.enhance",
    "Inference": "minvae_pyro.inference",
    "Sound": "minvae_pyro.audio.files",
    "SpeechStream": "minvae_pyro.enhancement.streaming",
    "Utterances": "minvae_pyro.utterances",
    "enhance": "minvae_pyro.enhancement.enhance",
    "enhance_stream": "minvae_pyro.enhancement.streaming",
    "infer": "minvae_pyro.inference",
    "load_checkpoint": "minvae_pyro.checkpoints.checkpoint",
    "read_sound": "minvae_pyro.audio.files",
    "save_checkpoint": "minvae_pyro.checkpoints.checkpoint",
    "shipped": "minvae_pyro.checkpoints.checkpoint",
    "train": "minvae_pyro.training.run",
    "write_sound": "minvae_pyro.audio.files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
