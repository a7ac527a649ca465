"""A checkpoint for one talker: what may change in it, what may not, and what goes on where it stopped."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import minvae_pyro.adaptation.adapt as module
from minvae_pyro.adaptation.adapt import Adapted, adapt
from minvae_pyro.adaptation.gains import Gains, _mouth
from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.cli.main import main
from minvae_pyro.corpora.prepare import Tracks, prepare
from minvae_pyro.errors import UserError


@pytest.fixture(scope="module")
def clips(real_data: Path) -> list[Path]:
    return sorted((real_data / "grid" / "s4").glob("*.mkv"))[:6]


@pytest.fixture(scope="module")
def adapted(clips: list[Path], tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapted:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_EPOCHS", 2)
        patch.setattr(module, "_STEPS", 1)
        return adapt(clips, tmp_path_factory.mktemp("adapted") / "mine.safetensors", checkpoint=tiny_checkpoint)


def test_the_visual_component_alone_has_changed(adapted: Adapted, tiny_checkpoint: Path) -> None:
    before, after = load_checkpoint(tiny_checkpoint), load_checkpoint(adapted.checkpoint)
    states = [{**one.prior.state_dict(), **one.guide.state_dict(prefix="guide.")} for one in (before, after)]
    changed = {name for name, value in states[0].items() if not value.equal(states[1][name])}
    assert changed
    assert {name.split(".")[0] for name in changed} == {"visual_component"}
    assert after.enhancement == {**before.enhancement, "mixing_weight": 0.5}
    assert after.metadata["training"] == {"adapted": tiny_checkpoint.name, "clips": 5, "seed": 0}


def test_one_clip_in_five_is_held_back_and_measured(adapted: Adapted, clips: list[Path]) -> None:
    assert (adapted.trained, adapted.held_back, adapted.left_out) == (5, 1, [])
    table = adapted.gains.table
    assert set(table["clip"]) == {clips[4].name}
    # two systems, two videos, two noises, three ratios
    assert len(table) == 24
    assert table[["si_sdr", "pesq", "estoi"]].notna().all().all()
    linked = adapted.checkpoint.parent / "mine-adaptation" / "clips" / "train"
    assert {file.resolve() for file in linked.iterdir()} == {clip.resolve() for clip in clips} - {clips[4].resolve()}
    assert "| adapted | wrong |" in (adapted.checkpoint.parent / "mine-adaptation" / "report.md").read_text()


def test_the_same_call_goes_on_and_other_clips_do_not(
    adapted: Adapted, clips: list[Path], tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_EPOCHS", 2)
    monkeypatch.setattr(module, "_STEPS", 1)
    weights = adapted.checkpoint.parent / "mine-adaptation" / "run" / "weights.safetensors"
    stamp = weights.stat().st_mtime_ns
    with pytest.raises(UserError, match="exists and is kept"):
        adapt(clips, adapted.checkpoint, checkpoint=tiny_checkpoint)
    again = adapt(clips, adapted.checkpoint, checkpoint=tiny_checkpoint, overwrite=True)
    assert weights.stat().st_mtime_ns == stamp
    pd.testing.assert_frame_equal(again.gains.table, adapted.gains.table)
    with pytest.raises(UserError, match="belongs to other clips"):
        adapt(clips[:4], adapted.checkpoint, checkpoint=tiny_checkpoint, overwrite=True)


@pytest.mark.parametrize(
    ("files", "checkpoint", "output", "message"),
    [
        (["a.mkv", "b.mkv"], "min-vae", "x.safetensors", "2 clips are too few"),
        (["a.mkv", "missing.mkv", "b.mkv"], "min-vae", "x.safetensors", "missing.mkv does not exist"),
        (["a.mkv", "b.mkv", "c.mkv"], "a-vae", "x.safetensors", "a-vae has no visual component"),
        (["a.mkv", "b.mkv", "c.mkv"], "min-vae", "x.pt", "let it end in .safetensors"),
    ],
)
def test_mistakes_are_told_in_one_line(
    files: list[str],
    checkpoint: str,
    output: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("a.mkv", "b.mkv", "c.mkv"):
        (tmp_path / name).touch()
    given = [str(tmp_path / file) for file in files]
    assert main(["adapt", *given, "--output", str(tmp_path / output), "--checkpoint", checkpoint]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.mkv", "b.mkv", "c.mkv"}


def test_tracks_of_the_clips_reach_whoever_reads_them(
    tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, make_film: Callable[..., Path]
) -> None:
    """Films without a mouth are read with the tracks that are chosen, and refused after that."""
    clips = [make_film(tmp_path / f"{number}.mkv", tracks="vaa") for number in range(3)]
    with pytest.raises(UserError, match="there is no number 3"):
        adapt(clips, tmp_path / "mine.safetensors", checkpoint=tiny_checkpoint, audio_track=3)
    prepared: list[Any] = []

    def watched(*arguments: Any, **options: Any) -> Any:
        prepared.append(prepare(*arguments, **options))
        return prepared[-1]

    monkeypatch.setattr(module, "prepare", watched)
    with pytest.raises(UserError, match="no mouth was found"):
        adapt(clips, tmp_path / "other.safetensors", checkpoint=tiny_checkpoint)
    note = "of 2 sound tracks number 1 was used: --audio-track chooses another"
    assert [told for _, told in prepared[0].notes] == [note, note]


def test_gains_are_measured_with_the_chosen_tracks(tmp_path: Path, make_film: Callable[..., Path]) -> None:
    clip = make_film(tmp_path / "a.mkv", seconds=12.0, sound_stamp=lambda time: 0.97 * time)
    assert float(_mouth(clip, Tracks(1, 1)).times[250]) == pytest.approx(10.0 / 0.97, abs=0.02)
    with pytest.raises(UserError, match="no number 2"):
        _mouth(clip, Tracks(None, 2))


def test_mean_gains_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    rows: list[dict[str, Any]] = []
    for system in ("before", "adapted"):
        for video in ("right", "wrong"):
            for clip in ("a", "b"):
                values = torch.randn(3, generator=generator).tolist()
                scores = dict(zip(("si_sdr", "pesq", "estoi"), values, strict=True))
                rows.append({"system": system, "video": video, "clip": clip, "noise": "pink", "snr_db": 0.0, **scores})
    gains = Gains(pd.DataFrame(rows))
    means = gains.means()
    assert list(means.index) == [("before", "right"), ("before", "wrong"), ("adapted", "right"), ("adapted", "wrong")]
    expected = (rows[0]["pesq"] + rows[1]["pesq"]) / 2
    assert math.isclose(means.loc[("before", "right"), "pesq"], expected)
    assert (
        f"| before | right | {(rows[0]['si_sdr'] + rows[1]['si_sdr']) / 2:+.2f} | {expected:+.3f} |" in gains.markdown()
    )
    assert "on 2 clips" in gains.markdown()
