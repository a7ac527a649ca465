"""``minvae list``: what can be named on the command line and in configurations."""

from __future__ import annotations

import argparse
import fnmatch
import inspect
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minvae_pyro.cli.console import CommandParser, say, write
from minvae_pyro.errors import UserError
from minvae_pyro.registry.files import first_comment, shipped
from minvae_pyro.registry.names import offered, subclasses

_USES = {
    "min-vae": "the first choice, with a video or without",
    "a-vae": "for sound alone, or where the video does more harm than good",
    "min-vae-published": "the paper's own recipe, to compare with; one talker",
    "min-vae-s1*": "to compare other priors with; one talker",
    "a-vae-s1*": "to compare other priors with; one talker, sound alone",
    "a-dkf": "to study this prior; one talker, sound alone",
    "*-*": "to study this prior; one talker",
}
"""When to take a shipped checkpoint, by the first pattern that fits its name."""


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
    parser = CommandParser(
        prog="minvae list",
        description="Show what can be named: priors, guides, noise models, their parts, engines, configurations, "
        "checkpoints, ready-made ablations, each with its paper.",
    )
    parser.add_argument("kind", nargs="?", metavar="KIND", help="of one kind only, such as priors (default: all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object: for each kind, a list")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the command.

    Raises:
        UserError: there is no such kind.
    """
    given = parser().parse_args(arguments)
    known = kinds()
    if given.kind is not None and given.kind not in known:
        raise UserError(f"there is no kind {given.kind!r}: choose {', '.join(known)}.")
    shown = {kind: entries(named) for kind, (_, _, named) in known.items() if given.kind in (None, kind)}
    if given.json:
        say(json.dumps({kind: [asdict(entry) for entry in found] for kind, found in shown.items()}))
    else:
        _show(shown, known)
    return 0


def kinds() -> dict[str, tuple[str, str, type[Any] | Mapping[str, Any]]]:
    """What can be named: by kind its title, the option that asks for it, and a base class or all there is by name."""
    # what derives from a base class has a name once it is imported
    import minvae_pyro.synthetic.corpus
    import minvae_pyro.training.augmentation
    import minvae_pyro.training.microphone
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

    weights = shipped("minvae_pyro.checkpoints", "weights", ".safetensors")
    short = {engine: name for name, engine in ENGINES.items()}
    engines = {short.get(one, name): one for name, one in offered(InferenceEngine).items()}  # type: ignore[type-abstract]
    return {
        "priors": ("speech priors", "train --prior", SpeechPrior),
        "guides": ("guides for training", "train --guide", TrainingGuide),
        "noises": ("noise models", "enhance --noise", NoiseModel),
        "test-guides": ("guides at test time", "enhance --guide", UtteranceGuide),
        "engines": ("inference engines", "enhance --engine", engines),
        "starts": ("starts of inference", "enhance --start", STARTS),
        "components": ("priors of z under one alpha", "train --prior.visual_component", ZPrior),
        "alpha-priors": ("priors of alpha", "train --prior.alpha_prior", AlphaPrior),
        "features": ("features of the mouth", "train --prior.visual_features", base.VisualFeatures),
        "posteriors": ("posteriors of z", "train --guide.audio", ZPosterior),
        "responsibilities": ("rules for q(alpha)", "train --guide.responsibility", Responsibility),
        "gates": ("gates of q(alpha)", "train --guide.responsibility.gate", base.Gate),
        "decoders": ("decoders", "train --prior.decoder", base.Decoder),
        "audio-visual-decoders": ("decoders that see the mouth", "train --prior.decoder", base.AudioVisualDecoder),
        "transitions": ("transitions of z", "train --prior.transition", base.LatentTransition),
        "feature-networks": ("networks on features of the mouth", "train --prior.network", base.FeatureEncoder),
        "mouth-networks": ("networks on the mouth", "train --guide.visual.network", base.VisualEncoder),
        "audio-encoders": ("networks on sound", "train --guide.audio.encoder", base.AudioEncoder),
        "audio-visual-encoders": ("networks on sound and mouth", "train --guide.encoder", base.AudioVisualEncoder),
        "sequence-encoders": ("networks on whole utterances", "train --guide.encoder", base.SequenceEncoder),
        "transforms": ("what is done to batches in training", "train --data.noise, --data.augmentation", Transform),
        "corpora": ("corpora in memory", "train --data.train", Corpus),
        "configurations": ("configurations", "train --config", shipped("minvae_pyro.training", "configs")),
        "families": (
            "configurations one after the other",
            "train --config",
            shipped("minvae_pyro.training", "families"),
        ),
        "checkpoints": ("checkpoints", "enhance --checkpoint", weights),
        "ablations": ("ready-made ablations", "ablate NAME", shipped("minvae_pyro.ablation", "ready_made")),
    }


def entries(named: type[Any] | Mapping[str, Any]) -> list[Entry]:
    """Entries of what can be named below a base class, or of classes, functions and files that have a name."""
    found = offered(named) if isinstance(named, type) else named
    return [_entry(name, one) for name, one in sorted(found.items())]


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


def _entry(name: str, found: Any) -> Entry:
    if not isinstance(found, Path):
        return Entry(name, _import_path(found), summary(found.__doc__), paper(found.__doc__))
    from minvae_pyro.checkpoints.checkpoint import describe
    from minvae_pyro.models import SpeechPrior

    if found.suffix == ".yaml":
        text = first_comment(found)
        return Entry(name, "", summary(text), paper(text))
    prior, guide = (describe(found)[key]["class_path"] for key in ("prior", "guide"))
    cited = paper(subclasses(SpeechPrior)[prior].__doc__)  # type: ignore[type-abstract]
    return Entry(name, "", f"{prior} with {guide}{_use(name)}.", cited)


def _use(checkpoint: str) -> str:
    """When to take a shipped checkpoint."""
    known = (use for pattern, use in _USES.items() if fnmatch.fnmatchcase(checkpoint, pattern))
    return f": {use}" if (use := next(known, "")) else ""


def _import_path(found: Any) -> str:
    """The shortest dotted path that leads to a class or function."""
    parts = found.__module__.split(".")
    places = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    name = found.__name__
    return next(f"{place}.{name}" for place in places if vars(sys.modules[place]).get(name) is found)


def _show(shown: Mapping[str, Sequence[Entry]], kinds: Mapping[str, tuple[str, str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    seen = Console()
    text = io.StringIO()
    console = Console(file=text, width=seen.width, force_terminal=seen.is_terminal)
    for kind, found in shown.items():
        title, option, _ = kinds[kind]
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
    write(text.getvalue())
