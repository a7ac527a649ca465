"""The page itself: what is asked for on the left, what came of it on the right."""

from __future__ import annotations

from typing import Any

import gradio as gr

from minvae_pyro.web.choices import USUAL, Choices
from minvae_pyro.web.desk import Desk
from minvae_pyro.web.examples import EXAMPLES
from minvae_pyro.web.job import MOST_DRAWS

KEEP_SECONDS = 3600
"""After which whatever visitors have left is deleted."""

_SWEEP_SECONDS = 60
_MOST_WAITING = 50
_ONE_AT_A_TIME: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "inference", "api_visibility": "private"}
_AT_ONCE: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
_TITLES = {"engine": "Inference engine", "noise": "Noise model", "guide": "Guide (posterior that is fitted)"}
_INTRODUCTION = """# Hear somebody in noise
Drop or record a video of a person who talks, or a sound alone, {limits}. The mouth helps where it can be seen. What you
upload is deleted after about an hour, what is made of it when you close the page."""
_NOTHING = '<div class="minvae"><p>The result will be here.</p></div>'


def build(desk: Desk) -> gr.Blocks:
    """Put the page together."""
    with gr.Blocks(analytics_enabled=False, title="minvae", delete_cache=(_SWEEP_SECONDS, KEEP_SECONDS)) as page:
        gr.Markdown(_INTRODUCTION.format(limits=desk.limits))
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                with gr.Tabs() as tabs:
                    with gr.Tab("Video", id="video"):
                        video = gr.Video(
                            sources=["upload", "webcam"],
                            include_audio=True,
                            label="Recording",
                            elem_id="minvae-video",
                        )
                    with gr.Tab("Sound alone", id="sound"):
                        sound = gr.Audio(
                            sources=["upload", "microphone"],
                            type="filepath",
                            label="Recording",
                            elem_id="minvae-sound",
                        )
                start = gr.Button("Enhance", variant="primary", elem_id="minvae-start")
                with gr.Accordion("Model and inference", open=False):
                    chosen = _choices(desk)
                gr.Markdown("**Examples**: synthetic talkers, whose mouths no model was trained on")
                buttons = {name: gr.Button(name, size="sm") for name in EXAMPLES}
            with gr.Column(scale=3, min_width=320):
                result = gr.HTML(_NOTHING, elem_id="minvae-result")

        _one_recording(video, sound)
        start.click(desk.enhance, [video, sound, *chosen], result, **_ONE_AT_A_TIME)
        for name, button in buttons.items():
            meant = gr.State(name)
            shown = button.click(desk.show_example, meant, [video, sound, tabs], **_ONE_AT_A_TIME)
            shown.success(desk.enhance, [video, sound, *chosen], result, **_ONE_AT_A_TIME)
        page.unload(desk.leave)
    page.queue(max_size=_MOST_WAITING, api_open=False)
    return page


def _choices(desk: Desk) -> list[Any]:
    """The boxes in the order of the arguments of :meth:`minvae_pyro.web.desk.Desk.enhance`."""
    offered: Choices = desk.offered
    names = list(offered.checkpoints)
    about = [gr.Dropdown(names, value=names[0], label="Checkpoint", info=offered.explain("checkpoint", names[0]))]
    for key, title in _TITLES.items():
        info = offered.explain(key, USUAL, names[0])
        about.append(gr.Dropdown(list(offered.parts[key]), value=USUAL, label=title, info=info))
    for box in about:
        box.input(desk.explain, about, about, **_AT_ONCE)
    draws = gr.Slider(
        0, MOST_DRAWS, value=0, step=1, label="Posterior draws", info="for the interval of the level of the speech"
    )
    seed = gr.Number(0, label="Seed", info="decides everything random", precision=0, minimum=0, maximum=2**31 - 1)
    return [*about, draws, seed]


def _one_recording(video: gr.Video, sound: gr.Audio) -> None:
    """Let the latest recording be the one that is meant."""
    for given, other in ((video, sound), (sound, video)):
        for event in (given.upload, given.stop_recording):
            event(lambda: None, None, other, **_AT_ONCE)
