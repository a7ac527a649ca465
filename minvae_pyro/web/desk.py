"""What the page does when something is clicked."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from minvae_pyro.errors import UserError
from minvae_pyro.web import markup
from minvae_pyro.web.choices import Choices
from minvae_pyro.web.examples import example
from minvae_pyro.web.job import Job, run
from minvae_pyro.web.limits import Limits
from minvae_pyro.web.visits import Visits


@dataclass(frozen=True)
class Desk:
    """Answers to the events of the page; what its methods take are values of the page's boxes.

    Attributes:
        offered: what visitors may choose from.
        limits: what is taken.
        visits: where results are kept.
        examples: an existing folder for the examples.
    """

    offered: Choices
    limits: Limits
    visits: Visits
    examples: Path

    def enhance(
        self,
        video: str | None,
        sound: str | None,
        checkpoint: str,
        engine: str,
        noise: str,
        guide: str,
        draws: int,
        seed: int | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008, Gradio's way to ask for it
    ) -> str:
        """The markup of a result, or of what is wrong."""
        recording = video or sound
        if recording is None:
            return markup.complaint("There is no recording: drop or record one first, or click an example.")
        job = Job(Path(recording), checkpoint, engine, noise, guide, int(draws), int(seed or 0))

        def tell(what: str, done: int, total: int) -> None:
            progress((done, total or None), desc=what)

        try:
            folder = self.visits.folder(request.session_hash or "")
            return markup.result(run(job, folder, self.offered, self.limits, tell))
        except UserError as error:
            return markup.complaint(str(error))
        except MemoryError:
            return markup.complaint("There is not enough memory here for this recording: cut it.")
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return markup.complaint("Something is wrong with the program, not with the recording; its log says what.")

    def show_example(self, name: str) -> tuple[str, None, Any]:
        """The film of an example for the box of videos, nothing for that of sounds, and the tab of the first."""
        return str(example(name, self.examples)), None, gr.update(selected="video")

    def explain(self, checkpoint: str, engine: str, noise: str, guide: str) -> list[Any]:
        """What is written below each of these boxes."""
        chosen = {"checkpoint": checkpoint, "engine": engine, "noise": noise, "guide": guide}
        return [gr.update(info=self.offered.explain(key, name, checkpoint)) for key, name in chosen.items()]

    def leave(self, request: gr.Request) -> None:
        """Delete what there is of a visitor who closes the page."""
        self.visits.leave(request.session_hash or "")
