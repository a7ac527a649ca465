import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from minvae_pyro import enhance, enhance_many
from minvae_pyro.audio.files import Sound, read_sound, write_sound
from minvae_pyro.enhancement import many as module
from minvae_pyro.enhancement.ledger import Outcome
from minvae_pyro.errors import UserError, WriteError
from minvae_pyro.synthetic.talker import speak

Handmade = Callable[..., Path]
Many = Callable[..., list[Outcome]]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Sounds of several lengths, rates and channels in a tree; one is silent, one is none."""
    folder = tmp_path / "corpus"
    for seed, (name, seconds, rate, channels) in enumerate(
        [("a.wav", 0.5, 16000, 1), ("s1/b.flac", 0.8, 22050, 2), ("s1/c.wav", 0.3, 8000, 1)]
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        speech = speak(seconds, seed)[None] + 0.01 * torch.randn(channels, round(16000 * seconds))
        write_sound(folder / name, Sound(speech, 16000).resample(rate))
    soundfile.write(folder / "silent.wav", np.zeros(3000), 16000)
    (folder / "s1" / "bad.mp4").write_bytes(b"no film at all" * 50)
    (folder / "notes.txt").write_text("nothing to hear")
    return folder


@pytest.fixture
def many(tmp_path: Path, handmade: Handmade) -> Many:
    """Enhance by a small model that has learnt from nobody, in this process."""
    weights = handmade(tmp_path / "a-vae.safetensors")

    def run(*arguments: Any, **options: Any) -> list[Outcome]:
        return enhance_many(*arguments, **{"checkpoint": weights, "workers": 0, **options})

    return run


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {Path(one.input).name: one for one in outcomes}


def table(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "enhanced.csv", newline="") as file:
        return {Path(row["input"]).name: row for row in csv.DictReader(file)}


def test_each_becomes_what_it_becomes_alone(tmp_path: Path, corpus: Path, many: Many) -> None:
    out = tmp_path / "out"
    found = by_name(many(corpus, out))
    assert {name: one.status for name, one in found.items()} == {
        **dict.fromkeys(("a.wav", "b.flac", "c.wav", "silent.wav"), "enhanced"),
        "bad.mp4": "failed",
    }
    for name in ("a.wav", "s1/b.flac", "s1/c.wav", "silent.wav"):
        alone = enhance(corpus / name, checkpoint=tmp_path / "a-vae.safetensors")
        written = read_sound((out / name).with_suffix(".wav"))
        assert written.sample_rate == alone.sample_rate
        torch.testing.assert_close(written.waveform, alone.speech, rtol=0, atol=1e-5)
        assert found[Path(name).name].seconds == pytest.approx(alone.seconds, abs=1e-4)
        assert found[Path(name).name].note == "; ".join(alone.notes)
    assert "the recording is silent" in found["silent.wav"].note
    rows = table(out)
    assert {name: row["status"] for name, row in rows.items()} == {name: one.status for name, one in found.items()}
    assert "cannot read" in rows["bad.mp4"]["error"]
    assert sorted(path.name for path in out.rglob("*.*")) == sorted(
        [".minvae-enhance.jsonl", "a.wav", "b.wav", "c.wav", "enhanced.csv", "silent.wav"]
    )


def test_processes_change_nothing(tmp_path: Path, corpus: Path, many: Many) -> None:
    here = many(corpus, tmp_path / "here")
    there = many(corpus, tmp_path / "there", workers=2, mix=1.0)
    assert [(one.status, one.note, one.error) for one in here] == [(one.status, one.note, one.error) for one in there]
    for name in ("a.wav", "s1/b.wav", "s1/c.wav"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


def test_similar_lengths_share_a_batch(tmp_path: Path, corpus: Path, many: Many, known_inference: Any) -> None:
    said: list[tuple[str, int, int]] = []
    many(corpus, tmp_path / "all", progress=lambda *what: said.append(what))
    assert [len(batch) for batch in known_inference.batches] == [3]
    assert said[0] == ("looking at files", 0, 0)
    assert said[-1][0] == "5 of 5 recordings"
    assert said[-1][1] == said[-1][2]
    known_inference.batches.clear()
    # 0.8 s, then 0.5 and 0.3 s padded to 1.0
    many(corpus, tmp_path / "few", batch_seconds=1.0)
    assert [len(batch) for batch in known_inference.batches] == [1, 2]
    known_inference.batches.clear()
    soundfile.write(corpus / "long.wav", 0.1 * np.random.default_rng(0).standard_normal(25 * 8000), 8000)
    many(corpus, tmp_path / "long")
    assert [len(batch) for batch in known_inference.batches] == [2, 3]  # two windows


def test_resuming_does_what_is_new_or_has_changed(
    tmp_path: Path, corpus: Path, many: Many, known_inference: Any
) -> None:
    out = tmp_path / "out"
    many(corpus, out)
    with pytest.raises(UserError, match=r"exists, and 3 more: .* --resume .* goes on"):
        many(corpus, out)
    known_inference.batches.clear()
    assert {one.status for one in many(corpus, out, resume=True)} == {"kept", "failed"}
    assert known_inference.batches == []

    os.utime(corpus / "a.wav", (1, 1))
    (out / "s1" / "b.wav").unlink()
    write_sound(corpus / "new.wav", Sound(speak(0.2, 5)[None], 16000))
    (corpus / "s1" / "bad.mp4").write_bytes((corpus / "s1" / "c.wav").read_bytes())
    found = by_name(many(corpus, out, resume=True))
    again = [name for name, one in found.items() if one.status == "enhanced"]
    assert sorted(again) == ["a.wav", "b.flac", "bad.mp4", "new.wav"]
    assert table(out)["c.wav"]["status"] == "kept"
    assert float(table(out)["c.wav"]["seconds"]) == pytest.approx(0.3)


def test_resuming_with_other_settings_says_so(tmp_path: Path, corpus: Path, many: Many, known_inference: Any) -> None:
    out = tmp_path / "out"
    noise = {"class_path": "NMFNoise", "init_args": {"rank": 2}}
    many(corpus, out, noise=noise)
    with pytest.raises(UserError, match=r"4 of 5 outputs were made with other settings \(noise.rank 2, now 3\)"):
        many(corpus, out, resume=True, noise={**noise, "init_args": {"rank": 3}})
    with pytest.raises(UserError, match=r"\(mix 1.0, now 0.5; noise.rank 2, now 1; seed 0, now 1\)"):
        many(corpus, out, resume=True, seed=1, mix=0.5)
    known_inference.batches.clear()
    found = many(corpus, out, resume=True, overwrite=True, seed=1, noise=noise)
    assert {one.status for one in found} == {"enhanced", "failed"}
    assert len(known_inference.batches[0]) == 3


def test_what_is_not_ours_is_kept(tmp_path: Path, corpus: Path, many: Many, known_inference: Any) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.wav").write_text("mine")
    with pytest.raises(UserError, match=r"a\.wav exists: choose another"):
        many(corpus, out)
    with pytest.raises(UserError, match=r"a\.wav is not from the run to resume"):
        many(corpus, out, resume=True)
    assert known_inference.batches == []
    assert [path.name for path in out.iterdir()] == ["a.wav"]
    many(corpus, out, overwrite=True)
    assert read_sound(out / "a.wav").seconds == pytest.approx(0.5)
    other = tmp_path / "other"
    other.mkdir()
    (other / "enhanced.csv").write_text("mine")
    with pytest.raises(UserError, match=r"enhanced\.csv exists"):
        many(corpus, other)


def test_an_interrupted_run_goes_on(
    tmp_path: Path, corpus: Path, many: Many, known_inference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    separate = module._Work.separate

    def interrupted(self: Any, batch: Any, callback: Any) -> Any:
        if len(known_inference.batches) == 1:
            raise KeyboardInterrupt
        return separate(self, batch, callback)

    monkeypatch.setattr(module._Work, "separate", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"1 of 5 recordings are done, the same command with --resume goes on"):
        many(corpus, out, batch_seconds=0.1)
    assert {name: row["status"] for name, row in table(out).items()} == {"b.flac": "enhanced"}
    monkeypatch.undo()
    found = by_name(many(corpus, out, resume=True))
    assert found["b.flac"].status == "kept"
    assert found["a.wav"].status == "enhanced"


def test_a_crash_between_writing_and_noting_is_ours(
    tmp_path: Path, corpus: Path, many: Many, known_inference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def crash(*arguments: Any) -> None:
        raise SystemError("no power")

    with monkeypatch.context() as patch:
        patch.setattr(module.Ledger, "finish", crash)
        with pytest.raises(SystemError):
            many(corpus, out)
    assert (out / "s1" / "b.wav").is_file()
    with open(out / ".minvae-enhance.jsonl", "a") as journal:
        journal.write('{"finished": "a.w')  # cut off
    assert by_name(many(corpus, out, resume=True))["b.flac"].status == "enhanced"


def test_what_fails_in_a_batch_fails_alone(
    tmp_path: Path, corpus: Path, many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    separate = module._Work.separate

    def fragile(self: Any, batch: Any, callback: Any) -> Any:
        if any(ready.sound.sample_rate == 8000 for ready in batch):
            raise torch.OutOfMemoryError("too large")
        return separate(self, batch, callback)

    monkeypatch.setattr(module._Work, "separate", fragile)
    found = by_name(many(corpus, tmp_path / "out"))
    assert found["c.wav"].error == "cannot be enhanced (OutOfMemoryError: too large)"
    assert found["a.wav"].status == found["b.flac"].status == "enhanced"


def test_a_full_disk_ends_the_work(
    tmp_path: Path, corpus: Path, many: Many, known_inference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise WriteError("no room")

    monkeypatch.setattr(module, "deliver", full)
    with pytest.raises(WriteError, match="no room"):
        many(corpus, tmp_path / "out")
    assert set(table(tmp_path / "out")) <= {"bad.mp4"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "warp"}, "no engine 'warp'"),
        ({"start": "somewhere"}, "no start 'somewhere'"),
        ({"rank": 3}, "no setting rank"),
        ({"mix": 1.5}, "a mix of 1.5"),
        ({"limit": -1.0}, "limited to -1.0 dB"),
        ({"device": "nowhere"}, "cannot compute on nowhere"),
        ({"batch_seconds": 0}, "batches of 0 s"),
        ({"workers": -1}, "-1 workers"),
    ],
)
def test_mistakes_are_told_before_the_work(
    tmp_path: Path, corpus: Path, many: Many, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        many(corpus, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
