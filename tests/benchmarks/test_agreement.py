import pytest

from benchmarks import agreement
from benchmarks.agreement import BOUNDS, Bound, main
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO


def test_bounds_of_a_prior_agree(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--priors", "sw-vae", "--draws", "4"]) == 0
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if "sw-vae" in line]
    assert [row[2].strip() for row in rows] == ["TwoVAEsGuide", "MeanFieldGuide", "MixtureUtteranceGuide"]
    # a chain cannot be summed out frame by frame
    assert all(row.count(" refused ") == 3 and len(row) == len(BOUNDS) + 5 for row in rows)


def test_bounds_that_differ_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Wrong(AnalyticTraceEnum_ELBO):
        def loss(self, *arguments: object) -> float:
            return 2 * super().loss(*arguments)

    right = BOUNDS["AnalyticTraceEnum"]
    monkeypatch.setattr(agreement, "BOUNDS", {"right": right, "wrong": Bound(Wrong, {})})
    assert main(["--priors", "a-vae", "--draws", "4"]) == 2
    assert "bounds differ for a-vae with AudioGuide" in capsys.readouterr().err
