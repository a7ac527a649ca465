"""Parts by name: what is found, what is made, and what a wrong name is told."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any

import pytest

from minvae_pyro.errors import UserError
from minvae_pyro.guides import MeanFieldGuide, PointGuide, SmoothedGuide, UtteranceGuide
from minvae_pyro.inference import InferenceEngine, StochasticVariational
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import NMFNoise, NoiseModel
from minvae_pyro.registry.build import make
from minvae_pyro.registry.names import name_of, parameters, resolve, subclasses


class Instrument(ABC):
    """Something to be made."""

    @abstractmethod
    def play(self) -> str: ...


class Flute(Instrument):
    def __init__(self, keys: int = 8, case: str = "wood") -> None:
        if keys < 1:
            raise ValueError(f"a flute needs keys, not {keys}")
        self.keys, self.case = keys, case

    def play(self) -> str:
        return "toot"


def is_number(found: Any) -> bool:
    return isinstance(found, int)


def test_a_name_is_a_known_one_or_an_import_path() -> None:
    assert resolve("one", {"one": 1, "two": 2}, is_number, "number") == 1
    assert resolve("minvae_pyro.utterances.MOUTH_SIZE", {"one": 1}, is_number, "number") == 67


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("three", "there is no number 'three'. Choose one, two or give the import path of another."),
        ("no.where", "there is no number 'no.where' (No module named 'no'). Choose one, two"),
        ("math.nothing", "there is no number 'math.nothing' (module 'math' has no attribute 'nothing'). Choose one"),
        ("math.pi", "'math.pi' is no number. Choose one, two"),
        ("..", "there is no number '..'"),
    ],
)
def test_a_wrong_name_is_told_the_right_ones(name: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        resolve(name, {"one": 1, "two": 2}, is_number, "number")
    assert message in str(refused.value)


def test_a_part_by_name_by_description_and_itself() -> None:
    short: dict[str, type[Instrument]] = {"flute": Flute}
    assert isinstance(make(Instrument, "flute", "instrument", short), Flute)  # type: ignore[type-abstract]
    described = {"class_path": f"{__name__}.Flute", "init_args": {"keys": 3}}
    made: Any = make(Instrument, described, "instrument")  # type: ignore[type-abstract]
    assert (made.keys, made.case) == (3, "wood")
    assert make(Instrument, made, "instrument") is made  # type: ignore[type-abstract]
    # the same description serves again, and is left as it was
    assert make(Instrument, described, "instrument").keys == 3  # type: ignore[type-abstract, attr-defined]
    assert described["init_args"] == {"keys": 3}


def test_a_type_that_cannot_be_found_is_no_type() -> None:
    class Drum:
        def __init__(self, skin: Nowhere, size: int = 3, **options: Any) -> None:  # type: ignore[name-defined]  # noqa: F821
            """Its types cannot be told at run time."""

    assert [one.annotation for one in parameters(Flute).values()] == [int, str]
    assert list(parameters(Drum)) == ["skin", "size"]
    assert {one.annotation for one in parameters(Drum).values()} == {inspect.Parameter.empty}


@pytest.mark.parametrize("init_args", [{"holes": 3}, {"keys": "many"}, {"keys": 0}])
def test_wrong_arguments_are_told_the_right_ones(init_args: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"the instrument Flute cannot be made \(.*\)\. Its arguments: keys, case\."):
        make(Instrument, {"class_path": "flute", "init_args": init_args}, "instrument", {"flute": Flute})  # type: ignore[type-abstract]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (f"{__name__}.Instrument", "Instrument is a base class, which leaves play open"),
        ("math.pi", "it is of type float, not a class"),
        ("minvae_pyro.guides.PointGuide", "it does not derive from Instrument"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=rf"is no instrument: {reason}\. Choose flute or give the import path"):
        make(Instrument, name, "instrument", {"flute": Flute})  # type: ignore[type-abstract]


def test_classes_of_the_package_are_known_by_their_names() -> None:
    assert subclasses(UtteranceGuide)["PointGuide"] is PointGuide  # two levels down
    assert {"MeanFieldGuide", "MixtureUtteranceGuide", "AmortisedGuide", "SmoothedGuide"} <= subclasses(
        UtteranceGuide
    ).keys()
    assert subclasses(Instrument) == {}  # type: ignore[type-abstract]
    assert isinstance(make(UtteranceGuide, "MeanFieldGuide", "guide"), MeanFieldGuide)
    noise: Any = make(NoiseModel, {"class_path": "NMFNoise", "init_args": {"rank": 7}}, "noise model")
    assert isinstance(noise, NMFNoise)
    assert noise.rank == 7
    smoothed: Any = make(UtteranceGuide, {"class_path": "SmoothedGuide", "init_args": {"width": 2}}, "guide")
    assert isinstance(smoothed, SmoothedGuide)
    assert smoothed.width == 2
    engine: Any = make(InferenceEngine, {"class_path": "svi", "init_args": {"steps": 1}}, "engine", ENGINES)  # type: ignore[type-abstract]
    assert isinstance(engine, StochasticVariational)
    assert engine.steps == 1


def test_settings_of_a_guide_are_what_it_takes_and_nothing_of_its_base() -> None:
    with pytest.raises(UserError, match=r"Its arguments: none\."):
        make(UtteranceGuide, {"class_path": "PointGuide", "init_args": {"name": "mine"}}, "guide")


@pytest.mark.parametrize(
    ("described", "name"),
    [
        ("svi", "svi"),
        ("some.where.Thing", "Thing"),
        ({"class_path": "some.where.Thing", "init_args": {"a": 1}}, "Thing"),
        ({"class_path": "NMFNoise"}, "NMFNoise"),
        (Flute(), "Flute"),
    ],
)
def test_names_for_reports(described: Any, name: str) -> None:
    assert name_of(described) == name
