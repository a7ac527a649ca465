import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import enhancement, running
from benchmarks.cells import estimate
from minvae_pyro import enhance, load_checkpoint
from minvae_pyro.corpora.synthetic import speak, synthesise
from minvae_pyro.separation import level
from minvae_pyro.video.track import MouthTrack

Handmade = Callable[..., Path]


def test_a_batch_of_one_is_what_users_get(tmp_path: Path, handmade: Handmade) -> None:
    checkpoint = load_checkpoint(handmade(tmp_path / "min-vae.safetensors", mixture=True))
    utterance = synthesise(1.0, 5)
    hops = checkpoint.stft.hop * (16000 // checkpoint.stft.hop)
    noisy = utterance.waveform[:hops] + 0.05 * torch.randn(hops)
    mouth = MouthTrack(utterance.crops, utterance.times, torch.ones(len(utterance.times), dtype=torch.bool))
    ours = estimate(checkpoint, [noisy], [mouth], "both")[0]
    theirs = enhance(noisy, sample_rate=16000, video=mouth, checkpoint=checkpoint, start="both")
    assert ours.speech.norm() > 0.1 * noisy.norm()
    torch.testing.assert_close(ours.speech, theirs.speech[0], rtol=1e-4, atol=1e-5)
    assert ours.audio_responsibility is not None
    assert theirs.audio_responsibility is not None
    torch.testing.assert_close(ours.audio_responsibility, theirs.audio_responsibility, rtol=0, atol=1e-5)


def test_sounds_of_unequal_length_share_a_batch(tmp_path: Path, handmade: Handmade) -> None:
    checkpoint = load_checkpoint(handmade(tmp_path / "a-vae.safetensors"))
    sounds = [speak(seconds, seed) for seconds, seed in ((0.5, 1), (0.3, 2))]
    sounds = [sound + 0.02 * level(sound).float() * torch.randn_like(sound) for sound in sounds]
    for sound, one in zip(sounds, estimate(checkpoint, sounds, [None, None], "audio"), strict=True):
        assert one.speech.shape == sound.shape
        assert one.speech.isfinite().all()
        assert one.speech.norm() > 0.01 * sound.norm()
        assert one.frame_times.shape == (checkpoint.stft.frames(len(sound)),)


def scores_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((folder / "scores").glob("*.csv"))}


def run(table: Path, output: Path, *more: str) -> int:
    given = f"--mixtures {table} --output {output} --weights {table.parent} --seeds 0 --only systems"
    return enhancement.main([*given.split(), *more])


def test_an_interrupted_benchmark_goes_on_and_new_weights_start_anew(
    tmp_path: Path,
    table: Path,
    handmade: Handmade,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = handmade(tmp_path / "a-vae.safetensors")
    output = tmp_path / "results"
    assert run(table, output, "--workers", "1") == 0
    text = capsys.readouterr().out
    assert (output / "results.md").read_text() in text
    assert "min-vae of seed 0" in text
    assert re.search(r"\| A-VAE \| [+-]\d+\.\d\d \|", text)
    assert (output / "gains.png").stat().st_size > 10_000
    before = scores_in(output)
    assert len(before) == 2

    def refuse(*_: object) -> None:
        raise AssertionError("runs again")

    monkeypatch.setattr(running, "run_cell", refuse)
    assert run(table, output, "--workers", "1") == 0
    assert scores_in(output) == before
    handmade(weights, seed=1)
    with pytest.raises(AssertionError, match="runs again"):
        run(table, output, "--workers", "1")


def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path, table: Path, handmade: Handmade) -> None:
    handmade(tmp_path / "a-vae.safetensors")
    for workers in ("1", "2"):
        assert run(table, tmp_path / workers, "--workers", workers) == 0
    assert scores_in(tmp_path / "1") == scores_in(tmp_path / "2")


def test_without_any_checkpoint_there_is_one_line(
    tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(table, tmp_path / "results") == 2
    assert capsys.readouterr().err.startswith("error: there is no checkpoint")
    assert not (tmp_path / "results").exists()
