import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from benchmarks import batches, engines, growth, quality, shipped, steps
from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.checkpoints.importing import Imported
from minvae_pyro.enhancement.enhance import enhance
from minvae_pyro.inference import PointEM, StochasticVariational
from minvae_pyro.synthetic.talker import speak
from minvae_pyro.training.plan import TrainingPlan
from minvae_pyro.video.track import MouthTrack

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    folder = tmp_path / "demo"
    folder.mkdir()
    clean = speak(1.0, 3)
    noise = 0.03 * clean.std() * torch.randn(len(clean), generator=torch.Generator().manual_seed(1))
    for name, sound in (("clean", clean), ("noisy", clean + noise)):
        write_sound(folder / f"{name}.wav", Sound(sound[None], 16000))
    return folder


@pytest.fixture
def published(tmp_path: Path, handmade: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders that seem to hold published weights, two engines, and an import that gives a small A-VAE for all."""
    for name in quality.SYSTEMS:
        (tmp_path / "published" / name).mkdir(parents=True)
        (tmp_path / "published" / name / "weights.pt").write_text(name)

    def imported(path: Path, output: Path, **_: Any) -> Imported:
        return Imported(handmade(output), path.name, "AudioVAE", (), "none")

    monkeypatch.setattr(quality, "import_weights", imported)
    monkeypatch.setattr(quality, "ENGINES", {"svi": StochasticVariational, "map": PointEM})
    return tmp_path / "published"


def rows_of(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def never(*_: object, **__: object) -> None:
    raise AssertionError("measured again")


def test_engines_stand_beside_the_published_systems_and_are_measured_once(
    tmp_path: Path, demo: Path, published: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(demo), "--weights", str(published), "--output", str(tmp_path / "out"), "--only", "quality"]
    assert engines.main(arguments) == 0
    text = capsys.readouterr().out
    assert text.rstrip("\n") == (tmp_path / "out" / "engines.md").read_text().rstrip("\n")
    rows = rows_of(text)[2:]
    assert [row[:2] for row in rows] == [
        ["noisy input", ""],
        ["A-VAE", "published, PEEM, 100 x 20"],
        ["A-VAE", "published, LDEM, 5 chains, 100 x 20"],
        *(["A-VAE", engine] for engine in ("as imported", "svi", "map", "svi, rank 10")),
        ["A-DKF", "published, LDEM"],
        *(["A-DKF", engine] for engine in ("as imported", "svi", "map", "svi, rank 10")),
    ]
    assert rows[2][2:] == ["8.56", "1.764", "0.674", "17.60", "-"]
    # 30 dB of noise
    assert float(rows[0][2]) == pytest.approx(30.5, abs=0.6)
    ours = [row for row in rows if row[1] in quality.configurations()]
    assert all(float(cell) >= 0 for row in ours for cell in row[5:])
    assert len({row[2] for row in ours[:4]}) == 4
    assert (tmp_path / "out" / "engines.png").stat().st_size > 10_000
    monkeypatch.setattr(quality, "enhance", never)
    monkeypatch.setattr(quality, "import_weights", never)
    assert engines.main(arguments) == 0
    assert rows_of(capsys.readouterr().out)[2:] == rows
    (published / "A-DKF" / "weights.pt").write_text("others")
    with pytest.raises(AssertionError, match="measured again"):
        engines.main(arguments)


def test_growth_is_that_of_the_utterance_repeated(
    tmp_path: Path, demo: Path, handmade: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    demonstration, weights = quality.read_demonstration(demo), handmade(tmp_path / "a-vae.safetensors")
    (tmp_path / "growth").mkdir()
    found = growth.measure(demonstration, weights, [1.5], tmp_path).iloc[0]
    assert found.seconds == 1.5
    assert found.processor > 0
    assert found.elapsed > 0
    # torch alone takes as much
    assert found.memory >= found.before > 50
    table = growth.in_table(pd.DataFrame([found]))
    assert rows_of(table)[2][0] == "1.5"
    assert float(rows_of(table)[2][2]) == pytest.approx(found.elapsed / 1.5, abs=1e-3)
    heard: list[Tensor] = []

    def noted(sound: Tensor, **options: Any) -> Any:
        heard.append(sound)
        return pd.Series({"engine": "none"})

    monkeypatch.setattr(growth, "enhance", noted)
    growth._measure(demonstration.noisy, 16000, weights, 2.25)
    assert torch.equal(heard[-1], torch.cat([demonstration.noisy] * 3)[:36000])


def test_mixtures_are_enhanced_in_every_way_and_once(
    tmp_path: Path, demo: Path, table: Path, handmade: Any, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = handmade(tmp_path / "min-vae.safetensors", mixture=True)
    monkeypatch.setattr(engines, "checkpoint_file", lambda name: weights)
    monkeypatch.setattr(shipped, "_BEGINNING", 0.5)
    monkeypatch.setattr(shipped, "read_once", lambda clip, folder: still(1.0))
    monkeypatch.setattr(
        shipped, "BUDGETS", {"fast": ({"iterations": 1}, {"iterations": 2}), "map": ({"iterations": 1},)}
    )
    arguments = [str(demo), "--mixtures", str(table), "--output", str(tmp_path / "out"), "--only", "mixtures"]
    assert engines.main(arguments) == 0
    text = capsys.readouterr().out
    assert "on 2 mixtures" in text
    rows = rows_of(text)[2:]
    assert [row[0] for row in rows] == ["fast, 1 iterations", "fast, 2 iterations", "map, 1 iterations", "stream"]
    # PESQ does not know every synthetic voice
    assert all(math.isfinite(float(cell)) for row in rows for cell in (row[1], *row[3:]))
    assert float(rows[0][-1]) > 0
    # two budgets are two results
    assert rows[0][1] != rows[1][1]
    assert (tmp_path / "out" / "mixtures.png").stat().st_size > 10_000
    monkeypatch.setattr(shipped, "_enhance", never)
    assert engines.main(arguments) == 0
    assert rows_of(capsys.readouterr().out)[2:] == rows
    handmade(weights, mixture=True, seed=1)
    with pytest.raises(AssertionError, match="measured again"):
        engines.main(arguments)


def still(seconds: float) -> MouthTrack:
    """A mouth that does not move."""
    times = torch.arange(0, seconds, 1 / 25, dtype=torch.float64)
    return MouthTrack(torch.full((len(times), 67, 67), 128, dtype=torch.uint8), times, torch.ones(len(times)).bool())


def test_a_stream_gets_sound_and_pictures_as_they_arrive() -> None:
    mouth, sound = still(1.0), torch.arange(16000.0)
    arrived = list(shipped._blocks(sound, mouth, 16000))
    assert torch.equal(torch.cat([block for block, _ in arrived]), sound)
    assert torch.equal(torch.cat([track.times for _, track in arrived]), mouth.times)
    end = 0.0
    for block, track in arrived:
        begin, end = end, end + len(block) / 16000
        assert ((track.times >= begin - 1e-9) & (track.times < end)).all()


def test_batches_are_copies_and_every_size_has_a_process(
    tmp_path: Path, demo: Path, handmade: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    demonstration, weights = quality.read_demonstration(demo), handmade(tmp_path / "a-vae.safetensors")
    (tmp_path / "batches").mkdir()
    found = batches.measure(demonstration, weights, [2], "cpu", tmp_path).iloc[0]
    assert found["size"] == 2
    assert found.seconds == 2 * len(demonstration.noisy) / 16000
    assert found.elapsed > 0
    assert found.memory >= found.before > 50
    row = rows_of(batches.in_table(pd.DataFrame([found])))[2]
    assert float(row[4]) == pytest.approx(found.seconds / found.elapsed, abs=0.51)
    monkeypatch.setattr(batches, "_measure", never)
    assert batches.measure(demonstration, weights, [2], "cpu", tmp_path).iloc[0].elapsed == found.elapsed
    # what is timed is what users get
    checkpoint = load_checkpoint(weights)
    both = batches._separate(checkpoint, demonstration.noisy.expand(2, -1))
    torch.testing.assert_close(both[0], both[1])
    expected = enhance(demonstration.noisy, sample_rate=16000, checkpoint=checkpoint).speech[0]
    assert (both[0] - expected).norm() < 0.1 * expected.norm()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device to measure")
def test_batches_are_measured_on_a_gpu(tmp_path: Path, demo: Path, handmade: Any) -> None:
    (tmp_path / "batches").mkdir()
    weights = handmade(tmp_path / "a-vae.safetensors")
    found = batches.measure(quality.read_demonstration(demo), weights, [2], "cuda", tmp_path).iloc[0]
    assert found.memory > found.before > 0


def test_the_limit_counts_the_products_of_the_decoder(
    tmp_path: Path, demo: Path, handmade: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_REPEATS", 2)
    text = batches.limit(quality.read_demonstration(demo), handmade(tmp_path / "a-vae.safetensors"))
    rows = dict(rows_of(text)[2:])
    assert rows["a pass of the decoder with gradient (MFLOP a frame)"] == "0.42"
    assert float(rows["times the limit"]) > 1
    shares = [int(share.rstrip("%")) for what, share in rows.items() if "of its operations" in what]
    assert sum(shares) == pytest.approx(100, abs=2)
    assert min(shares) > 0


@pytest.mark.parametrize("case", steps.CASES, ids=lambda case: case.name)
def test_the_loss_by_hand_is_the_bound_and_has_its_gradient(case: steps.Case) -> None:
    torch.manual_seed(2)
    utterances = steps.batch(2, 5)
    utterances.mask[1, 3:] = False
    prior, guide = case.make()
    plan = TrainingPlan(prior, guide).eval()
    for parameter in prior.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    gradients = []
    losses = []
    for loss in (lambda: plan(utterances), lambda: case.loss(prior, guide, utterances)):
        torch.manual_seed(1)
        losses.append(loss())
        gradients.append(torch.autograd.grad(losses[-1], list(plan.parameters()), allow_unused=True))
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-4)
    for one, other in zip(*gradients, strict=True):
        if other is None:
            assert one is None
        else:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()) + 1e-6)


def test_steps_are_timed_and_their_losses_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    found = steps.measure(steps.batch(1, 3), steps=2)
    assert [one.model for one in found] == [case.name for case in steps.CASES]
    for one in found:
        assert one.ratio == one.bound / one.handwritten > 0
        assert math.isclose(*one.losses, rel_tol=1e-5)
    assert rows_of(steps.in_table(found))[2][3] == f"{found[0].ratio:.2f}"
    case = steps.CASES[0]
    monkeypatch.setattr(steps, "CASES", (replace(case, loss=lambda *given: 1.01 * case.loss(*given)),))
    with pytest.raises(AssertionError, match="the losses of MIN-VAE differ"):
        steps.measure(steps.batch(1, 3), steps=1)


def test_what_is_missing_is_told_in_one_line(tmp_path: Path, demo: Path, capsys: Capture) -> None:
    output = ["--output", str(tmp_path / "out")]
    assert engines.main([str(demo), *output]) == 2
    assert capsys.readouterr().err.startswith("error: quality needs --weights")
    assert engines.main([str(demo), "--only", "mixtures", *output]) == 2
    assert capsys.readouterr().err.startswith("error: mixtures needs --mixtures")
    assert engines.main([str(tmp_path / "nothing"), "--only", "steps", *output]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    write_sound(demo / "clean.wav", Sound(torch.zeros(1, 5), 16000), overwrite=True)
    assert engines.main([str(demo), "--only", "steps", *output]) == 2
    assert "give a pair" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
