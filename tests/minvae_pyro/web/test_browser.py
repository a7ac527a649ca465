"""The page in a real browser: the command serves it, Playwright drives the system's Chromium."""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MISSING = [name for name in ("gradio", "playwright") if importlib.util.find_spec(name) is None]
MISSING += [] if CHROMIUM else ["chromium"]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}")

PATIENCE = 90_000  # milliseconds, on a machine that is busy
RESULT = "#minvae-result"


@dataclass
class Site:
    address: str
    folder: Path
    process: subprocess.Popen[str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, quick: Path) -> Iterator[Site]:
    """The page of one small model, in a process of its own."""
    folder = tmp_path_factory.mktemp("site")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "minvae_pyro.cli.main", "web", "--no-browser", "--port", str(port)]
    command += ["--max-seconds", "5", "--max-size", "1", "--checkpoint", str(quick)]
    environment = {**os.environ, "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/", said)
            assert found, said
            yield Site(found.group(), folder, process)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield opened
        opened.close()


@pytest.fixture
def visitor(browser: Any, site: Site) -> Iterator[Any]:
    page = arrive(browser, site)
    yield page
    page.context.close()


def arrive(browser: Any, site: Site) -> Any:
    page = browser.new_context(accept_downloads=True).new_page()
    page.set_default_timeout(PATIENCE)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(site.address)
    page.wait_for_selector("#minvae-start")
    return page


def upload(page: Any, file: Path) -> None:
    page.set_input_files("#minvae-video input[type=file]", str(file))
    page.wait_for_selector("#minvae-video video")


def test_upload_run_play_download(visitor: Any, site: Site, clip: Path, tmp_path: Path) -> None:
    upload(visitor, clip)
    visitor.click("#minvae-start")
    visitor.wait_for_selector(f"{RESULT} .minvae-players")

    before, after = visitor.locator(f"{RESULT} video").all()
    # so slowly that it is not over when the other one starts
    before.evaluate("video => { video.playbackRate = 0.0625; video.currentTime = 0.5; return video.play(); }")
    after.evaluate("video => { video.playbackRate = 0.0625; return video.play(); }")
    assert before.evaluate("video => video.paused")
    moment, width, seconds = after.evaluate("video => [video.currentTime, video.videoWidth, video.duration]")
    # it goes on where the other was
    assert 0.45 < moment < 1.0
    assert (width, round(seconds)) == (268, 1)

    for title, tracks in (("Download sound", (1, 0)), ("Download video", (1, 1))):
        with visitor.expect_download() as waiting:
            visitor.get_by_text(title).click()
        file = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(file)
        assert file.stem == "my talk-enhanced"
        with av.open(str(file)) as container:
            assert (len(container.streams.audio), len(container.streams.video)) == tracks
            assert abs(container.duration / 1e6 - 1.0) < 0.1
    for page in ("light", "dark"):
        visitor.evaluate(f"document.body.classList.toggle('dark', {str(page == 'dark').lower()})")
        images = f"[...document.querySelectorAll('{RESULT} img')]"
        shown = visitor.evaluate(
            f"{images}.filter(one => getComputedStyle(one).display != 'none').map(one => one.className)"
        )
        assert shown == [f"only-{page}"] * 2
    assert "minvae enhance 'my talk.mp4' --checkpoint quick.safetensors" in visitor.inner_text(f"{RESULT} pre")
    elsewhere = [url for url in visitor.asked if not url.startswith((site.address, "data:", "blob:"))]
    assert elsewhere == []


def test_a_bad_file_is_one_line_on_the_page(visitor: Any, tmp_path: Path) -> None:
    bad = tmp_path / "notes.mp4"
    bad.write_text("this is no film")
    upload(visitor, bad)
    visitor.click("#minvae-start")
    said = visitor.inner_text(f"{RESULT} [role=alert]")
    assert said.startswith("cannot read notes.mp4")
    assert "\n" not in said


def test_nothing_to_enhance_is_said(visitor: Any) -> None:
    visitor.click("#minvae-start")
    assert "There is no recording" in visitor.inner_text(f"{RESULT} [role=alert]")


def test_what_is_too_large_is_not_taken(visitor: Any, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(1_200_000))
    visitor.set_input_files("#minvae-video input[type=file]", str(large))
    visitor.get_by_text(re.compile("exceed|too large", re.IGNORECASE)).first.wait_for()


def test_two_visitors_wait_for_each_other_and_leave_nothing(browser: Any, site: Site, clip: Path) -> None:
    pages = [arrive(browser, site) for _ in range(2)]
    for page in pages:
        upload(page, clip)
        page.evaluate(
            "() => { window.told = ''; new MutationObserver(() => window.told += document.body.innerText)"
            ".observe(document.body, {childList: true, subtree: true, characterData: true}); }"
        )
    for page in pages:
        page.click("#minvae-start")
    for page in pages:
        page.wait_for_selector(f"{RESULT} .minvae-players")
    assert any("queue: " in page.evaluate("() => window.told") for page in pages)
    made = [page.get_attribute(f"{RESULT} video", "src") for page in pages]
    assert made[0] != made[1]
    kept = [site.folder.glob("minvae-web-*/visits/*/*-enhanced.wav")]
    assert len([file for found in kept for file in found]) >= 2
    for page in pages:
        page.context.close()
    deadline = time.monotonic() + 30
    while list(site.folder.glob("minvae-web-*/visits/*/*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert list(site.folder.glob("minvae-web-*/visits/*/*")) == []


def test_nothing_is_left_when_it_is_closed(site: Site) -> None:
    """The last test: it ends the server."""
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(30) == 0
    assert list(site.folder.iterdir()) == []
