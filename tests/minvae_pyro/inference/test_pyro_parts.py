from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import RenyiELBO, TraceEnum_ELBO
from pyro.infer.autoguide import AutoDelta, AutoNormal

from minvae_pyro.errors import UserError
from minvae_pyro.guides import MeanFieldGuide, PyroGuide
from minvae_pyro.inference import FastVariational, Settings, StochasticVariational, infer
from minvae_pyro.inference.pyro_parts import ELBOS, OPTIMISERS, make_elbo, make_guide, make_optimiser
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO

GUIDE = """
import pyro
import pyro.distributions as dist
class Nothing: pass
def mine(utterances, begin):
    with utterances.plates().every_frame():
        pyro.sample("z", dist.Normal(pyro.param("mean", begin[0]), 0.1).to_event(1))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_pyro_guides.py").write_text(GUIDE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_pyro_guides"


def test_a_guide_is_named_in_every_way(own: str) -> None:
    for described in ("AutoNormal", "pyro.infer.autoguide.AutoNormal", {"class_path": "AutoNormal"}, AutoNormal):
        made = make_guide(described)
        assert isinstance(made, PyroGuide)
        assert made.chosen is AutoNormal
    assert make_guide({"class_path": "AutoNormal", "init_args": {"init_scale": "1"}}).arguments == {"init_scale": 1.0}
    function = make_guide(f"{own}.mine")
    assert function.chosen.__name__ == "mine"
    assert make_guide(function) is function
    assert isinstance(make_guide("MeanFieldGuide"), MeanFieldGuide)


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ("NoGuide", "there is no guide 'NoGuide'. Choose AutoDelta.*MeanFieldGuide"),
        ("pyro.infer.autoguide.NoGuide", "there is no guide"),
        ("own_pyro_guides.Nothing", "is no guide: it does not derive"),
        ({"class_path": "AutoNormal", "init_args": {"width": 3}}, "AutoNormal has no argument 'width'.*init_scale"),
        ({"class_path": "own_pyro_guides.mine", "init_args": {"width": 3}}, "takes no width"),
        ("pyro.infer.autoguide.AutoNormalizingFlow", "needs init_transform_fn"),
        (3.5, "the guide is described by a name"),
    ],
)
def test_a_guide_that_cannot_be_made_is_refused(described: Any, said: str, own: str) -> None:
    with pytest.raises(UserError, match=said):
        make_guide(described)


def test_a_checkpoint_may_name_a_class_and_no_function(own: str) -> None:
    Settings.of_checkpoint({"guide": "MeanFieldGuide"}, ())
    for kept in (
        "pyro.infer.autoguide.AutoDelta",
        f"{own}.mine",
        {"class_path": "PyroGuide", "init_args": {"guide": f"{own}.mine"}},
    ):
        with pytest.raises(UserError, match=r"nothing of it was run.*--trust"):
            Settings.of_checkpoint({"guide": kept}, ())
    assert Settings.of_checkpoint({"guide": f"{own}.mine"}, (), {"guide": "AutoNormal"}).guide == "AutoNormal"
    assert Settings.of_checkpoint({}, (), {"guide": f"{own}.mine"}).guide == f"{own}.mine"


@pytest.mark.parametrize("part", ["elbo", "optimiser"])
def test_a_checkpoint_may_name_parts_of_svi_by_their_short_names_alone(part: str, own: str) -> None:
    short = {"elbo": "RenyiELBO", "optimiser": "ClippedAdam"}[part]

    def kept(described: Any) -> dict[str, Any]:
        return {"engine": {"class_path": "svi", "init_args": {part: described}}}

    for allowed in (short, {"class_path": short, "init_args": {}}):
        Settings.of_checkpoint(kept(allowed), ())
    for refused in (
        f"{own}.mine",
        {"class_path": f"{own}.mine"},
        {"class_path": "os.system", "init_args": {"command": "x"}},
    ):
        with pytest.raises(UserError, match=r"nothing of it was run.*--trust"):
            Settings.of_checkpoint(kept(refused), ())
    with pytest.raises(UserError, match="takes text and numbers"):
        Settings.of_checkpoint(kept({"class_path": short, "init_args": {"lr": {"class_path": "os.system"}}}), ())


def test_bounds_and_optimisers_by_name() -> None:
    renyi = make_elbo({"class_path": "pyro.infer.RenyiELBO", "init_args": {"alpha": "0.5", "num_particles": "3"}})
    assert isinstance(renyi, RenyiELBO)
    assert (renyi.alpha, renyi.num_particles, renyi.max_plate_nesting) == (0.5, 3, 2)
    assert type(make_elbo("TraceEnum_ELBO")) is TraceEnum_ELBO
    assert make_elbo({"init_args": {"num_particles": "2"}}).num_particles == 2
    assert type(make_elbo({"init_args": {}})) is AnalyticTraceEnum_ELBO
    for name in ("ClippedAdam", "pyro.optim.ClippedAdam", "pyro.optim.clipped_adam.ClippedAdam"):
        made = make_optimiser({"class_path": name, "init_args": {"clip_norm": "3", "betas": "[0.8, 0.9]"}}, 0.1)
        assert made.pt_optim_constructor is OPTIMISERS["ClippedAdam"]
        assert made.pt_optim_args == {"lr": 0.1, "clip_norm": 3.0, "betas": [0.8, 0.9]}
    assert make_optimiser({"init_args": {"lr": "1e-3"}}, 0.1).pt_optim_args == {"lr": 0.001}
    assert {"AnalyticTraceEnum_ELBO", "RenyiELBO", "ReweightedWakeSleep", "Trace_ELBO"} <= ELBOS.keys()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"elbo": "NoELBO"}, "there is no bound 'NoELBO'. Choose AnalyticTraceEnum_ELBO"),
        ({"elbo": {"class_path": "RenyiELBO", "init_args": {"alpha": 1}}}, "RenyiELBO cannot be made"),
        ({"elbo": {"class_path": "RenyiELBO", "init_args": {"width": 1}}}, "no argument 'width'"),
        ({"optimiser": "LBFGS"}, "there is no optimiser 'LBFGS'"),
        ({"optimiser": {"class_path": "Adam", "init_args": {"lr": -1.0}}}, "Adam cannot be made"),
        ({"optimiser": "torch.nn.Linear"}, "is no optimiser"),
        ({"elbo": 3}, "3 describes nothing"),
    ],
)
def test_an_engine_refuses_what_it_cannot_make(arguments: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        StochasticVariational(**arguments)


@pytest.mark.parametrize(
    "elbo",
    [
        *("Trace_ELBO", "TraceEnum_ELBO", "TraceGraph_ELBO", "RenyiELBO", "TraceMeanField_ELBO"),
        {"class_path": "ReweightedWakeSleep", "init_args": {"num_particles": 2, "model_has_params": False}},
    ],
)
@pytest.mark.parametrize("mixture", [False, True])
def test_every_bound_raises_the_objective(noisy: Any, mixture: bool, elbo: Any) -> None:
    batch = noisy.batch(1, 8)
    checkpoint = noisy.checkpoint(mixture, noise="NMFNoise", draws=2)
    engine = StochasticVariational(iterations=25, steps=2, elbo=elbo, optimiser="ClippedAdam")
    found = infer(checkpoint, batch, engine=engine)
    assert torch.tensor(found.objective).isfinite().all()
    if elbo != "TraceMeanField_ELBO" and "Wake" not in str(elbo):
        assert sum(found.objective[-5:]) > sum(found.objective[:5])
    assert ((found.gain > 0) & (found.gain <= 1)).all()


@pytest.mark.parametrize("changed", [{"elbo": "TraceEnum_ELBO"}, {"optimiser": "ClippedAdam"}])
def test_the_fast_engine_gives_another_bound_or_optimiser_to_svi(noisy: Any, changed: Any) -> None:
    batch, checkpoint = noisy.batch(), noisy.checkpoint(noise="NMFNoise")
    usual, other, svi = (
        infer(checkpoint, batch, engine=engine).objective
        for engine in (
            FastVariational(iterations=3),
            FastVariational(iterations=3, **changed),
            StochasticVariational(iterations=3, steps=2, learning_rate=0.1, **changed),
        )
    )
    assert other == svi != usual


def test_guides_of_pyro_run_under_every_engine(noisy: Any, few: Any) -> None:
    def mine(utterances: Any) -> None:
        mean = pyro.param("mean", torch.zeros(*utterances.mask.shape, 3, dtype=torch.float64))
        with utterances.plates().every_frame():
            pyro.sample("z", dist.Normal(mean, 0.3).to_event(1))

    for guide in (AutoNormal, AutoDelta, mine):
        for engine in ("fast", "svi", "vem", "map", "mcem", "langevin"):
            found = infer(noisy.checkpoint(noise="NMFNoise"), noisy.batch(), engine=few(engine), guide=guide)
            assert torch.tensor(found.objective).isfinite().all()
            assert ((found.gain > 0) & (found.gain <= 1)).all()
