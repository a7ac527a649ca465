"""Libraries of sound that are installed with the package but need not load on every machine.

librosa compiles for the processor that it runs on; torchaudio loads beside a torch of its own kind only. Enhancement
and training do without either: whoever uses one asks here for it, when it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from minvae_pyro.errors import UserError


def load_librosa(what: str) -> ModuleType:
    """Import librosa for what needs it, such as "the pitch".

    Raises:
        UserError: it cannot be loaded here.
    """
    with _loading("librosa", what, "install it, or leave that out"):
        import librosa
        import librosa.filters

        # its parts are loaded when they are first asked for: those that need numba, now
        _ = librosa.pyin, librosa.cqt
    return librosa


def load_torchaudio(what: str) -> ModuleType:
    """Import torchaudio for what needs it.

    Raises:
        UserError: it cannot be loaded here.
    """
    with _loading("torchaudio", what, "install the build that belongs to this torch, or leave that out"):
        import torchaudio
        import torchaudio.functional
    return torchaudio


@contextmanager
def _loading(library: str, what: str, advice: str) -> Iterator[None]:
    try:
        yield
    except (ImportError, OSError, RuntimeError) as error:  # a shared library that is not there, or not the right one
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{what} needs {library}, which cannot be loaded here ({reason}): {advice}.") from error
