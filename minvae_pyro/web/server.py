"""Serve the page, and leave nothing behind: no file, no word to anybody."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from minvae_pyro.cli.console import say
from minvae_pyro.errors import UserError
from minvae_pyro.web.limits import Limits

_SWEEP_SECONDS = 30
# Nothing of the page comes from elsewhere. Gradio's scripts evaluate code of their own.
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'self'; form-action 'self'"
)


def serve(
    *, host: str, port: int, browser: bool, most_megabytes: float, most_seconds: float, checkpoints: Sequence[str] = ()
) -> None:
    """Serve until Ctrl-C or a signal to end.

    Args:
        host: address to listen on.
        port: of it.
        browser: open the page in one.
        most_megabytes: size of a recording.
        most_seconds: length of a recording.
        checkpoints: files that are offered beside the shipped ones.

    Raises:
        UserError: a checkpoint cannot be read, or nobody can listen there.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    limits = Limits(most_megabytes, most_seconds)
    with suppress(KeyboardInterrupt), opened(host, port, limits, checkpoints, browser=browser) as (address, visits):
        say(f"the page is at {address} (Ctrl-C closes it and deletes what visitors have left)")
        from minvae_pyro.web.page import KEEP_SECONDS

        while True:
            time.sleep(_SWEEP_SECONDS)
            visits.sweep(KEEP_SECONDS)


@contextmanager
def opened(
    host: str, port: int, limits: Limits, checkpoints: Sequence[str] = (), *, browser: bool = False
) -> Iterator[tuple[str, Any]]:
    """The page while it is served.

    Yields:
        Its address, and the :class:`minvae_pyro.web.visits.Visits` of its visitors.

    Raises:
        UserError: as :func:`serve`.
    """
    with tempfile.TemporaryDirectory(prefix="minvae-web-", ignore_cleanup_errors=True) as temporary:
        # read by Gradio when it is imported
        os.environ |= {
            "GRADIO_TEMP_DIR": temporary,
            "GRADIO_ANALYTICS_ENABLED": "False",
            "GRADIO_SHARE": "False",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "1",
        }
        import gradio as gr
        from starlette.middleware import Middleware

        from minvae_pyro.web import markup
        from minvae_pyro.web.choices import choices
        from minvae_pyro.web.desk import Desk
        from minvae_pyro.web.page import build
        from minvae_pyro.web.visits import Visits

        visits = Visits(_folder(temporary, "visits"))
        page = build(Desk(choices(checkpoints), limits, visits, _folder(temporary, "examples")))
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port,
                inbrowser=browser,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=int(limits.megabytes * 1e6),
                app_kwargs={"middleware": [Middleware(_Headers)]},
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                theme=gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace")),
                head=markup.HEAD,
            )
        except OSError as error:
            raise UserError(f"cannot listen on port {port} of {host} ({error}): choose another by --port.") from error
        try:
            yield address, visits
        finally:
            page.close(verbose=False)


class _Headers:
    """Tells browsers to fetch nothing from elsewhere, and to tell no other site where they are."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", _POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


def _folder(temporary: str, name: str) -> Path:
    folder = Path(temporary).resolve() / name
    folder.mkdir()
    return folder


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
