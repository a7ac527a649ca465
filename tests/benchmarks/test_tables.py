from pathlib import Path

import pandas as pd
import pytest

from benchmarks import tables
from benchmarks.cells import Bench
from benchmarks.grid import INPUT, Cell, Weights
from benchmarks.speed import ALONE, TOGETHER

AUDIO, RIGHT, FROZEN = ("audio", "absent"), ("both", "right"), ("both", "frozen")


@pytest.fixture
def runs(tmp_path: Path) -> pd.DataFrame:
    """Two mixtures of one talker, two trainings of A-VAE and MIN-VAE, with numbers that are easily added up."""
    table = tmp_path / "mixtures.csv"
    table.write_text("any")
    bench = Bench(table, tmp_path, Weights([str(tmp_path)]))
    (tmp_path / "scores").mkdir()
    si_sdr = {
        INPUT: (-5.0, 5.0),
        Cell("a-vae", 0, *AUDIO): (-1.0, 7.0),
        Cell("a-vae", 1, *AUDIO): (-3.0, 9.0),
        Cell("min-vae", 0, *RIGHT): (5.0, 10.0),
        Cell("min-vae", 1, *RIGHT): (3.0, 10.0),
        Cell("min-vae", 0, *FROZEN): (-2.0, 6.0),
        Cell("min-vae", 1, *FROZEN): (-2.0, 9.5),
    }
    for cell, values in si_sdr.items():
        if cell != INPUT:
            bench.weights.path(cell.system, cell.seed).write_text(str(cell.seed))
        rows = [
            {"id": f"{number}", "talker": "s1", "snr_db": snr, "si_sdr": value, "pesq": 1 + value / 100, "estoi": 0.5}
            for number, (snr, value) in enumerate(zip((-5, 5), values, strict=True))
        ]
        trust = None if cell.system != "min-vae" else 0.25 + 0.5 * cell.seed
        late = None if trust is None else trust + 0.1
        scores = pd.DataFrame(rows).assign(responsibility=trust, responsibility_late=late)
        # ids as in the real table, which pandas would read as numbers
        scores.to_csv(bench.file(cell), index=False)
    return tables.collect(bench, si_sdr)


def rows_of(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_gains_per_ratio_are_means_over_seeds_with_their_range(runs: pd.DataFrame) -> None:
    rows = rows_of(tables.by_snr(runs, "s1"))
    assert rows[0] == ["score", "gain of", "-5 dB", "+5 dB", "all"]
    assert rows[2] == ["SI-SDR (dB)", "noisy input (no gain)", "-5.00", "5.00", "0.00"]
    assert rows[3] == ["", "A-VAE", "+3.00 (+2.00..+4.00)", "+3.00 (+2.00..+4.00)", "+3.00 (+3.00..+3.00)"]
    assert rows[4] == ["", "MIN-VAE", "+9.00 (+8.00..+10.00)", "+5.00 (+5.00..+5.00)", "+7.00 (+6.50..+7.50)"]
    assert rows[5][0] == "PESQ-wb"
    assert rows[7][2] == "+0.090 (+0.080..+0.100)"


def test_videos_are_compared_with_the_baseline_of_the_same_seed(runs: pd.DataFrame) -> None:
    rows = rows_of(tables.by_video(runs, "s1"))
    assert [row[1] for row in rows[2:]] == ["not used", "right", "frozen after one second"]
    assert rows[3][5:] == ["+4.00 (+3.50..+4.50)", "0.50 (0.25..0.75)", "0.60 (0.35..0.85)"]
    # frozen gains 2.0 and 3.75; the baseline 3 and 3
    assert rows[4][2] == "+2.88 (+2.00..+3.75)"
    assert rows[4][5] == "-0.12 (-1.00..+0.75)"


def test_starts_are_shown_with_the_right_video_only(runs: pd.DataFrame) -> None:
    rows = rows_of(tables.by_start(runs, "s1"))
    assert [row[:3] for row in rows[2:]] == [["MIN-VAE", "both", "+7.00 (+6.50..+7.50)"]]


def test_one_seed_has_no_range_and_no_score_a_dash(runs: pd.DataFrame) -> None:
    one = runs[runs.seed == 0]
    assert tables.spread(one[one.system == "a-vae"], "si_sdr_gain") == "+3.00"
    assert tables.spread(one[one.system == "a-vae"], "responsibility") == "-"
    assert tables.spread(one[one.system == "nobody"], "si_sdr_gain") == "-"


def test_speed_is_told_on_the_clock_and_in_processor_time() -> None:
    times = pd.DataFrame(
        {
            "work": [TOGETHER, ALONE, ALONE],
            "elapsed": [0.1, 0.2, 0.4],
            "processor": [0.05, 0.1, 0.2],
        }
    )
    rows = rows_of(tables.of_speed({"min-vae": times}))
    assert rows[0] == ["seconds of work per second of sound", "MIN-VAE"]
    assert rows[2:6] == [
        [TOGETHER, "0.10"],
        ["processor time of it", "0.05"],
        [ALONE, "0.30 (0.20..0.40)"],
        ["processor time of it", "0.15 (0.10..0.20)"],
    ]
    assert rows[-1] == ["processor time of it", "-"]
