from pathlib import Path

import pytest

from benchmarks.grid import INPUT, PARTS, SYSTEMS, Cell, Weights, cells, fingerprint
from minvae_pyro import UserError

NAMES = tuple(SYSTEMS)


def test_every_run_is_there_once_and_whole_seeds_come_first() -> None:
    runs = cells(PARTS, NAMES, [0, 1, 2])
    assert len(runs) == len(set(runs))
    # a-vae: one; each MIN-VAE: three starts and three other videos
    assert len(runs) == 1 + 3 * (1 + 2 * 6)
    seeds = [run.seed for run in runs if run != INPUT]
    assert seeds == sorted(seeds)


def test_parts_add_up_to_the_whole() -> None:
    single = {run for part in PARTS for run in cells([part], NAMES, [0])}
    assert single == set(cells(PARTS, NAMES, [0]))
    assert cells(["speed"], NAMES, [0]) == []
    assert Cell("min-vae", 0, "both", "frozen") not in cells(["starts"], NAMES, [0])
    assert Cell("min-vae", 0, "audio", "right") not in cells(["videos"], NAMES, [0])


def test_weights_lie_in_a_folder_or_follow_a_pattern() -> None:
    folder = Weights(["there"])
    assert folder.path("a-vae", 0) == Path("there/a-vae.safetensors")
    assert folder.path("a-vae", 2) == Path("there/a-vae-seed2.safetensors")
    pattern = Weights(["runs/{name}-{seed}/weights.safetensors"])
    assert pattern.path("min-vae", 0) == Path("runs/min-vae-0/weights.safetensors")
    assert Weights(["shipped"]).path("min-vae", 0).parent.parts[-2:] == ("minvae_pyro", "weights")


@pytest.mark.parametrize("turn", [1, -1])
def test_what_is_said_of_one_system_holds_for_it_alone_in_any_order(turn: int) -> None:
    weights = Weights(["there", "min-vae-published=runs/published-{seed}.safetensors"][::turn])
    assert weights.path("min-vae-published", 1) == Path("runs/published-1.safetensors")
    assert weights.path("min-vae", 1) == Path("there/min-vae-seed1.safetensors")


@pytest.mark.parametrize("place", ["nobody=there", "runs/{nothing}", "a-vae=runs/{}", "runs/{name"])
def test_a_place_that_makes_no_sense_is_refused(place: str) -> None:
    with pytest.raises(UserError, match="is no"):
        Weights([place])


def test_a_fingerprint_tells_content_and_its_order(tmp_path: Path) -> None:
    one, other, same = (tmp_path / name for name in ("one", "other", "same"))
    one.write_text("a")
    same.write_text("a")
    other.write_text("b")
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)
    assert fingerprint(one, other) != fingerprint(other, one)
