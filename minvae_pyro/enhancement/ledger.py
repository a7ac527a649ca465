"""What became of each of many recordings: a table for people, and a journal that an interrupted run goes on from."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import IO, Any, Self

from minvae_pyro.corpora.spreadsheets import defused
from minvae_pyro.enhancement.inputs import Item
from minvae_pyro.errors import UserError, WriteError
from minvae_pyro.files import make_folder, write_atomic

TABLE = "enhanced.csv"
"""The table, in the folder of the outputs."""

JOURNAL = ".minvae-enhance.jsonl"
"""The journal, beside it."""

_NAMED = 3  # settings that a message shows


@dataclass(frozen=True)
class Outcome:
    """What became of a recording.

    Attributes:
        input: the recording.
        output: what was, or would be, written.
        status: ``enhanced``; ``kept``, as an earlier run left it; or ``failed``.
        seconds: of sound; 0 where it could not be read.
        elapsed: seconds of inference, those of a batch shared by length.
        faces_found: share of the frames with a mouth.
        audio_responsibility: mean probability that the sound, not the mouth, explains a frame; None where
            there is no such choice.
        note: plain sentences on what was out of the ordinary.
        error: why it failed, else empty.
    """

    input: str
    output: str
    status: str
    seconds: float = 0.0
    elapsed: float = 0.0
    faces_found: float = 0.0
    audio_responsibility: float | None = None
    note: str = ""
    error: str = ""


class Ledger:
    """The journal of a folder.

    A line is added before something is written and when it is finished, so that what lies in the folder after a crash
    is known for our own.

    Args:
        folder: of the outputs; made when missing.
        settings: all that decides a result besides the recording, by name.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.settings = {name: json.loads(json.dumps(value, default=repr)) for name, value in settings.items()}
        self._rows: dict[str, dict[str, Any]] = {}
        self._begun: set[str] = set()
        self._file: IO[str] | None = None
        self._read()

    def __enter__(self) -> Self:
        make_folder(self.folder)
        try:
            self._file = open(self.folder / JOURNAL, "a", encoding="utf-8")
        except OSError as error:
            raise WriteError(
                f"cannot write {self.folder / JOURNAL} ({error.strerror}): choose another folder."
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        assert self._file is not None
        self._file.close()

    @property
    def exists(self) -> bool:
        """Whether there was a run before."""
        return bool(self._rows or self._begun)

    def is_ours(self, item: Item) -> bool:
        """Whether the output was written, or begun, by a run before."""
        return self._key(item) in self._begun

    def done(self, item: Item) -> Outcome | None:
        """What became of a recording that was enhanced, whose output is there, and that has not changed since."""
        row = self._rows.get(self._key(item))
        if row is None or row["files"] != _state(item) or not item.output.is_file():
            return None
        return Outcome(**row["outcome"])

    def changes(self, item: Item) -> list[str]:
        """What was set otherwise when it was enhanced, in words."""
        before, now = dict(_flat(self._rows[self._key(item)]["settings"])), dict(_flat(self.settings))
        names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        return [f"{name} {_told(before.get(name))}, now {_told(now.get(name))}" for name in names]

    def begin(self, item: Item) -> None:
        """Say that the output is about to be written."""
        self._begun.add(self._key(item))
        self._add({"begun": self._key(item)})

    def finish(self, item: Item, outcome: Outcome) -> None:
        """Say that the output is written."""
        row = {"files": _state(item), "settings": self.settings, "outcome": asdict(outcome)}
        self._rows[self._key(item)] = row
        self._add({"finished": self._key(item), **row})

    def write_table(self, outcomes: Sequence[Outcome]) -> Path:
        """Write the table of a run, and of what others before it left in the folder, sorted by input."""
        ours = {outcome.output for outcome in outcomes}
        others = [Outcome(**row["outcome"]) for row in self._rows.values()]
        there = [replace(one, status="kept") for one in others if one.output not in ours and Path(one.output).is_file()]
        text = io.StringIO()
        table = csv.DictWriter(text, [field.name for field in fields(Outcome)], lineterminator="\n")
        table.writeheader()
        for outcome in sorted([*outcomes, *there], key=lambda one: (one.input, one.output)):
            table.writerow({name: defused(value) for name, value in asdict(outcome).items()})
        content = text.getvalue().encode(errors="backslashreplace")  # names of files may be no text
        return write_atomic(self.folder / TABLE, content, overwrite=True)

    def _key(self, item: Item) -> str:
        return os.fspath(item.output.relative_to(self.folder))

    def _add(self, line: Mapping[str, Any]) -> None:
        assert self._file is not None
        try:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
        except OSError as error:
            raise WriteError(f"cannot write {self.folder / JOURNAL} ({error.strerror}): make room.") from error

    def _read(self) -> None:
        path = self.folder / JOURNAL
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path} ({error}): choose another folder.") from error
        for line in lines:
            try:
                said = json.loads(line)
                key = said.get("begun") or said["finished"]
                self._begun.add(key)
                if "finished" in said:
                    Outcome(**said["outcome"])
                    self._rows[key] = {name: said[name] for name in ("files", "settings", "outcome")}
            except (ValueError, TypeError, KeyError, AttributeError):
                continue  # cut off in the middle of a line


def named_changes(changes: Sequence[str]) -> str:
    """The first of some changes."""
    more = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
    return "; ".join(changes[:_NAMED]) + more


def _flat(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by the names that a command line gives them."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, above if name == "init_args" else f"{above}{name}.")
        else:
            yield (above.removesuffix(".") if name == "class_path" else f"{above}{name}"), value


def _told(value: Any) -> str:
    text = "not set" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _state(item: Item) -> list[Any]:
    """Of the files that an output is made from: which, how long, changed when."""
    state: list[Any] = []
    for path in dict.fromkeys((item.source, item.picture)):
        status = path.stat()
        state += [os.fspath(path.resolve()), status.st_size, status.st_mtime_ns]
    return state
