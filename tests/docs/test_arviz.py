"""What the page on Pyro's tools does with ArviZ, where that is installed."""

import re
import warnings
from pathlib import Path
from typing import Any

import pyro
import pytest
import torch
from pyro.infer import MCMC, NUTS
from pyro.infer.autoguide import init_to_value

from minvae_pyro.models import ConditionalMinVAE
from minvae_pyro.nn.audio import SpectrumDecoder
from minvae_pyro.nn.visual import MouthPerceptron
from minvae_pyro.utterances import Utterances

PAGE = Path(__file__).parents[2] / "docs" / "pyro.md"


@pytest.fixture
def arviz() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it announces its next version whenever it is imported
        return pytest.importorskip("arviz")


def test_the_block_of_the_page_runs(arviz: Any, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    batch = Utterances.from_spectrum(torch.ones(3, 6), torch.rand(3, 67, 67))
    prior = ConditionalMinVAE(2, MouthPerceptron((4, 4), 2), decoder=SpectrumDecoder(2, 4, 6)).eval()
    prior.requires_grad_(False)
    start = init_to_value(values={"z": torch.zeros(1, 3, 2)})
    kernel = NUTS(
        pyro.infer.config_enumerate(prior.condition_on(batch)),
        init_strategy=start,
        max_plate_nesting=2,
        max_tree_depth=2,
    )
    sampler = MCMC(kernel, num_samples=8, warmup_steps=4, disable_progbar=True)
    sampler.run(batch)
    (block,) = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"sampler": sampler}
    exec(compile(block, str(PAGE), "exec"), names)
    assert names["posterior"].posterior["z"].shape == (1, 8, 1, 3, 2)
    assert "z[0, 2, 1]" in capsys.readouterr().out
