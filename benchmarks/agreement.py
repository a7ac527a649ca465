"""Show that Pyro's bounds agree on every prior and guide, whatever the particles and plates around them.

python -m benchmarks.agreement
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro.infer import Trace_ELBO, TraceEnum_ELBO

from benchmarks.common import answer, markdown, progress_bar
from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.errors import UserError
from minvae_pyro.guides import MeanFieldGuide, MixtureUtteranceGuide
from minvae_pyro.models import NoisyMixture, StationaryNoise
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.synthetic.corpus import SyntheticCorpus
from minvae_pyro.training.metrics import collapsed_when_unknown
from minvae_pyro.utterances import Utterances, concatenate

PRIORS = (
    *("a-vae", "v-vae", "av-vae", "av-cvae", "min-vae-published", "min-vae", "min-vae-v2", "vae-mm", "sw-vae"),
    *("a-dkf", "av-dkf"),
)
FRAMES = 12
SIDE_BY_SIDE = {"num_particles": 3, "vectorize_particles": True}

Program = Callable[[Utterances], Any]


@dataclass(frozen=True)
class Bound:
    """One way to estimate the bound.

    Attributes:
        elbo: the class of Pyro's, or of ours.
        settings: its arguments.
        copies: size of a plate around model and guide; 0 without one.
    """

    elbo: Any
    settings: dict[str, Any]
    copies: int = 0

    def estimates(self, model: Program, guide: Program, batch: Utterances, count: int) -> torch.Tensor:
        """Negative bounds in nats per frame of speech, (count,)."""
        elbo = self.elbo(max_plate_nesting=3 if self.copies else 2, strict_enumeration_warning=False, **self.settings)
        one, other = (self._within(program) for program in (model, guide))
        frames = max(1, self.copies) * int(batch.mask.sum())
        return torch.tensor([elbo.loss(one, other, batch) for _ in range(count)]) / frames

    def _within(self, program: Program) -> Program:
        def run(batch: Utterances) -> None:
            with pyro.plate("copies", self.copies, dim=-3):
                program(batch)

        return run if self.copies else program


BOUNDS = {
    "AnalyticTraceEnum": Bound(AnalyticTraceEnum_ELBO, {}),
    "3 side by side": Bound(AnalyticTraceEnum_ELBO, SIDE_BY_SIDE),
    "in a plate": Bound(AnalyticTraceEnum_ELBO, {}, copies=2),
    "TraceEnum": Bound(TraceEnum_ELBO, {}),
    "3 side by side ": Bound(TraceEnum_ELBO, SIDE_BY_SIDE),
    "in a plate ": Bound(TraceEnum_ELBO, {}, copies=2),
    "Trace, alpha drawn": Bound(Trace_ELBO, SIDE_BY_SIDE),
}
"""By the heading of their columns."""


def main(arguments: Sequence[str]) -> int:
    """Print the table.

    Returns:
        0 when all bounds agree, 2 with one line on stderr when some do not.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__.splitlines()[0])
    parser.add_argument("--priors", nargs="+", default=PRIORS, metavar="NAME", help="checkpoints; default: all priors")
    parser.add_argument("--draws", type=int, default=40, help="of each bound; default: 40")
    given = parser.parse_args(arguments)
    return answer(lambda: benchmark(given.priors, given.draws))


def benchmark(priors: Sequence[str], draws: int) -> str:
    """A row for each prior and guide: what each bound gives, and how many standard errors the farthest is off.

    Args:
        priors: names of checkpoints.
        draws: estimates of each bound.

    Raises:
        UserError: two bounds differ by more than chance allows.
    """
    rows, apart = [], []
    with progress_bar() as bar, pyro.validation_enabled(False):
        for name in bar.track(priors, description="agreement"):
            for guide, model, posterior, batch in programs(name):
                cells, farthest = row(model, posterior, batch, draws)
                rows.append([name, guide, *cells, f"{farthest:.1f}"])
                if farthest > 4.5:
                    apart.append(f"{name} with {guide}")
    table = markdown(["prior", "guide", *BOUNDS, "farthest (errors)"], rows)
    if apart:
        raise UserError(f"bounds differ for {', '.join(apart)}:\n{table}")
    return table


def programs(name: str) -> Iterator[tuple[str, Any, Any, Utterances]]:
    """Name of a guide, model, guide and recordings: as trained, on clean speech, and two guides on noisy speech."""
    checkpoint = load_checkpoint(name)
    prior, encoders = checkpoint.prior.double().eval(), checkpoint.guide.double().eval()
    torch.manual_seed(0)
    corpus = SyntheticCorpus(utterances=2, seconds=1.0)
    spoken = (corpus.load(number) for number in range(2))
    clean = concatenate(
        [
            Utterances.from_spectrum(one.power[:, :length], one.mouth[:, :length], one.mouth_seen[:, :length])
            for one, length in zip(spoken, (FRAMES, FRAMES - 3), strict=True)
        ]
    ).to(torch.float64)
    # a table of responsibilities has none for these recordings
    with local_parameters(prior, encoders), collapsed_when_unknown(encoders):
        yield type(encoders).__name__, prior, encoders, clean
    phase = 2 * torch.pi * torch.rand_like(clean.power)
    spectrum = torch.polar(clean.power.sqrt(), phase) + 0.3 * torch.randn_like(phase).to(torch.complex128)
    noisy = clean.replace(spectrum=spectrum, noisy_power=spectrum.abs().square())
    with torch.no_grad():
        given, begin = prior.condition_on(noisy), encoders.encode_audio(noisy)
    mixture = NoisyMixture(given, StationaryNoise().start(noisy), torch.ones(2, 1, 1, dtype=torch.float64))
    for kind in (MeanFieldGuide, MixtureUtteranceGuide):
        if kind.z_by_alpha and given.reach:
            continue  # it refuses a prior whose frames hang on each other's z
        guide = kind().start(given, noisy, begin, encoders)
        if kind is MixtureUtteranceGuide and guide.alpha is None:
            continue  # the mean field by another name
        guide.update_alpha(mixture, noisy)
        with local_parameters(mixture, given, guide):
            yield kind.__name__, mixture, guide, noisy


@torch.no_grad()
def row(model: Any, guide: Any, batch: Utterances, draws: int) -> tuple[list[str], float]:
    """Mean and standard error of each bound, and the largest difference from the first in standard errors."""
    cells, farthest = [], 0.0
    reference: tuple[float, float] | None = None
    for bound in BOUNDS.values():
        try:
            values = bound.estimates(model, guide, batch, draws)
        except NotImplementedError:
            cells.append("refused")  # a chain, whose frames cannot be summed out one by one
            continue
        mean, error = values.mean().item(), (values.std() / len(values) ** 0.5).item()
        reference = reference or (mean, error)
        chance = max((error**2 + reference[1] ** 2) ** 0.5, 1e-9 * abs(mean))
        farthest = max(farthest, abs(mean - reference[0]) / chance)
        cells.append(f"{mean:.2f} ± {error:.2f}")
    return cells, farthest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
