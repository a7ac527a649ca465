from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.responsibility import main, responsibility_figure
from minvae_pyro.evaluation.experiment import evaluate
from minvae_pyro.evaluation.mixtures import read_mixtures
from minvae_pyro.evaluation.systems import System


@pytest.fixture
def results(tmp_path: Path, table: Path, handmade: Callable[..., Path]) -> Path:
    """Of a MIN-VAE that is measured without a video, as the level none of the factor video."""
    weights = handmade(tmp_path / "small.safetensors", mixture=True)
    system = System("none", str(weights), {"engine": "fast"}, "absent", factors={"video": "none"})
    evaluate(read_mixtures(table), [system], tmp_path / "results", sounds=False)
    return tmp_path / "results"


def test_the_figure_is_drawn(results: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figure = tmp_path / "figure.png"
    assert main([str(results), "--mixtures", str(table), "--output", str(figure)]) == 0
    assert figure.stat().st_size > 10_000
    assert "none" in capsys.readouterr().out


def test_each_video_has_its_own_curve(table: Path) -> None:
    mixtures = read_mixtures(table)
    traces = {
        video: {mixture.id: pd.DataFrame({"time": [0.0, 1.0], "audio_responsibility": [value, value]})}
        for video, value in (("right", 0.2), ("frozen", 0.9))
        for mixture in mixtures[:1]
    }
    axes = responsibility_figure(mixtures[:1], traces).axes
    assert [one.get_title() for one in axes] == ["video: right", "video: frozen"]
    assert [one.lines[0].get_ydata()[0] for one in axes] == [0.2, 0.9]
    assert len(axes[1].lines) == len(axes[0].lines) + 1


def test_results_without_videos_are_refused(
    table: Path, tmp_path: Path, handmade: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--mixtures", str(table), "--output", str(tmp_path / "figure.png")]
    assert main([str(tmp_path / "none"), *given]) == 2
    assert "there is no table" in capsys.readouterr().err
    system = System("plain", str(handmade(tmp_path / "small.safetensors")), {"engine": "fast"})
    evaluate(read_mixtures(table)[:1], [system], tmp_path / "plain", sounds=False)
    assert main([str(tmp_path / "plain"), *given]) == 2
    assert "has no factor video" in capsys.readouterr().err
