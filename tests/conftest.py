"""What every test shares: a clean Pyro, a fixed seed and the way to the real data."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pyro
import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent


class _TorchRandom:
    """Torch's global generator in the shape that Hypothesis seeds before each example it tries."""

    seed = staticmethod(torch.manual_seed)
    getstate = staticmethod(torch.get_rng_state)
    setstate = staticmethod(torch.set_rng_state)


# Hypothesis keeps a weak reference only, so the adapter needs a name of its own.
_TORCH_RANDOM = _TorchRandom()
hypothesis.register_random(_TORCH_RANDOM)

# The first call of a torch operator is far slower than the next ones: a deadline would fail at random.
hypothesis.settings.register_profile("minvae", deadline=None)
hypothesis.settings.load_profile("minvae")

# Several test processes share the cores; small tensors gain nothing from more threads.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def clean_pyro() -> Iterator[None]:
    """Start each test with an empty parameter store, validation on and a fixed seed; restore the dtype."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    dtype = torch.get_default_dtype()
    with pyro.validation_enabled(True):
        yield
    torch.set_default_dtype(dtype)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real recordings: MINVAE_DATA, else `shared/data` beside the checkout.

    Tests that need it are skipped on a machine without it, and fail in CI, where it must be there.
    """
    folder = Path(os.environ.get("MINVAE_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        reason = f"no real data in {folder}; set MINVAE_DATA to their folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
