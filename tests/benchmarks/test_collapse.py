from pathlib import Path

import pytest

from benchmarks.collapse import collapse_figure, in_words, main, read_run
from minvae_pyro import UserError

HEADER = "epoch,step,train/loss,validation/L_v,validation/pi,validation/r_clean,validation/r_noisy"


def write_run(folder: Path, *logs: list[str]) -> Path:
    for version, lines in enumerate(logs):
        path = folder / "csv" / f"version_{version}" / "metrics.csv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join([HEADER, *lines]) + "\n")
    return folder


def test_a_continued_run_is_read_as_one(tmp_path: Path) -> None:
    first = ["0,9,,100,0.5,0.6,0.4", "0,9,7.0,,,,", "1,19,,300,0.6,0.7,0.5", "2,29,,1,0.1,0.1,0.1"]
    run = read_run(write_run(tmp_path, first, ["2,29,,200,0.9,0.99,0.8", "2,29,6.0,,,,"]))
    assert run.index.tolist() == [1, 2, 3]
    assert run["L_v"].tolist() == [100, 300, 200]
    assert run["r_clean"].tolist() == [0.6, 0.7, 0.99]


def test_the_sentence_and_the_figure_tell_the_last_and_the_best_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_run(tmp_path / "one", ["0,9,,100,0.5,0.6,0.4", "1,19,,-300,0.9,1.0,0.8"])
    other = write_run(tmp_path / "other", ["0,9,,200,0.5,0.6,0.4", "1,19,,-500,0.8,0.9,0.8"])
    assert main([str(one), str(other), "--output", str(tmp_path / "results")]) == 0
    text = capsys.readouterr().out
    assert text == (
        "After 2 epochs (2 trainings) the audio responsibility is 0.95 (0.90..1.00) on clean frames, on noisy ones "
        "0.80 (0.80..0.80), and pi is 0.85 (0.80..0.90); the bound of the visual branch is -400 (-500..-300) nats a "
        "frame, and was 150 (100..200) at its best (epoch 1).\n"
    )
    assert (tmp_path / "results" / "collapse.md").read_text() == text
    assert (tmp_path / "results" / "collapse.png").stat().st_size > 10_000
    figure = collapse_figure({"one": read_run(one), "other": read_run(other)})
    mean = figure.axes[2].lines[-1]
    assert mean.get_ydata().tolist() == [150, -400]
    assert "one training" in in_words({"one": read_run(one)})


def test_a_run_without_a_mixture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give the output folder"):
        read_run(tmp_path)
    path = tmp_path / "csv" / "version_0" / "metrics.csv"
    path.parent.mkdir(parents=True)
    path.write_text("epoch,step,validation/loss\n0,9,3.0\n")
    with pytest.raises(UserError, match="did not log r_clean, pi, L_v"):
        read_run(tmp_path)
    assert main([str(tmp_path), "--output", str(tmp_path / "results")]) == 2
