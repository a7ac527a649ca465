"""What there is to swap: every prior, guide, noise model, part, engine, configuration and checkpoint, found by looking.

Nothing is registered. The modules of the package are read, and what stands in them is sorted by its base class or by
the signature that its place asks for. The paper of a class is the first ``arXiv NNNN.NNNNN`` in its own docstring.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pyro.nn import PyroModule
from torch import nn

from minvae_pyro.ablation.design import ablation_comment, shipped_ablations
from minvae_pyro.checkpoints.checkpoint import describe, shipped
from minvae_pyro.corpora.corpus import Corpus, Transform
from minvae_pyro.guides import Responsibility, UtteranceGuide
from minvae_pyro.guides.base import TrainingGuide
from minvae_pyro.guides.test_time.starts import STARTS, Start
from minvae_pyro.inference import InferenceEngine
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.models import MarkovAlphaPrior, NoiseModel, SpeechPrior
from minvae_pyro.models.alpha_priors import AlphaPrior
from minvae_pyro.training.configuration import comment, shipped_configurations


@dataclass(frozen=True)
class Entry:
    """One thing that can be named.

    Attributes:
        name: by which it is named; its import path will do as well.
        path: where it is imported from; "" for a file.
        target: the class or function itself; None for a file.
        summary: the first sentence of its docstring.
        paper: ``arXiv NNNN.NNNNN``, or "".
    """

    name: str
    path: str
    target: Any
    summary: str
    paper: str


@dataclass(frozen=True)
class Kind:
    """Things that can stand in each other's place.

    Attributes:
        title: what they are.
        option: where they are named.
        fits: whether a class or function is one of them.
    """

    title: str
    option: str
    fits: Callable[[Any], bool]


def catalogue() -> dict[str, tuple[Entry, ...]]:
    """All there is, by kind, in the order of :data:`KINDS` and then of the names."""
    found = {kind: _found(kind) for kind in KINDS}
    return {**found, "configurations": _configurations(), "checkpoints": _checkpoints(), "ablations": _ablations()}


def entries(kind: str) -> tuple[Entry, ...]:
    """What there is of one kind, a key of :data:`KINDS`."""
    return _found(kind)


def choices(command: str, key: str, fits: Callable[[Any], bool]) -> list[str]:
    """Names of what can be given under a key of a command, the nearest kind if there is one.

    Args:
        command: such as ``minvae train``.
        key: dotted, such as ``prior.alpha_prior``.
        fits: whether a class or function is of the type that is asked for.
    """
    near = [kind for kind in KINDS if f"minvae {KINDS[kind].option}" == f"{command} --{key}"]
    if not near and "." in key:
        near = [kind for kind in KINDS if re.split(r"[.-]+", KINDS[kind].option)[-1] == key.rpartition(".")[2]]
    found = [entry for kind in near for entry in entries(kind) if fits(entry.target)]
    if not found and "." in key:
        found = [entry for kind in KINDS for entry in entries(kind) if fits(entry.target)]
        # a place for any network is no place for a whole model
        found = [entry for entry in found if _is_part(entry.target)] or found
    return [entry.name for entry in found]


def summary(docstring: str | None) -> str:
    """First sentence of a docstring without its markup and without the paper."""
    first = re.split(r"\n\s*\n", inspect.cleandoc(docstring or ""))[0]
    plain = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", " ".join(first.split())).replace("``", "")
    plain = re.sub(r"\s*\([^()]*arXiv[^()]*\)", "", plain)
    return re.split(r"(?<=[.!?])\s+(?=[A-Z])", plain)[0]


def paper(docstring: str | None) -> str:
    """The first ``arXiv NNNN.NNNNN`` in a docstring, or ""."""
    cited = re.search(r"arXiv\s+(\d{4}\.\d{4,5})", docstring or "")
    return f"arXiv {cited.group(1)}" if cited else ""


def import_path(target: Any) -> str:
    """The shortest dotted path that leads to a class or function."""
    name, parts = target.__name__, target.__module__.split(".")
    for length in range(1, len(parts) + 1):
        place = ".".join(parts[:length])
        if vars(importlib.import_module(place)).get(name) is target:
            return f"{place}.{name}"
    return f"{target.__module__}.{target.__qualname__}"


def _subclass_of(*bases: type) -> Callable[[Any], bool]:
    return lambda found: inspect.isclass(found) and issubclass(found, bases) and found not in bases


def _called_like(protocol: type, method: str = "__call__") -> Callable[[Any], bool]:
    """Whether instances of a class, or a function, are called with the arguments of a protocol."""
    asked = list(inspect.signature(getattr(protocol, method)).parameters)[1:]

    def fits(found: Any) -> bool:
        if inspect.isclass(found):
            own = getattr(found, method, None)
            return inspect.isfunction(own) and list(inspect.signature(own).parameters)[1:] == asked
        return inspect.isfunction(found) and list(inspect.signature(found).parameters) == asked

    return fits


def _has_methods_of(protocol: type) -> Callable[[Any], bool]:
    names = [name for name, value in vars(protocol).items() if inspect.isfunction(value) and not name.startswith("_")]
    return lambda found: inspect.isclass(found) and all(callable(getattr(found, name, None)) for name in names)


def _maps(*arguments: str, package: str = "minvae_pyro") -> Callable[[Any], bool]:
    """Whether a class is a plain module of a package, no model or guide, that maps these arguments to a Gaussian."""

    def fits(found: Any) -> bool:
        if not _is_part(found) or not within(found.__module__, package):
            return False
        signature = inspect.signature(found.forward)
        return list(signature.parameters)[1:] == list(arguments) and signature.return_annotation == "Gaussian"

    return fits


def _is_part(found: Any) -> bool:
    return inspect.isclass(found) and issubclass(found, nn.Module) and not issubclass(found, PyroModule)


def _is_other_part(found: Any) -> bool:
    taken = found in (AlphaPrior, MarkovAlphaPrior) or any(
        KINDS[kind].fits(found) for kind in KINDS if kind != "networks"
    )
    # the transform of sounds is given by the data
    return _is_part(found) and not taken and not within(found.__module__, "minvae_pyro.audio")


def _is_training_guide(found: Any) -> bool:
    model = _subclass_of(PyroModule)(found) and not issubclass(found, SpeechPrior)
    return model and issubclass(found, TrainingGuide)


KINDS: dict[str, Kind] = {
    "priors": Kind("speech priors", "train --prior", _subclass_of(SpeechPrior)),
    "guides": Kind("guides for training", "train --guide", _is_training_guide),
    "noises": Kind("noise models", "enhance --noise", _subclass_of(NoiseModel)),
    "test-guides": Kind("guides at test time", "enhance --guide", _subclass_of(UtteranceGuide)),
    "engines": Kind("inference engines", "enhance --engine", _subclass_of(InferenceEngine)),
    "starts": Kind("starts of inference", "enhance --start", _called_like(Start)),
    "components": Kind(
        "priors of z under one alpha",
        "train --prior.visual_component",
        _maps("utterances", package="minvae_pyro.models"),
    ),
    "mixing": Kind("priors of alpha", "train --prior.alpha_prior", _subclass_of(AlphaPrior, MarkovAlphaPrior)),
    "posteriors": Kind("posteriors of z", "train --guide.audio", _maps("utterances", package="minvae_pyro.guides")),
    "responsibilities": Kind("rules for q(alpha)", "train --guide.responsibility", _subclass_of(Responsibility)),
    "mouth-networks": Kind("mouth networks", "train --guide.visual.network", _maps("mouth", "mouth_seen")),
    "networks": Kind("other networks", "train --prior.decoder", _is_other_part),
    "training-noise": Kind(
        "noise injected in training",
        "train --data.noise",
        lambda found: _called_like(Transform)(found) and found.__module__ == "minvae_pyro.training.noise",
    ),
    "augmentations": Kind(
        "changes of the mouth in training",
        "train --data.augmentation",
        lambda found: _called_like(Transform)(found) and found.__module__ != "minvae_pyro.training.noise",
    ),
    "corpora": Kind("corpora in memory", "train --data.train", _has_methods_of(Corpus)),
}
"""Kinds of classes and functions; configurations and checkpoints are files beside them."""

FILES = {
    "configurations": ("configurations", "train --config"),
    "checkpoints": ("checkpoints", "enhance --checkpoint"),
    "ablations": ("ready-made ablations", "ablate NAME"),
}
"""Kinds of files: title and option."""


@functools.cache
def _found(kind: str) -> tuple[Entry, ...]:
    fits = KINDS[kind].fits
    short = {target: name for name, target in {**STARTS, **ENGINES}.items()}
    made = (
        Entry(
            short.get(target, target.__name__),
            import_path(target),
            target,
            summary(target.__doc__),
            paper(target.__doc__),
        )
        for target in _public()
        if fits(target) and _needs_no_arguments(target)
    )
    return tuple(sorted(made, key=lambda entry: entry.name))


@functools.cache
def _public() -> tuple[Any, ...]:
    """Public classes and functions that the modules of the package define."""
    return tuple(
        value
        for module in _modules()
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and not _is_abstract(value)
    )


def _is_abstract(found: Any) -> bool:
    """Whether a class leaves something to subclasses, be it by a method that raises NotImplementedError."""
    if inspect.isabstract(found) or getattr(found, "_is_protocol", False):
        return True
    methods = (value for _, value in inspect.getmembers(found, inspect.isfunction)) if inspect.isclass(found) else ()
    ours = (method for method in methods if within(method.__module__, "minvae_pyro"))
    return any("NotImplementedError" in method.__code__.co_names for method in ours)


def _modules() -> Iterator[ModuleType]:
    """All modules but those of the command line. Models and guides may lie elsewhere, so they are named."""
    seen = set()
    for name in ("minvae_pyro", "minvae_pyro.models", "minvae_pyro.guides"):
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if found.name not in seen and not within(found.name, "minvae_pyro.cli"):
                seen.add(found.name)
                yield importlib.import_module(found.name)


def _needs_no_arguments(target: Any) -> bool:
    """Whether a class can be made from its name alone; what lacks a default is for programs. Guides get the prior."""
    if not inspect.isclass(target):
        return True
    parameters = inspect.signature(target).parameters.values()
    named = (p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    return all(p.default is not p.empty or p.name == "prior" for p in named)


def within(module: str, package: str) -> bool:
    """Whether a module lies in a package, both by their dotted names.

    Example:
        >>> within("minvae_pyro.models.vae", "minvae_pyro.models")
        True
        >>> within("minvae_pyro.models_of_mine", "minvae_pyro.models")
        False
    """
    return module == package or module.startswith(f"{package}.")


def _configurations() -> tuple[Entry, ...]:
    return _told({name: comment(name) for name in shipped_configurations()})


def _ablations() -> tuple[Entry, ...]:
    return _told({name: ablation_comment(name) for name in shipped_ablations()})


def _told(texts: Mapping[str, str]) -> tuple[Entry, ...]:
    """Files by their names, as their comments tell of them."""
    return tuple(Entry(name, "", None, summary(text), paper(text)) for name, text in texts.items())


def _checkpoints() -> tuple[Entry, ...]:
    made = []
    for name in shipped():
        description = describe(name)
        prior, guide = (description[key]["class_path"].rpartition(".")[2] for key in ("prior", "guide"))
        known = {entry.name: entry.paper for entry in entries("priors")}
        made.append(Entry(name, "", None, f"{prior} with {guide}.", known.get(prior, "")))
    return tuple(made)
