from typing import Any

import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.guides.test_time.starts import STARTS, both
from minvae_pyro.inference.settings import Settings, start_named


def mine(prior, encoders, utterances, trust, seed):  # type: ignore[no-untyped-def]
    return encoders.encode_audio(utterances)


class Mine:
    def __call__(self, *parts: Any) -> None: ...


class Needing(Mine):
    def __init__(self, share: float) -> None: ...


def one(utterances: Any) -> None: ...


class Still: ...


def test_a_start_is_named_shortly_or_by_its_import_path() -> None:
    assert start_named("both") is both
    assert start_named(f"{__name__}.mine") is mine
    assert isinstance(start_named(f"{__name__}.Mine"), Mine)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere", "there is no start 'nowhere'. Choose visual, audio, both, prior, random or"),
        ("os.system", "its __call__ does not take (prior, encoders, utterances, trust, seed)"),
        (f"{__name__}.one", "its __call__ does not take (prior, encoders, utterances, trust, seed)"),
        (f"{__name__}.Still", "it has no method __call__(prior, encoders, utterances, trust, seed)"),
        (f"{__name__}.Needing", "it is made without arguments, and needs share"),
    ],
)
def test_what_is_no_start_is_told_why(name: str, told: str) -> None:
    with pytest.raises(UserError) as refused:
        start_named(name)
    assert told in str(refused.value)


def test_a_checkpoint_names_no_function_to_run_unless_the_caller_does() -> None:
    kept = {"start": "os.system", "draws": 4}
    with pytest.raises(UserError, match=r"start: the file names 'os\.system'.* If you trust .*--trust os "):
        Settings.of_checkpoint(kept, (), {"start": None})
    assert Settings.of_checkpoint(kept, (), {"start": "audio"}).start == "audio"
    assert Settings.of_checkpoint({"start": "visual"}, (), {}).start == "visual"
    mine_too = {"start": f"{__name__}.mine"}
    assert Settings.of_checkpoint(mine_too, (__name__,)).start == f"{__name__}.mine"
    # of a checkpoint that was made here, and given alone, the settings are the caller's own
    assert Settings.of_checkpoint(mine_too, None).start == f"{__name__}.mine"
    assert Settings.choose({"start": "my.start"}).start == "my.start"
    assert {"visual", "audio", "both"} <= STARTS.keys()


def test_settings_at_their_limits_are_settings() -> None:
    limits = Settings(draws=1, temperature=1e-6, mixing_weight=1e-9, unexplained=0.0, gain="frame")
    assert Settings.choose(vars(limits)) == limits
    assert Settings(mixing_weight=1 - 1e-9, unexplained=1 - 1e-9).draws > 1
