"""Ablations: factors with levels, and the systems that their combinations make."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from minvae_pyro.ablation.claims import Claim, read_claim
from minvae_pyro.ablation.training import Training, filled
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.descriptions import parse, read_yaml
from minvae_pyro.evaluation.systems import System
from minvae_pyro.registry.files import shipped

Combination = Mapping[str, str]
"""A level of each factor."""

_MODELS = ("checkpoint", "train")


@dataclass(frozen=True)
class Plan:
    """A system of an ablation before it is trained.

    Attributes:
        name: of the system: where it differs from the reference, or the level of an only factor, and its replicate.
        combination: level of each factor.
        replicate: level of each thing that is averaged over.
        description: of the system, as in a file of systems; ``train`` may stand in the place of ``checkpoint``.
    """

    name: str
    combination: Combination
    replicate: Combination
    description: Mapping[str, Any]

    @property
    def training(self) -> Training | None:
        """What has to be trained for it."""
        described = self.description.get("train")
        return None if described is None else Training.from_description(described)

    def system(self, checkpoint: str | os.PathLike[str] | None = None, trust: Sequence[str] = ()) -> System:
        """The system, checked, with the checkpoint that was trained where there is a :attr:`training`.

        Args:
            checkpoint: that was trained.
            trust: see :class:`minvae_pyro.evaluation.systems.System`.

        Raises:
            UserError: something in the description cannot be used.
        """
        described = {key: value for key, value in self.description.items() if key != "train"}
        described |= {} if checkpoint is None else {"checkpoint": str(checkpoint)}
        return System.from_description(self.name, described, {**self.combination, **self.replicate}, trust)


@dataclass(frozen=True)
class Ablation:
    """Factors, their levels, and which combinations are measured.

    The first level of each factor is its reference: where a factor stays while another changes.

    Attributes:
        title: of the report.
        factors: for each factor and each of its levels the part of a system that it stands for, None for nothing; later
            factors in front.
        base: part of a system that all have.
        design: the reference with one factor changed, all combinations, or a list of combinations, each a level or
            several for some factors; the others stay at their reference.
        replicates: what is averaged over, such as the seed of the training: for each level a part of a system that
            levels of factors may overrule, or a text put where ``{NAME}`` stands in strings.
        claims: what the ablation is to decide.
        by: properties of mixtures that the report splits by.
    """

    title: str
    factors: Mapping[str, Mapping[str, Mapping[str, Any] | None]]
    base: Mapping[str, Any] = field(default_factory=dict)
    design: Literal["one-at-a-time", "full"] | Sequence[Mapping[str, Any]] = "one-at-a-time"
    replicates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    claims: Sequence[Claim] = ()
    by: Sequence[Literal["talker", "noise", "snr_db"]] = ("talker",)

    @property
    def reference(self) -> dict[str, str]:
        """The first level of each factor."""
        return {factor: next(iter(levels)) for factor, levels in self.factors.items()}

    def combinations(self) -> list[dict[str, str]]:
        """The combinations that are measured, each once, in the order of the design."""
        if self.design == "full":
            chosen = _product(self.factors)
        elif self.design == "one-at-a-time":
            chosen = [{}, *({factor: level} for factor, levels in self.factors.items() for level in levels)]
        else:
            chosen = [one for entry in self.design for one in _combinations(entry)]
        full = [{**self.reference, **combination} for combination in chosen]
        return [one for number, one in enumerate(full) if one not in full[:number]]

    def plans(self) -> list[Plan]:
        """What is measured; replicates that make the same system of a combination are one."""
        found: list[Plan] = []
        for combination in self.combinations():
            made: list[Mapping[str, Any]] = []
            for replicate in _product(self.replicates):
                description = self._description(combination, replicate)
                if description not in made:
                    made.append(description)
                    found.append(Plan(self._name(combination, replicate), combination, replicate, description))
        return found

    def _name(self, combination: Combination, replicate: Combination) -> str:
        differs = {factor: level for factor, level in combination.items() if level != self.reference[factor]}
        distinct = combination if len(self.factors) == 1 else differs
        return ", ".join(filter(None, [label(distinct) or "reference", label(replicate)]))

    def _description(self, combination: Combination, replicate: Combination) -> dict[str, Any]:
        values = [self.replicates[name][level] for name, level in replicate.items()]
        parts = [value for value in values if isinstance(value, Mapping)]
        layers = [self.base, *parts, *(self.factors[factor][level] or {} for factor, level in combination.items())]
        merged: dict[str, Any] = {}
        for layer in layers:
            # whoever names a model stands for it alone
            if any(layer.get(key) is not None for key in _MODELS):
                merged = {key: value for key, value in merged.items() if key not in _MODELS}
            merged.update(layer)
        pairs = zip(replicate, values, strict=True)
        texts = {f"{{{name}}}": str(value) for name, value in pairs if not isinstance(value, Mapping)}
        return dict(filled(merged, texts))


def read_ablation(name_or_path: str | os.PathLike[str], trust: Sequence[str] = ()) -> Ablation:
    """Read an ablation, a YAML file or a shipped one (see :func:`shipped_ablations`), and check all that it names.

    Args:
        name_or_path: the file or name.
        trust: modules of your own whose classes its checkpoints may name.

    Raises:
        UserError: the file is missing or wrong; the message names the key.
    """
    path, known = Path(name_or_path), _shipped()
    if not path.is_file():
        if str(path) not in known:
            raise UserError(f"there is no ablation {path}: give a YAML file or one of {', '.join(known)}.")
        path = known[str(path)]
    described = read_yaml(path, "ablation")
    try:
        return ablation_from(described, trust)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def ablation_from(described: Any, trust: Sequence[str] = ()) -> Ablation:
    """The :class:`Ablation` that a mapping of its attributes describes, checked as by :func:`read_ablation`.

    Raises:
        UserError: something is missing, unknown or cannot be used.
    """
    given = parse(described, "an ablation", _Described)
    for key in ("title", "factors"):
        if not given[key]:
            raise UserError(f"key {key} is missing.")
    for key in ("factors", "replicates"):
        given[key] = {str(name): _levels(levels, f"{key}, {name}") for name, levels in given.get(key, {}).items()}
    ablation = Ablation(**{**given, "claims": tuple(map(read_claim, given.get("claims", ())))})
    _check(ablation, trust)
    return ablation


def shipped_ablations() -> list[str]:
    """Names of the ablations that ship with the package."""
    return list(_shipped())


def _shipped() -> dict[str, Path]:
    return shipped("minvae_pyro.ablation", "ready_made")


@dataclass(frozen=True)
class _Described(Ablation):
    """An ablation as a file has it: its claims are read one by one, for the message to say which is wrong."""

    claims: Sequence[Any] = ()


def _levels(levels: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Levels by their names as text."""
    if not levels:
        raise UserError(f"{where}: give levels with what they change, such as {{visual: {{start: visual}}}}.")
    return {str(level): part for level, part in levels.items()}


