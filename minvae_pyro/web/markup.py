"""What the page says of an outcome, as HTML: players, figures, downloads, the command line, errors."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote

from minvae_pyro.web.job import Outcome

_CSS = """
.minvae-players { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); gap: 1rem; }
.minvae figure { margin: 0 0 1rem; min-width: 0; }
.minvae .minvae-players figure { margin: 0; }
.minvae figcaption { font-weight: 600; margin-bottom: .3rem; }
.minvae video { display: block; width: 100%; max-height: 22rem; background: #000; border-radius: 6px; }
.minvae audio { display: block; width: 100%; margin-top: .3rem; }
.minvae-downloads { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; }
.minvae .minvae-downloads a { padding: .35rem .8rem; border: 1px solid var(--border-color-primary); border-radius: 6px;
  color: var(--body-text-color); text-decoration: none; }
.minvae .minvae-downloads a:hover { background: var(--background-fill-secondary); }
.minvae-wide { overflow-x: auto; }
.minvae-wide img { display: block; width: 100%; min-width: 34rem; }
.minvae pre { overflow-x: auto; padding: .7rem; border-radius: 6px; margin: .3rem 0 1rem; user-select: all;
  background: var(--background-fill-secondary); color: var(--body-text-color); white-space: pre-wrap;
  overflow-wrap: anywhere; }
.minvae-error { border-left: 4px solid #d55e00; padding: .6rem .9rem; background: var(--background-fill-secondary);
  color: var(--body-text-color); overflow-wrap: anywhere; }
.minvae p, .minvae li { color: var(--body-text-color); overflow-wrap: anywhere; }
.minvae img.only-dark, .dark .minvae img.only-light { display: none; }
.dark .minvae img.only-dark { display: block; }
#minvae-result { min-height: 9rem; }
#minvae-video video { max-height: 16rem; }
footer { display: none !important; }
"""

# as a whole: Gradio would put a prefix before each rule
HEAD = (
    f"<style>{_CSS}</style>"
    + """
<script>
// Before and after are heard by turns at the same place: who starts one takes over from the other.
document.addEventListener("play", (event) => {
  const group = event.target.closest(".minvae-players");
  if (!group) return;
  for (const other of group.querySelectorAll("video, audio")) {
    if (other !== event.target && !other.paused) {
      event.target.currentTime = other.currentTime;
      other.pause();
    }
  }
}, true);
</script>
"""
)
"""For the head of the page."""


def result(outcome: Outcome) -> str:
    """Players, downloads, figures, notes and the command line."""
    players = "".join(_player(title, *files) for title, files in (("Before", outcome.before), ("After", outcome.after)))
    sound, film = outcome.after
    downloads = _download(sound, "Download sound") + (_download(film, "Download video") if film else "")
    notes = "".join(f"<li>{escape(note)}</li>" for note in outcome.notes)
    figures = _figure("Spectrograms", outcome.figures.spectrograms)
    if outcome.figures.responsibility:
        figures += _figure("Who explains the frame: the mouth or the sound", outcome.figures.responsibility)
    return (
        f'<div class="minvae"><p>{escape(outcome.summary)}</p>{f"<ul>{notes}</ul>" if notes else ""}'
        f'<div class="minvae-players">{players}</div><div class="minvae-downloads">{downloads}</div>{figures}'
        f"<strong>The same on the command line</strong><pre><code>{escape(outcome.command)}</code></pre></div>"
    )


def complaint(text: str) -> str:
    """What is wrong, in one line."""
    return f'<div class="minvae"><div class="minvae-error" role="alert">{escape(" ".join(text.split()))}</div></div>'


def _address(path: Path) -> str:
    # relative, so that the page may be served below any path
    return escape(f"gradio_api/file={quote(str(path))}")


def _player(title: str, sound: Path, film: Path | None) -> str:
    kind, path = ("audio", sound) if film is None else ("video", film)
    return (
        f'<figure><figcaption>{title}</figcaption><{kind} controls playsinline preload="auto" aria-label="{title}" '
        f'src="{_address(path)}"></{kind}></figure>'
    )


def _download(path: Path, title: str) -> str:
    return f'<a href="{_address(path)}" download="{escape(path.name)}">{title}</a>'


def _figure(title: str, files: Mapping[str, Path]) -> str:
    images = "".join(
        f'<img class="only-{page}" loading="lazy" alt="{escape(title)}" src="{_address(file)}">'
        for page, file in files.items()
    )
    return f'<figure><figcaption>{escape(title)}</figcaption><div class="minvae-wide">{images}</div></figure>'
