"""What is said of a class that cannot stand where it is named, and which classes can: a user's own in any dress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from minvae_pyro.corpora.corpus import Corpus, Transform
from minvae_pyro.errors import UserError
from minvae_pyro.models import NMFNoise, NoiseModel, SpeechPrior
from minvae_pyro.nn.base import AudioVisualDecoder, Decoder
from minvae_pyro.registry.messages import Place, bases, check, plain
from minvae_pyro.registry.names import offered_names

OWN = """
from minvae_pyro.corpora.corpus import Transform
from minvae_pyro.models import MinVAE


class Bare:
    def __init__(self, strength=2, kind="soft"):
        self.strength = strength

    def __call__(self, utterances, generator, corpus):
        return utterances


class Derived(Transform):
    def __call__(self, utterances, generator, corpus):
        return utterances


class Needing(Bare):
    def __init__(self, strength):
        self.strength = strength


class Short:
    def __call__(self, utterances):
        return utterances


class Still:
    pass


class Wider(MinVAE):
    def __init__(self, width=3, **options):
        super().__init__(**options)


def function(utterances, generator, corpus):
    return utterances


def short(utterances):
    return utterances
"""


class Instrument:
    """Of another library: that is left to jsonargparse."""


NOISE = Place("data.noise", Transform | None)


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_parts.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("import math\nmath.sqrt(-1)\n")
    (tmp_path / "own_lacking.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("own_parts", "own_broken", "own_lacking"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("hint", "found"),
    [
        (NoiseModel, (NoiseModel,)),
        (NoiseModel | None, (NoiseModel,)),
        (Decoder | AudioVisualDecoder | None, (Decoder, AudioVisualDecoder)),
        (list[str] | Corpus, (Corpus,)),
        (int, ()),
        (dict[str, str] | Path | None, ()),
        (Any, ()),
        (Instrument, ()),
    ],
)
def test_the_base_classes_of_a_place_are_those_of_its_type(hint: Any, found: tuple[type, ...]) -> None:
    assert bases(hint) == found


@pytest.mark.parametrize(
    "described", ["own_parts.Bare", "own_parts.Derived", {"class_path": "own_parts.Bare", "init_args": {"strength": 3}}]
)
def test_classes_without_annotations_fit_by_what_they_do(described: Any) -> None:
    assert check(described, NOISE)["class_path"].startswith("own_parts.")


def test_a_function_fits_by_its_arguments() -> None:
    assert check("own_parts.function", NOISE) == {"class_path": "own_parts.function"}


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ("own_parts.Still", "it has no method __call__(utterances, generator, corpus)"),
        ("own_parts.Short", "its __call__ does not take (utterances, generator, corpus)"),
        ("own_parts.short", "its __call__ does not take (utterances, generator, corpus)"),
        ("own_parts.Needing", "data.noise: Needing needs --data.noise.strength"),
        (
            {"class_path": "own_parts.Bare", "init_args": {"x": 1}},
            "Bare has no argument 'x'. Its arguments: strength",
        ),
        ("own_parts.OWN", "module 'own_parts' has no attribute 'OWN'"),
        ("own_gone.Part", "No module named 'own_gone'"),
        ("own_lacking.Part", "needs a module 'no_such_library' that is missing"),
        ("own_broken.Part", "own_broken raises ValueError (math domain error; "),
        ("own_broken.Part", "own_broken.py, line 2)"),
        ("os.system", "its __call__ does not take (utterances, generator, corpus)"),
        ("Transform", "Transform is a base class, which leaves __call__ open"),
        ("Foo", "there is no data.noise 'Foo'. Choose "),
    ],
)
def test_the_reason_is_said(described: Any, told: str) -> None:
    with pytest.raises(UserError) as refused:
        check(described, NOISE)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_arguments_handed_on_to_a_base_class_are_known() -> None:
    place = Place("prior", SpeechPrior)
    described = {"class_path": "own_parts.Wider", "init_args": {"width": 4, "latent_dim": 3, "alpha_prior": "Foo"}}
    with pytest.raises(UserError, match=r"no prior\.alpha_prior 'Foo'\. Choose FixedAlphaPrior"):
        check(described, place)
    del described["init_args"]["alpha_prior"]  # type: ignore[attr-defined]
    assert check(described, place) == described


def test_classes_deep_inside_are_looked_up_by_the_base_class_of_their_place() -> None:
    described = {"class_path": "MinVAE", "init_args": {"decoder": "SpectrumDecoder"}}
    whole = check(described, Place("prior", SpeechPrior))
    assert whole["class_path"] == "minvae_pyro.models.min_vae.MinVAE"
    assert whole["init_args"]["decoder"]["class_path"] == "minvae_pyro.nn.audio.SpectrumDecoder"
    # the same name is none where another base class is asked for
    with pytest.raises(UserError, match="no prior 'SpectrumDecoder'"):
        check("SpectrumDecoder", Place("prior", SpeechPrior))


@pytest.mark.parametrize("path", ["os.system", "builtins.eval", "subprocess.Popen", "torch.nn.Linear"])
@pytest.mark.parametrize("place", ["prior", "decoder"])
def test_nothing_is_made_of_what_does_not_derive_from_the_base_class(path: str, place: str) -> None:
    described: Any = {"class_path": path, "init_args": {"command": "true"}}
    if place == "decoder":
        described = {"class_path": "AudioVAE", "init_args": {"decoder": described}}
    with pytest.raises(UserError, match=r"not a class|does not derive from"):
        check(described, Place("prior", SpeechPrior))


def test_what_needs_tensors_is_not_offered_and_bases_are_not() -> None:
    names = Place("x", nn.Module | NoiseModel).names
    assert names == ["BayesianNMFNoise", "NMFNoise", "PauseBoundedNoise", "StationaryNoise"]
    assert offered_names([NoiseModel], {"low": NMFNoise}) == [
        "low",
        "BayesianNMFNoise",
        "PauseBoundedNoise",
        "StationaryNoise",
    ]
    assert Place("x", int).choice() == "Give an import path."


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Parser key \"seed\":\n  Expected a <class 'int'>. Got value: x", "seed: must be int, not x"),
        (
            'Parser key "prior":\n  Problem with given class_path \'a.B\':\n    Parser key "latent_dim":\n'
            "      Expected a <class 'int'>. Got value: many",
            "prior.latent_dim: must be int, not many",
        ),
        ("unrecognized arguments: --rate 3", "unrecognized arguments: --rate 3"),
    ],
)
def test_what_jsonargparse_says_becomes_one_line(text: str, line: str) -> None:
    assert plain(text) == line


@pytest.mark.parametrize(
    "described",
    [
        {"class_path": 3},
        {"class_path": ["NMFNoise"]},
        {"class_path": "NMFNoise", "init_args": [8]},
        {"class_path": "NMFNoise", "init_args": {"rank": 8}, "more": 1},
        "{class_path: NMFNoise",
        7,
    ],
)
def test_a_description_of_another_form_is_refused(described: Any) -> None:
    with pytest.raises(UserError, match=r"is described by class_path|is no noise|there is no noise"):
        check(described, Place("noise", NoiseModel))