def _check(ablation: Ablation, trust: Sequence[str]) -> None:
    factors, replicates = ablation.factors, ablation.replicates
    if both := sorted(factors.keys() & replicates.keys()):
        raise UserError(f"{', '.join(both)} is a factor and a replicate: it is one of them.")
    if not isinstance(ablation.design, str):
        for one in (one for entry in ablation.design for one in _combinations(entry)):
            _check_levels(one, factors, "design")
    checked: list[Training] = []
    for plan in ablation.plans():
        training = plan.training
        if training and training not in checked:
            training.check()
            checked.append(training)
        # the shipped model stands in for what is not trained yet
        plan.system("min-vae" if training else None, trust)
    measured = ablation.combinations()
    for claim in ablation.claims:
        for part in claim.compared:
            _check_levels(part, factors, f"claim '{claim.text}'")
            if {**ablation.reference, **part} not in measured:
                raise UserError(f"claim '{claim.text}': the design leaves {label(part)} out.")


def _check_levels(combination: Combination, factors: Mapping[str, Mapping[str, Any]], where: str) -> None:
    for factor, level in combination.items():
        if factor not in factors:
            raise UserError(f"{where}: there is no factor {factor}. There are {', '.join(factors)}.")
        if level not in factors[factor]:
            raise UserError(f"{where}: {factor} has no level {level}. It has {', '.join(factors[factor])}.")


def _combinations(entry: Mapping[Any, Any]) -> list[dict[str, str]]:
    """The combinations of an entry of a design, which has a level or several for each factor."""
    several = {factor: levels if isinstance(levels, list) else [levels] for factor, levels in entry.items()}
    return _product({str(factor): dict.fromkeys(map(str, levels)) for factor, levels in several.items()})


def _product(choices: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    return [dict(zip(choices, chosen, strict=True)) for chosen in itertools.product(*choices.values())]


def label(combination: Combination) -> str:
    """Levels in words."""
    return ", ".join(f"{factor}={level}" for factor, level in combination.items())
