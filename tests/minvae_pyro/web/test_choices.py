"""What strangers may choose: names of the product's own lists, and nothing else."""

from pathlib import Path

import pytest

from minvae_pyro.checkpoints.checkpoint import shipped
from minvae_pyro.errors import UserError
from minvae_pyro.inference.settings import ENGINES
from minvae_pyro.web.choices import USUAL, choices


def test_all_that_ships_is_offered_with_what_it_is() -> None:
    offered = choices()
    assert set(offered.checkpoints) == set(shipped())
    assert next(iter(offered.checkpoints)) == "min-vae"
    assert set(offered.parts["engine"]) == {USUAL, *ENGINES}
    assert {"NMFNoise", "BayesianNMFNoise", "StationaryNoise"} < set(offered.parts["noise"])
    assert {"MeanFieldGuide", "SmoothedGuide"} < set(offered.parts["guide"])
    assert offered.explain("noise", "NMFNoise").startswith("Low-rank noise")
    for key, names in {"checkpoint": offered.checkpoints, **offered.parts}.items():
        assert all(offered.explain(key, name) for name in names)


def test_the_usual_choice_is_the_one_of_the_checkpoint(quick: Path) -> None:
    offered = choices([str(quick)])
    assert next(iter(offered.checkpoints.items())) == ("quick.safetensors", str(quick))
    assert offered.explain("noise", USUAL, "quick.safetensors").startswith("NMFNoise: Low-rank")
    assert offered.explain("engine", USUAL, "quick.safetensors").startswith("fast: ")
    assert offered.check("engine", USUAL) is None
    assert offered.check("engine", "svi") == "svi"
    assert offered.check("checkpoint", "quick.safetensors") == str(quick)


@pytest.mark.parametrize("key", ["checkpoint", "engine", "noise", "guide"])
@pytest.mark.parametrize(
    "name", ["os.system", "minvae_pyro.models.NMFNoise", "/etc/passwd", "../weights.safetensors", "PyroGuide", ""]
)
def test_what_is_not_offered_is_refused(key: str, name: str) -> None:
    with pytest.raises(UserError, match=f"there is no {key} of that name"):
        choices().check(key, name)


def test_a_checkpoint_that_cannot_be_read_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"broken\.safetensors"):
        choices([str(tmp_path / "broken.safetensors")])
