"""``minvae list``: what can be named on the command line and in configurations."""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from minvae_pyro.errors import UserError

KINDS = {
    "priors": ("speech priors", "train --prior"),
    "guides": ("guides for training", "train --guide"),
    "noises": ("noise models", "enhance --noise"),
    "test-guides": ("guides at test time", "enhance --guide"),
    "engines": ("inference engines", "enhance --engine"),
    "starts": ("starts of inference", "enhance --start"),
    "components": ("priors of z under one alpha", "train --prior.visual_component"),
    "alpha-priors": ("priors of alpha", "train --prior.alpha_prior"),
    "features": ("features of the mouth", "train --prior.visual_features"),
    "posteriors": ("posteriors of z", "train --guide.audio"),
    "responsibilities": ("rules for q(alpha)", "train --guide.responsibility"),
    "gates": ("gates of q(alpha)", "train --guide.responsibility.gate"),
    "decoders": ("decoders", "train --prior.decoder"),
    "audio-visual-decoders": ("decoders that see the mouth", "train --prior.decoder"),
    "transitions": ("transitions of z", "train --prior.transition"),
    "feature-networks": ("networks on features of the mouth", "train --prior.network"),
    "mouth-networks": ("networks on the mouth", "train --guide.visual.network"),
    "audio-encoders": ("networks on sound", "train --guide.audio.encoder"),
    "audio-visual-encoders": ("networks on sound and mouth", "train --guide.encoder"),
    "sequence-encoders": ("networks on whole utterances", "train --guide.encoder"),
    "transforms": ("what is done to batches in training", "train --data.noise, --data.augmentation"),
    "corpora": ("corpora in memory", "train --data.train"),
}
"""Kinds of classes and functions: title and option."""

FILES = {
    "configurations": ("configurations", "train --config"),
    "checkpoints": ("checkpoints", "enhance --checkpoint"),
    "ablations": ("ready-made ablations", "ablate NAME"),
}
"""Kinds of files: title and option."""


@dataclass(frozen=True)
class Entry:
    """One thing that can be named.

    Attributes:
        name: by which it is named; its import path will do as well.
        path: where it is imported from; "" for a file.
        summary: the first sentence of its docstring.
        paper: ``arXiv NNNN.NNNNN``, or "".
    """

    name: str
    path: str
    summary: str
    paper: str


def parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = argparse.ArgumentParser(
        prog="minvae list",
        description="Show what can be named: priors, guides, noise models, their parts, engines, configurations, "
        "checkpoints, ready-made ablations, each with its paper.",
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help="of one kind only, such as priors (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object: for each kind, a list")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Returns:
        0.

    Raises:
        UserError: there is no such kind.
    """
    given = parser().parse_args(arguments)
    kinds = [*KINDS, *FILES]
    if given.kind is not None and given.kind not in kinds:
        raise UserError(f"there is no kind {given.kind!r}: choose {', '.join(kinds)}.")
    shown = {kind: entries(kind) for kind in ([given.kind] if given.kind else kinds)}
    if given.json:
        print(json.dumps({kind: [asdict(entry) for entry in found] for kind, found in shown.items()}))
    else:
        _show(shown)
    return 0


def entries(kind: str) -> list[Entry]:
    """What there is of one kind, a key of :data:`KINDS` or :data:`FILES`."""
    return _files(kind) if kind in FILES else [_entry(name, one) for name, one in _named(kind).items()]


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


def _named(kind: str) -> Mapping[str, Any]:
    """What there is of a kind by its name: the classes below one base class, those of the package imported here."""
    import minvae_pyro.synthetic.corpus
    import minvae_pyro.training.augmentation
    import minvae_pyro.training.noise  # noqa: F401
    from minvae_pyro.corpora.corpus import Corpus, Transform
    from minvae_pyro.guides import Responsibility, UtteranceGuide
    from minvae_pyro.guides.base import TrainingGuide
    from minvae_pyro.guides.encoders import ZPosterior
    from minvae_pyro.guides.test_time.starts import STARTS
    from minvae_pyro.inference.engine import InferenceEngine
    from minvae_pyro.inference.settings import ENGINES
    from minvae_pyro.models import NoiseModel, SpeechPrior
    from minvae_pyro.models.alpha_priors import AlphaPrior
    from minvae_pyro.models.z_priors import ZPrior
    from minvae_pyro.nn import base
    from minvae_pyro.registry.names import offered

    if kind == "starts":
        return dict(sorted(STARTS.items()))
    bases: dict[str, type] = {
        "priors": SpeechPrior,
        "guides": TrainingGuide,
        "noises": NoiseModel,
        "test-guides": UtteranceGuide,
        "engines": InferenceEngine,
        "components": ZPrior,
        "alpha-priors": AlphaPrior,
        "features": base.VisualFeatures,
        "posteriors": ZPosterior,
        "responsibilities": Responsibility,
        "gates": base.Gate,
        "decoders": base.Decoder,
        "audio-visual-decoders": base.AudioVisualDecoder,
        "transitions": base.LatentTransition,
        "feature-networks": base.FeatureEncoder,
        "mouth-networks": base.VisualEncoder,
        "audio-encoders": base.AudioEncoder,
        "audio-visual-encoders": base.AudioVisualEncoder,
        "sequence-encoders": base.SequenceEncoder,
        "transforms": Transform,
        "corpora": Corpus,
    }
    short: dict[Any, str] = {engine: name for name, engine in ENGINES.items()}
    found: dict[str, Any] = {**offered(bases[kind])}
    return dict(sorted((short.get(one, name), one) for name, one in found.items()))


def _entry(name: str, found: Any) -> Entry:
    return Entry(name, _import_path(found), summary(found.__doc__), paper(found.__doc__))


def _import_path(found: Any) -> str:
    """The shortest dotted path that leads to a class or function."""
    parts = found.__module__.split(".")
    places = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    name = found.__name__
    return next(f"{place}.{name}" for place in places if vars(sys.modules[place]).get(name) is found)


def _files(kind: str) -> list[Entry]:
    if kind == "checkpoints":
        return _checkpoints()
    if kind == "ablations":
        from minvae_pyro.ablation.design import ablation_comment as comment, shipped_ablations as names
    else:
        from minvae_pyro.training.configuration import comment, shipped_configurations as names
    texts = {name: comment(name) for name in names()}
    return [Entry(name, "", summary(text), paper(text)) for name, text in texts.items()]


def _checkpoints() -> list[Entry]:
    from minvae_pyro.checkpoints.checkpoint import describe, shipped

    papers = {entry.name: entry.paper for entry in entries("priors")}
    found = []
    for name in shipped():
        prior, guide = (describe(name)[key]["class_path"] for key in ("prior", "guide"))
        found.append(Entry(name, "", f"{prior} with {guide}.", papers.get(prior, "")))
    return found


def _show(shown: Mapping[str, Sequence[Entry]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for kind, found in shown.items():
        title, option = {**KINDS, **FILES}[kind]
        table = Table(
            title=f"[bold]{kind}[/]: {title}  [dim]minvae {option}[/]",
            title_justify="left",
            title_style="",
            box=box.SIMPLE_HEAD,
            show_header=False,
            pad_edge=False,
        )
        table.add_column(no_wrap=True, style="bold")
        table.add_column(ratio=1)
        table.add_column(no_wrap=True, style="dim")
        for entry in found:
            table.add_row(entry.name, entry.summary.replace("[", r"\["), entry.paper)
        console.print(table)
    console.print(
        "Your own classes can be named as well, by their import path: --prior my_package.MyPrior\n"
        "`minvae train --prior.help CLASS` and `minvae enhance --noise.help CLASS` tell the arguments of a class.",
        highlight=False,
        markup=False,
    )
