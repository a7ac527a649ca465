import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import torch

from minvae_pyro.audio.files import Sound, write_sound
from minvae_pyro.errors import UserError
from minvae_pyro.evaluation.jobs import sound_file
from minvae_pyro.evaluation.report import page as report
from minvae_pyro.evaluation.report.page import write_html
from minvae_pyro.evaluation.report.results import summarise

SYSTEMS = ("input", "a-vae", "mine & <yours> #2")
METRICS = ("si_sdr", "pesq", "estoi")


class Page(HTMLParser):
    """Elements of a page: (tag, attributes) in order, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def table(mixtures: int = 4, systems: tuple[str, ...] = SYSTEMS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {
            "system": system,
            "id": f"{number:02}_+0",
            "talker": f"s{number % 2}",
            "noise": "wind",
            "snr_db": 5.0 * (number % 2),
            "audio_responsibility": np.nan if system == "input" else 0.5,
            "note": "",
        }
        | {metric: rng.normal() for metric in METRICS}
        | {f"{metric}_gain": 0.0 if system == "input" else rng.normal() for metric in METRICS}
        for system in systems
        for number in range(mixtures)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A folder with sounds of all systems on all mixtures but the last."""
    for system in (*SYSTEMS, "clean"):
        for number in range(3):
            file = sound_file(tmp_path, system, f"{number:02}_+0")
            file.parent.mkdir(parents=True, exist_ok=True)
            write_sound(file, Sound(0.1 * torch.randn(1, 1600), 16000))
    return tmp_path


@pytest.fixture(autouse=True)
def without_drawing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a placeholder in the place of each figure, unless a test is marked to draw: that takes the longest."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(report, "drawn", lambda figure, kind: kind.encode())


@pytest.fixture
def drawn() -> None:
    """Asks for figures."""


def test_a_page_plays_every_sound_of_every_system(experiment: Path) -> None:
    page = Page(write_html(table(), experiment, title="Trial <1>"))
    assert not page.open
    links = [unquote(str(audio["src"])) for audio in page.of("audio")]
    assert len(links) == 3 * 4
    assert all((experiment / link).is_file() for link in links)
    assert links[:4] == [f"sounds/{name}/00_+0.wav" for name in ("input", "clean", "a-vae", SYSTEMS[2])]
    assert all(audio["preload"] == "none" for audio in page.of("audio"))
    assert len([image for image in page.of("img") if image["alt"] == "spectrogram"]) == 12
    assert page.text.count("no sound") == 3
    assert "Trial <1>" in page.text
    assert SYSTEMS[2] in page.text


def test_a_page_needs_no_network(experiment: Path, drawn: None) -> None:
    page = Page(write_html(table(), experiment))
    figures = [image for image in page.of("img") if str(image["src"]).startswith("data:image/svg+xml")]
    assert len(figures) == 2
    for figure in figures:
        assert b"</svg>" in base64.b64decode(str(figure["src"]).split(",")[1])
    sources = [str(element.get("src") or element.get("href")) for element in [*page.of("img"), *page.of("a")]]
    assert all(source.startswith(("data:image/", "#")) for source in sources)
    assert not page.of("link")
    assert not re.search(r"https?:|@import|url\(", page.text)


def test_filters_offer_what_mixtures_differ_in(experiment: Path) -> None:
    page = Page(write_html(table(), experiment))
    assert [select["data-filter"] for select in page.of("select")] == ["snr", "talker"]
    assert [option["value"] for option in page.of("option")] == ["", "0", "5", "", "s0", "s1"]
    assert [box["data-system"] for box in page.of("input")] == list(SYSTEMS)
    articles = page.of("article")
    assert [(article["data-snr"], article["data-talker"]) for article in articles] == [("0", "s0"), ("5", "s1")] * 2
    # every choice of a filter is the value of some article
    assert {"0", "5"} == {article["data-snr"] for article in articles}


def test_rows_without_a_score_are_told_with_their_note(experiment: Path) -> None:
    scores = table()
    scores.loc[4, ["pesq", "note"]] = [np.nan, "PESQ: no utterances"]
    scores.loc[5, ["estoi", "note"]] = [np.nan, None]
    text = Page(write_html(scores, experiment)).text
    assert "2 rows of the table lack a score and are left out" in text
    assert "a-vae, 00_+0: PESQ: no utterances" in text
    assert "a-vae, 01_+0: no reason is known" in text
    assert "lack a score" not in Page(write_html(table(), experiment, overwrite=True)).text


def test_systems_are_compared_with_the_baseline(experiment: Path) -> None:
    assert "Compared with a-vae" in Page(write_html(table(), experiment)).text
    assert (
        "Compared with input"
        in Page(write_html(table(), experiment, results=summarise(table(), "input"), overwrite=True)).text
    )
    alone = table(systems=("input", "a-vae"))
    assert "Compared with" not in Page(write_html(alone, experiment, overwrite=True)).text
    with pytest.raises(UserError, match="no system b"):
        summarise(table(), "b")


def test_levels_of_factors_are_drawn(experiment: Path) -> None:
    scores = table()
    scores.insert(6, "factor:start", scores["system"].map({"a-vae": "audio", SYSTEMS[2]: "visual"}))
    captions = [image["alt"] for image in Page(write_html(scores, experiment)).of("img")]
    assert captions[0] == "Levels of start"


def test_a_page_without_sounds_shows_scores(tmp_path: Path) -> None:
    scores = table()
    scores["snr_db"] = np.nan  # recorded mixtures
    page = Page(write_html(scores, tmp_path))
    assert not page.of("audio")
    assert len(page.of("article")) == 4
    assert f"SI-SDR {scores['si_sdr'][0]:.2f} dB" in page.text


def test_of_very_many_mixtures_some_have_players(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_LISTENED", 3)
    page = Page(write_html(table(mixtures=7), tmp_path))
    assert len(page.of("article")) == 3
    assert "3 of the 7 mixtures" in page.text


def test_a_page_is_kept_and_the_input_alone_is_none(experiment: Path) -> None:
    before = write_html(table(), experiment).read_bytes()
    with pytest.raises(UserError, match="exists"):
        write_html(table(), experiment)
    assert write_html(table(), experiment, overwrite=True).read_bytes() == before
    with pytest.raises(UserError, match="nothing to report"):
        write_html(table(systems=("input",)), experiment, overwrite=True)
