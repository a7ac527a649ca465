import math
import re

import pandas as pd

from minvae_pyro.evaluation.report.markup import markdown, to_latex, to_markdown
from minvae_pyro.evaluation.tables import summary


def unpadded(text: str) -> str:
    """Markdown without the spaces and dashes that align its columns."""
    return re.sub(r"-{2,}", "-", re.sub(r" +", " ", text))


def summarised() -> pd.DataFrame:
    columns = ["system", "snr_db", "metric", "mean", "low", "high", "count", "missing"]
    rows = [
        ("a|b_1", -5.0, "si_sdr_gain", -1.234, -2.0, 0.001, 4, 0),
        ("a|b_1", -5.0, "pesq", 1.5, 1.25, 2.0, 3, 1),
        ("c", 5.0, "si_sdr_gain", 2.0, math.nan, math.nan, 1, 0),
        ("c", 5.0, "pesq", math.nan, math.nan, math.nan, 0, 1),
    ]
    return pd.DataFrame(rows, columns=columns)


def compared() -> pd.DataFrame:
    columns = ["factor:start", "metric", "difference", "low", "high", "count", "missing", "better", "p", "p_holm"]
    rows = [
        ("audio & both", "si_sdr_gain", 1.0, 0.5, 1.5, 4, 0, 1.0, 0.0001, 0.0004),
        ("audio & both", "estoi_gain", -0.0001, -0.2, 0.1, 4, 0, 0.5, 0.5, 1.0),
    ]
    return pd.DataFrame(rows, columns=columns)


def test_markdown() -> None:
    assert unpadded(to_markdown(summarised())) == (
        "| system | SNR (dB) | mixtures | SI-SDR gain (dB) | PESQ-wb |\n"
        "|:-|:-|-:|-:|-:|\n"
        "| a\\|b_1 | -5 | 4 | -1.23 (-2.00 to +0.00) | 1.500 (1.250 to 2.000), 3 of 4 |\n"
        "| c | 5 | 1 | +2.00 | - |\n"
    )
    assert unpadded(to_markdown(compared())) == (
        "| start | mixtures | SI-SDR (dB) | ESTOI |\n"
        "|:-|-:|-:|-:|\n"
        "| audio & both | 4 | +1.00 (+0.50 to +1.50), p < 0.001 | +0.000 (-0.200 to +0.100), p = 1.000 |\n"
    )


def test_latex() -> None:
    assert to_latex(summarised()) == (
        "\\begin{tabular}{llrrr}\n"
        "\\toprule\n"
        "system & SNR (dB) & mixtures & SI-SDR gain (dB) & PESQ-wb \\\\\n"
        "\\midrule\n"
        "a|b\\_1 & $-5$ & 4 & $-1.23$ ($-2.00$ to $+0.00$) & 1.500 (1.250 to 2.000), 3 of 4 \\\\\n"
        "c & 5 & 1 & $+2.00$ & - \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )
    assert r"audio \& both & 4 & $+1.00$ ($+0.50$ to $+1.50$), p $<$ 0.001 &" in to_latex(compared())


def test_a_table_without_groups_has_one_row() -> None:
    table = pd.DataFrame({"id": ["a", "b"], "si_sdr_gain": [1.0, 1.0]})
    text = unpadded(to_markdown(summary(table, [], ["si_sdr_gain"])))
    assert text.splitlines()[2] == "| 2 | +1.00 (+1.00 to +1.00) |"


def test_text_is_not_taken_for_numbers_and_a_bar_ends_no_cell() -> None:
    table = pd.DataFrame({"na|me": ["1e3", "a|b"], "value": ["007", "-"]})
    assert unpadded(markdown(table, 1)) == "| na\\|me | value |\n|:-|-:|\n| 1e3 | 007 |\n| a\\|b | - |\n"
    assert len({len(line) for line in markdown(table, 1).splitlines()}) == 1
