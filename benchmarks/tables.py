"""From scores to Markdown: gains over the input, mean and range over training seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from benchmarks.cells import Bench
from benchmarks.grid import BASELINE, INPUT, STARTS, SYSTEMS, VIDEOS, Cell, System
from benchmarks.speed import WORK

METRICS = {"si_sdr": ("SI-SDR (dB)", 2), "pesq": ("PESQ-wb", 3), "estoi": ("ESTOI", 3)}
"""Scores that are shown, how they are called, and to how many digits."""

Row = Sequence[str]


def collect(bench: Bench, cells: Iterable[Cell]) -> pd.DataFrame:
    """The scores of finished runs, one row a mixture, with the gain over the input in ``<metric>_gain``."""
    before = _scores(bench, INPUT).set_index("id")
    runs = []
    for cell in cells:
        run = _scores(bench, cell)
        run.insert(0, "system", cell.system)
        run = run.assign(seed=cell.seed, start=cell.start, video=cell.video)
        for metric in METRICS:
            run[f"{metric}_gain"] = run[metric] - run["id"].map(before[metric])
        runs.append(run)
    return pd.concat(runs, ignore_index=True)


def _scores(bench: Bench, cell: Cell) -> pd.DataFrame:
    return pd.read_csv(bench.file(cell), dtype={"id": str})


def spread(runs: pd.DataFrame, column: str, digits: int = 2, sign: str = "+") -> str:
    """Mean over seeds of the mean over mixtures, and in parentheses the least and the greatest seed."""
    if runs.empty or runs[column].isna().all():
        return "-"
    seeds = runs.groupby("seed")[column].mean()
    mean, low, high = (f"{value:{sign}.{digits}f}" for value in (seeds.mean(), seeds.min(), seeds.max()))
    return f"{mean} ({low}..{high})" if len(seeds) > 1 else mean


def by_snr(runs: pd.DataFrame, talker: str) -> str:
    """Gains of each system with its own start and the right video, per signal-to-noise ratio."""
    runs = runs[runs.talker == talker]
    snrs = sorted(runs.snr_db.unique())
    rows: list[Row] = []
    for metric, (title, digits) in METRICS.items():
        noisy = runs[runs.system == INPUT.system]
        values = [noisy[noisy.snr_db == snr][metric].mean() for snr in snrs] + [noisy[metric].mean()]
        rows.append([title, "noisy input (no gain)", *(f"{value:.{digits}f}" for value in values)])
        for system in SYSTEMS.values():
            one = runs[(runs.system == system.name) & usual(runs)]
            if len(one):
                column = f"{metric}_gain"
                parts = [one[one.snr_db == snr] for snr in snrs] + [one]
                rows.append(["", system.label, *(spread(part, column, digits) for part in parts)])
    return markdown(["score", "gain of", *(f"{snr:+g} dB" if snr else "0 dB" for snr in snrs), "all"], rows)


def by_start(runs: pd.DataFrame, talker: str) -> str:
    """Gains per start, with the right video."""
    rows: list[Row] = []
    for system, of_system in _with_mouth(runs, talker):
        for start in STARTS:
            one = of_system[(of_system.start == start) & (of_system.video == "right")]
            if len(one):
                rows.append([system.label, start, *_gains(one), spread(one, "responsibility", sign="")])
    return markdown(["system", "start", *_titles(), "audio responsibility"], rows)


def by_video(runs: pd.DataFrame, talker: str) -> str:
    """Gains per video, the difference to the baseline of the same seed, and the mean responsibility."""
    rows: list[Row] = []
    baseline = runs[(runs.system == BASELINE.name) & (runs.talker == talker)]
    if len(baseline):
        rows.append([BASELINE.label, "not used", *_gains(baseline), "", "", ""])
    reference = baseline.set_index(["seed", "id"])["si_sdr_gain"]
    for system, of_system in _with_mouth(runs, talker):
        for video, title in VIDEOS.items():
            one = of_system[(of_system.start == system.start) & (of_system.video == video)].copy()
            if one.empty:
                continue
            keys = pd.MultiIndex.from_frame(one[["seed", "id"]])
            one["difference"] = one.si_sdr_gain.to_numpy() - reference.reindex(keys).to_numpy()
            rows.append(
                [
                    system.label,
                    title,
                    *_gains(one),
                    spread(one, "difference"),
                    spread(one, "responsibility", sign=""),
                    spread(one, "responsibility_late", sign=""),
                ]
            )
    columns = [f"SI-SDR over {BASELINE.label} (dB)", "audio responsibility", "same, after one second"]
    return markdown(["system", "video", *_titles(), *columns], rows)


def of_speed(times: dict[str, pd.DataFrame]) -> str:
    """Seconds of work per second of sound, on the clock and of processors: mean over clips, least and greatest.

    Args:
        times: what :func:`benchmarks.speed.measure` returned for each system.
    """
    rows: list[Row] = []
    for work in WORK:
        for title, column in ((work, "elapsed"), ("processor time of it", "processor")):
            values = [table[table.work == work][column] for table in times.values()]
            rows.append([title, *map(_over_clips, values)])
    return markdown(["seconds of work per second of sound", *(SYSTEMS[name].label for name in times)], rows)


def _over_clips(factors: pd.Series) -> str:
    if factors.empty:
        return "-"
    several = f" ({factors.min():.2f}..{factors.max():.2f})" if len(factors) > 1 else ""
    return f"{factors.mean():.2f}{several}"


def markdown(header: Row, rows: Iterable[Row], names: int = 2) -> str:
    """A Markdown table; all columns but the first ``names`` are aligned to the right."""
    rule = ["---" if column < names else "--:" for column in range(len(header))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows])


def usual(runs: pd.DataFrame) -> pd.Series:
    """Rows of runs as they are meant: the system's own start, and the right video if it looks at any."""
    starts = runs.system.map({system.name: system.start for system in SYSTEMS.values()})
    videos = runs.system.map({s.name: "right" if s.with_mouth else "absent" for s in SYSTEMS.values()})
    return (runs.start == starts) & (runs.video == videos)


def _with_mouth(runs: pd.DataFrame, talker: str) -> Iterator[tuple[System, pd.DataFrame]]:
    for system in SYSTEMS.values():
        if system.with_mouth:
            yield system, runs[(runs.system == system.name) & (runs.talker == talker)]


def _titles() -> list[str]:
    return [title for title, _ in METRICS.values()]


def _gains(runs: pd.DataFrame) -> list[str]:
    return [spread(runs, f"{metric}_gain", digits) for metric, (_, digits) in METRICS.items()]
