import errno
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from minvae_pyro.audio.files import Sound, read_sound, write_sound
from minvae_pyro.errors import UserError, WriteError
from minvae_pyro.evaluation import experiment, scores as scores_module
from minvae_pyro.evaluation.experiment import evaluate, read_table
from minvae_pyro.evaluation.jobs import Job, responsibility_file, sound_file
from minvae_pyro.evaluation.mixtures import Mixture, read_mixtures
from minvae_pyro.evaluation.scores import METRICS, scores
from minvae_pyro.evaluation.systems import System

QUICK = {"engine": {"class_path": "svi", "init_args": {"iterations": 5}}}
TIMES = ["elapsed", "real_time_factor"]
Handmade = Callable[..., Path]


@pytest.fixture
def mixtures(table: Path) -> list[Mixture]:
    return read_mixtures(table)


@pytest.fixture
def system(tmp_path: Path, handmade: Handmade) -> System:
    return System("quick", str(handmade(tmp_path / "a-vae.safetensors")), QUICK)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the systems of jobs that are run."""
    seen: list[str] = []
    run = Job.run

    def watched(job: Job) -> None:
        seen.append(job.name)
        run(job)

    monkeypatch.setattr(Job, "run", watched)
    return seen


def test_one_row_for_each_system_and_mixture(mixtures: list[Mixture], system: System, tmp_path: Path) -> None:
    other = replace(system, name="other", seed=1, factors={"start": "audio"})
    output = tmp_path / "results"
    table = evaluate(mixtures, [system, other], output)
    gains = [f"{metric}_gain" for metric in METRICS]
    assert list(table) == [
        *("system", "id", "talker", "noise", "snr_db", "clip", "seed", "factor:start"),
        *METRICS,
        *gains,
        *("seconds", "elapsed", "real_time_factor", "audio_responsibility", "note"),
    ]
    assert list(zip(table.system, table.id, strict=True)) == [
        (name, number) for name in ("input", "quick", "other") for number in ("0", "1")
    ]
    assert list(table.noise[:2]) == ["noise0", "noise1"]
    assert list(table["seed"]) == [0, 0, 0, 0, 1, 1]
    assert list(table["factor:start"].dropna()) == ["audio", "audio"]
    assert set(table.talker) == {"talker"}
    assert list(table.seconds) == pytest.approx([1.0] * 6)
    assert table[["elapsed", "real_time_factor"]].iloc[2:].gt(0).all(axis=None)
    assert list(table.note) == [""] * 2 + ["no video: enhanced from the sound alone"] * 4
    for number, mixture in enumerate(mixtures):
        noisy, clean = mixture.build()
        before = scores(clean, noisy, 16000, noisy.double() - clean.double())
        after = scores(clean, read_sound(sound_file(output, "quick", mixture.id)).mono(), 16000, noisy - clean)
        for metric in METRICS:
            assert table[metric][number] == before[metric]
            assert table[metric][2 + number] == pytest.approx(after[metric], rel=1e-3)
            if metric != "si_sar":
                gain = after[metric] - before[metric]
                assert table[f"{metric}_gain"][2 + number] == pytest.approx(gain, rel=1e-3, abs=1e-3)
        torch.testing.assert_close(read_sound(sound_file(output, "input", mixture.id)).mono(), noisy, rtol=0, atol=1e-6)
        torch.testing.assert_close(read_sound(sound_file(output, "clean", mixture.id)).mono(), clean, rtol=0, atol=1e-6)
    assert table.si_sar[:2].eq(math.inf).all()
    assert table.si_sar_gain.isna().all()
    pd.testing.assert_frame_equal(read_table(output), table)
    as_text = pd.read_csv(output / "scores.csv", dtype={"id": str})
    assert list(as_text) == list(table)
    pd.testing.assert_frame_equal(as_text[[*METRICS, *gains]], table[[*METRICS, *gains]])


def test_what_is_finished_is_not_done_again(
    mixtures: list[Mixture], system: System, tmp_path: Path, runs: list[str], handmade: Handmade
) -> None:
    output = tmp_path / "results"
    table = evaluate(mixtures, [system], output)
    assert runs == ["input", "quick"]
    runs.clear()
    with pytest.raises(UserError, match=r"has scores\.parquet, scores\.csv, which is kept"):
        evaluate(mixtures, [system], output)
    pd.testing.assert_frame_equal(evaluate(mixtures, [system], output, overwrite=True), table)
    assert runs == []
    changed = replace(system, settings={**QUICK, "draws": 2})
    evaluate(mixtures, [changed, replace(system, name="same")], output, overwrite=True)
    assert runs == ["quick", "same"]
    runs.clear()
    handmade(Path(system.checkpoint), seed=1)
    evaluate(mixtures, [system], output, overwrite=True)
    assert runs == ["quick"]


def test_an_interrupted_run_goes_on(
    mixtures: list[Mixture], system: System, tmp_path: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "BATCH", 1)
    whole = evaluate(mixtures, [system], tmp_path / "whole")
    runs.clear()

    def interrupt(what: str, done: int, total: int) -> None:
        if (what, done) == ("enhancing and scoring", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(mixtures, [system], tmp_path / "results", progress=interrupt)
    assert runs == ["input", "input", "quick"]
    assert not (tmp_path / "results" / "scores.csv").exists()
    seen: list[tuple[str, int, int]] = []
    table = evaluate(mixtures, [system], tmp_path / "results", progress=lambda *told: seen.append(told))
    assert runs == ["input", "input", "quick", "quick"]
    assert [told for told in seen if told[0] == "enhancing and scoring"] == [
        ("enhancing and scoring", 3, 4),
        ("enhancing and scoring", 4, 4),
    ]
    pd.testing.assert_frame_equal(table.drop(columns=TIMES), whole.drop(columns=TIMES), check_exact=True)


def test_workers_change_nothing(mixtures: list[Mixture], system: System, tmp_path: Path) -> None:
    one, two = (evaluate(mixtures, [system], tmp_path / str(n), workers=n).drop(columns=TIMES) for n in (1, 2))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    for system_name in ("input", "clean", "quick"):
        for mixture in mixtures:
            files = [sound_file(tmp_path / str(n), system_name, mixture.id).read_bytes() for n in (1, 2)]
            assert files[0] == files[1]


def test_a_broken_file_is_a_row_without_scores(mixtures: list[Mixture], system: System, tmp_path: Path) -> None:
    broken, silent, film = (tmp_path / name for name in ("broken.wav", "silent.wav", "broken.mp4"))
    broken.write_bytes(b"no sound")
    film.write_bytes(b"no film")
    soundfile.write(silent, np.zeros(16000), 16000)
    more = [
        replace(mixtures[0], id="broken", clip=broken),
        replace(mixtures[0], id="silent", noisy=silent),
        replace(mixtures[0], id="film", video=film),
    ]
    whole = evaluate(mixtures, [system], tmp_path / "whole")
    table = evaluate([*more, *mixtures], [system], tmp_path / "results").set_index(["system", "id"])
    for name in ("input", "quick"):
        assert "broken.wav" in table.note[name, "broken"]
        assert "silent" in table.note[name, "silent"]
        assert table.loc[[(name, "broken"), (name, "silent")], [*METRICS, *TIMES]].isna().all(axis=None)
    assert table.si_sdr["input", "film"] == table.si_sdr["input", "0"]
    assert math.isnan(table.si_sdr["quick", "film"])
    assert "broken.mp4" in table.note["quick", "film"]
    for mixture in mixtures:
        expected = whole[(whole.system == "quick") & (whole.id == mixture.id)].iloc[0]
        assert table.si_sdr["quick", mixture.id] == expected.si_sdr
    assert not sound_file(tmp_path / "results", "quick", "film").exists()


def test_estimates_of_other_systems_are_scored_beside(mixtures: list[Mixture], tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    noisy, clean = mixtures[0].build()
    better = clean + 0.3 * (noisy - clean)
    stereo = Sound(0.5 * torch.stack([better, better]), 16000)
    write_sound(folder / "0.flac", stereo)
    soundfile.write(folder / "1.wav", mixtures[1].build()[1][:-100].numpy(), 16000, "FLOAT")
    table = evaluate(mixtures, [], tmp_path / "results", estimates={"theirs": folder}).set_index(["system", "id"])
    assert table.si_sdr_gain["theirs", "0"] == pytest.approx(-20 * math.log10(0.3), abs=0.05)
    assert table.note["theirs", "0"] == ""
    assert table.note["theirs", "1"] == "the estimate is 100 samples too short"
    assert 20 < table.si_sdr["theirs", "1"] < math.inf
    assert table[TIMES].isna().all(axis=None)

    write_sound(folder / "0.flac", stereo.resample(48000), overwrite=True)
    table = evaluate(mixtures, [], tmp_path / "results", estimates={"theirs": folder}, overwrite=True)
    assert table.set_index(["system", "id"]).si_sdr["theirs", "0"] > 15  # the synthetic voice reaches up to 8 kHz

    soundfile.write(folder / "1.wav", better[:8000].numpy(), 16000, "FLOAT")
    (folder / "0.flac").unlink()
    again = evaluate(mixtures, [], tmp_path / "results", estimates={"theirs": folder}, overwrite=True)
    notes = again[again.system == "theirs"].note.tolist()
    assert notes[0].startswith("there is no ")
    assert "lasts 0.500 s, the mixture 1.000 s" in notes[1]
    assert again[again.system == "theirs"][list(METRICS)].isna().all(axis=None)
    shutil.rmtree(folder)
    folder.mkdir()
    with pytest.raises(UserError, match=r"no estimate of any mixture.*such as .*0\.wav"):
        evaluate(mixtures, [], tmp_path / "none", estimates={"theirs": folder})
    assert not (tmp_path / "none").exists()


def test_the_responsibility_over_time_is_kept(mixtures: list[Mixture], tmp_path: Path, handmade: Handmade) -> None:
    system = System("mixed", str(handmade(tmp_path / "mixed.safetensors", mixture=True)), QUICK, "absent")
    output = tmp_path / "results"
    table = evaluate(mixtures, [system], output, sounds=False).set_index(["system", "id"])
    for mixture in mixtures:
        trace = pd.read_csv(responsibility_file(output, "mixed", mixture.id))
        assert list(trace) == ["time", "audio_responsibility"]
        assert table.audio_responsibility["mixed", mixture.id] == pytest.approx(trace.audio_responsibility.mean())
        assert trace.time.iloc[-1] == pytest.approx(1.0, abs=0.04)
    assert not (output / "sounds").exists()
    assert math.isnan(table.audio_responsibility["input", "0"])


def test_what_cannot_be_evaluated_is_refused_before_any_work(
    mixtures: list[Mixture], system: System, tmp_path: Path
) -> None:
    output = tmp_path / "results"
    for given, message in (
        (([], [system]), "there are no mixtures"),
        ((mixtures, [system, system]), "two systems quick"),
        (([replace(mixtures[0], id="a/b")], [system]), "no file name"),
        ((mixtures, [replace(system, settings={"engine": "none"})]), "system quick, engine"),
        (([replace(mixtures[0], sample_rate=8000)], [system]), "needs 16000 Hz"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate(*given, output)
    with pytest.raises(UserError, match="at least 1 worker"):
        evaluate(mixtures, [system], output, workers=0)
    with pytest.raises(UserError, match="cannot compute on abacus"):
        evaluate(mixtures, [system], output, device="abacus")
    assert not output.exists()
    with pytest.raises(UserError, match="there is no table"):
        read_table(output)


def unknown_codec(path: Path) -> None:
    """A sound track that nothing can decode, in a container that is whole."""
    with av.open(str(path), "w", "mp4") as container:
        stream = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"xyzw"))


def broken_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((5, 4489))
    content = bytearray(path.read_bytes())
    content[80 : len(content) // 2] = bytes(range(256)) * len(content)
    path.write_bytes(content)


def test_whatever_a_library_raises_for_a_file_is_a_row(
    mixtures: list[Mixture], system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown_codec(sound := tmp_path / "unknown.m4a")
    broken_hdf5(lips := tmp_path / "broken.mat")
    good, other = mixtures
    given = [
        replace(good, id="codec", clip=sound),
        replace(good, id="noise", noise=sound),
        replace(good, id="lips", video=lips),
        good,
        other,
    ]

    def fails(*_: object, **__: object) -> float:
        raise ZeroDivisionError("in a library")

    monkeypatch.setattr(scores_module.pesq_library, "pesq", fails)
    monkeypatch.setattr(scores_module.pystoi, "stoi", fails)
    table = evaluate(given, [system], tmp_path / "results").set_index(["system", "id"])
    for bad in ("codec", "noise", "lips"):
        row = table.loc[("quick", bad)]
        assert math.isnan(row.si_sdr)
        assert str(lips if bad == "lips" else sound) in row.note
    for name in ("0", "1"):
        row = table.loc[("quick", name)]
        assert math.isfinite(row.si_sdr)
        assert row[["pesq", "stoi", "estoi"]].isna().all()
        assert row.note.split("; ")[-2:] == ["PESQ: ZeroDivisionError", "STOI: ZeroDivisionError"]


def test_a_late_estimate_is_told(mixtures: list[Mixture], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "late"
    folder.mkdir()
    for mixture, milliseconds in zip(mixtures, (10, 0), strict=True):
        noisy = mixture.build()[0]
        late = torch.cat([torch.zeros(16 * milliseconds), noisy])[: len(noisy)]
        write_sound(folder / f"{mixture.id}.wav", Sound(late[None], 16000))
    table = evaluate(mixtures, [], tmp_path / "results", estimates={"theirs": folder}).set_index(["system", "id"])
    assert table.loc[("theirs", "0")].note.startswith("10.0 ms late: SI-SDR ")
    assert "late" not in table.loc[("theirs", "1")].note
    assert not table.loc["input"].note.str.contains("late").any()


def test_a_full_disk_ends_an_evaluation_which_goes_on_later(
    mixtures: list[Mixture], system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[str]
) -> None:
    usual = Path.open

    def full(path: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        if ".part" in path.name and "quick" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return usual(path, mode, *rest, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(WriteError, match="No space left on device"):
            evaluate(mixtures, [system], tmp_path / "results")
    assert runs == ["input", "quick"]
    evaluate(mixtures, [system], tmp_path / "results")
    assert runs == ["input", "quick", "quick"]
