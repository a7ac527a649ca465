"""Enhance many recordings: files and folders in, the same tree of files out, in one run or in several."""

from __future__ import annotations

import inspect
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from minvae_pyro.audio.files import Sound
from minvae_pyro.checkpoints.checkpoint import Checkpoint, checkpoint_file, load_checkpoint
from minvae_pyro.corpora.workers import Helpers, Promise, usual_workers
from minvae_pyro.enhancement.batch import fits, separate_together
from minvae_pyro.enhancement.enhance import DEFAULT_CHECKPOINT, Progress
from minvae_pyro.enhancement.inputs import Item, find_items
from minvae_pyro.enhancement.ledger import TABLE, Ledger, Outcome, named_changes
from minvae_pyro.enhancement.ready import Blend, Ready, as_recorded, make_ready
from minvae_pyro.enhancement.separation import Separation, separate
from minvae_pyro.enhancement.transport import Options, Parcel, deliver, fetch, look
from minvae_pyro.errors import UserError, WriteError
from minvae_pyro.files import FilePath, check_folder, digest_of, path_of
from minvae_pyro.inference import InferenceEngine, Settings
from minvae_pyro.inference.pyro_parts import make_guide
from minvae_pyro.inference.settings import ENGINES, start_named
from minvae_pyro.models import NoiseModel
from minvae_pyro.probability.settled import settled
from minvae_pyro.registry.admission import Trust
from minvae_pyro.registry.build import make
from minvae_pyro.registry.names import shortened
from minvae_pyro.version import __version__

BATCH_SECONDS = 96.0
"""Seconds of sound, padding counted, that are inferred together: as many as the windows of a long recording."""

_AHEAD = 1800.0  # seconds of sound that wait for inference, in memory: about a gigabyte
_LOOK = 64  # files that are looked at together
_MOST = 128  # recordings in a batch, however short they say to be
_PENDING = 32  # outputs on their way to disk


def enhance_many(
    inputs: FilePath | Sequence[FilePath],
    output: FilePath,
    *,
    form: str = "wav",
    video: FilePath | None = None,
    audio_track: int | None = None,
    video_track: int | None = None,
    keep_original: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    checkpoint: str | os.PathLike[str] | Checkpoint = DEFAULT_CHECKPOINT,
    trust: Trust = (),
    mix: float = 1.0,
    limit: float | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    batch_seconds: float = BATCH_SECONDS,
    workers: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> list[Outcome]:
    """Enhance files and folders of recordings, each as :func:`minvae_pyro.enhance` does one.

    Recordings of similar length are inferred together, which changes no result, while other processes read the next
    ones and their mouths, and write the last. One that cannot be read or written is a row that says why. What happened
    to each is in ``enhanced.csv`` in the folder of the outputs, also after an interruption.

    Args:
        inputs: files of any name, and folders, searched with all below them for sound and video files.
        output: folder for what is written, made when missing: of one folder the tree below it; of several inputs each
            folder keeps its name.
        form: what is written: ``wav``, ``flac``, ``mp4``, ``mov``, ``mkv``, or ``video``, a film as the input is.
        video: a file that shows the mouth of each input; or a folder with one for each sound file, of the same name in
            the same tree.
        audio_track: see :func:`minvae_pyro.enhance`.
        video_track: see there.
        keep_original: keep the sound of a recording as the second track of its film.
        resume: leave out what an earlier run enhanced with the same settings and what has not changed since (by size
            and date), and try again what failed.
        overwrite: replace files that exist; with ``resume``, what was made with other settings.
        checkpoint: see :func:`minvae_pyro.enhance`.
        trust: see there.
        mix: see there.
        limit: see there.
        seed: decides everything random; the same for every recording.
        device: where to compute; "auto" takes a GPU where there is one.
        batch_seconds: seconds of sound that are inferred together.
        workers: processes that read and write; 0 for none besides this; by default one for each core but one.
        progress: called with how many recordings are done, and seconds of sound that are done, of how many.
        **settings: engine, start, noise, guide and so on, see :class:`minvae_pyro.inference.Settings`.

    Returns:
        What became of each, sorted by output.

    Raises:
        UserError: before any work: an input is missing, two of them would become one file, an output exists that is to
            be kept, settings differ from those of the run to resume, or something else that is given cannot be used.
        WriteError: nothing can be written any more.
        KeyboardInterrupt: interrupted; what is finished stays, and ``resume`` goes on.
    """
    given = [inputs] if isinstance(inputs, str | bytes | os.PathLike) else list(inputs)
    folder, blend = path_of(output), Blend(mix, limit)
    options = Options(audio_track, video_track, keep_original)
    if not batch_seconds > 0:
        raise UserError(f"there cannot be batches of {batch_seconds} s: give more than 0.")
    items = find_items(given, folder, form=form, video=video)
    check_folder(folder, (), overwrite=overwrite)
    loaded = checkpoint if isinstance(checkpoint, Checkpoint) else load_checkpoint(checkpoint, trust)
    loaded.to(device)
    chosen = Settings.of_checkpoint(loaded.enhancement, loaded.trust, settings)
    _try(chosen)
    named = "" if isinstance(checkpoint, Checkpoint) else digest_of(checkpoint_file(checkpoint))
    ledger = Ledger(folder, {**_told(chosen), "checkpoint": named, "seed": seed, **vars(blend), **vars(options)})
    kept = _kept(items, ledger, resume, overwrite)
    work = _Work(loaded, settings, blend, options, seed, overwrite or resume)
    helpers = Helpers(usual_workers() if workers is None else workers, len(items) - len(kept))
    run = _Run(items, kept, work, helpers, ledger, batch_seconds, progress or (lambda what, done, total: None))
    return run.go()


def _try(chosen: Settings) -> None:
    """Make what is named once, so that a mistake is told before any work."""
    make(InferenceEngine, chosen.engine, "engine", ENGINES)  # type: ignore[type-abstract]
    make(NoiseModel, chosen.noise, "noise model")  # type: ignore[type-abstract]
    make_guide(chosen.guide)
    if isinstance(chosen.start, str):
        start_named(chosen.start)


def _told(chosen: Settings) -> dict[str, Any]:
    """Settings as the journal keeps them; code by its name."""
    told = {"version": __version__, **vars(chosen)}
    code = {key: one for key, one in told.items() if inspect.isclass(one) or inspect.isfunction(one)}
    return shortened(told | {key: f"{one.__module__}.{one.__qualname__}" for key, one in code.items()})


def _kept(items: Sequence[Item], ledger: Ledger, resume: bool, overwrite: bool) -> dict[Item, Outcome]:
    """What is done already.

    Raises:
        UserError: something else is where an output is to be, or what is done was made otherwise.
    """
    table = ledger.folder / TABLE
    if not overwrite and not ledger.exists and table.exists():
        raise UserError(f"{table} exists and is not from a run of this command: choose another --output.")
    if not resume:
        taken = [item.output for item in items if item.output.exists()]
        if taken and not overwrite:
            more = f", and {len(taken) - 1} more" if len(taken) > 1 else ""
            way = "--resume (resume=True) goes on, " if ledger.exists else ""
            raise UserError(
                f"{taken[0]} exists{more}: choose another --output, or {way}--overwrite (overwrite=True) replaces."
            )
        return {}
    foreign = [item.output for item in items if item.output.exists() and not ledger.is_ours(item)]
    if foreign and not overwrite:
        raise UserError(
            f"{foreign[0]} is not from the run to resume: move it away, or --overwrite (overwrite=True) replaces it."
        )
    done = {item: found for item in items if (found := ledger.done(item)) is not None}
    other = {item: changes for item in done if (changes := ledger.changes(item))}
    if other and not overwrite:
        changed = named_changes(next(iter(other.values())))
        raise UserError(
            f"{len(other)} of {len(items)} outputs were made with other settings ({changed}): give the same, choose "
            "another --output, or make them again by --overwrite (overwrite=True)."
        )
    return {item: replace(found, status="kept") for item, found in done.items() if item not in other}


@dataclass(frozen=True)
class _Work:
    """How recordings are enhanced."""

    checkpoint: Checkpoint
    settings: Mapping[str, Any]
    blend: Blend
    options: Options
    seed: int
    overwrite: bool

    @settled()
    def separate(self, batch: Sequence[Ready], callback: Callable[[float], None]) -> list[Separation | None]:
        """What is found in recordings; None for a silent one. ``callback`` is told which share is done."""
        stft = self.checkpoint.stft
        loud = [ready for ready in batch if not ready.silent]
        common: dict[str, Any] = {**self.settings, "seed": self.seed, "floor": self.blend.floor}
        found: dict[int, Separation] = {}
        if len(loud) > 1 or (loud and fits(loud[0].samples, stft)):
            channels = [ready.channels(stft.sample_rate) for ready in loud]
            made = separate_together(
                self.checkpoint,
                channels,
                [ready.mouth for ready in loud],
                callback=lambda done, total, _: callback(done / total),
                **common,
            )
            found = {id(ready): one for ready, one in zip(loud, made, strict=True)}
        elif loud:
            one = separate(
                self.checkpoint,
                loud[0].channels(stft.sample_rate),
                loud[0].mouth,
                progress=lambda done, total: callback(done / total),
                **common,
            )
            found = {id(loud[0]): one}
        return [found.get(id(ready)) for ready in batch]


class _Run:
    """One run over many recordings."""

    def __init__(
        self,
        items: Sequence[Item],
        kept: Mapping[Item, Outcome],
        work: _Work,
        helpers: Helpers,
        ledger: Ledger,
        batch_seconds: float,
        report: Progress,
    ) -> None:
        self.items, self.work, self.helpers, self.ledger = items, work, helpers, ledger
        self.batch_seconds, self.report = batch_seconds, report
        self.outcomes: dict[Item, Outcome] = dict(kept)
        self.lengths: dict[Item, float] = {}
        self.done = 0.0
        self.writing: deque[tuple[Item, Outcome, Promise[list[str] | str]]] = deque()

    def go(self) -> list[Outcome]:
        """Do the work; whatever ends it, what is finished is on record."""
        try:
            with self.ledger:
                try:
                    self._measure()
                    for batch in self._fetched():
                        self._enhance(batch)
                finally:
                    self._written(wait=True)
                    outcomes = [self.outcomes[item] for item in self.items if item in self.outcomes]
                    self.ledger.write_table(outcomes)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(self.outcomes)} of {len(self.items)} recordings are done, the same command with --resume goes on"
            ) from None
        finally:
            self.helpers.close()
        return outcomes

    def _measure(self) -> None:
        """How long the recordings are that are left, by what they say."""
        left = [item for item in self.items if item not in self.outcomes]
        parts = [left[first : first + _LOOK] for first in range(0, len(left), _LOOK)]
        looks = [(part, self.helpers.submit(look, [item.source for item in part])) for part in parts]
        for part, lengths in looks:
            self.report("looking at files", 0, 0)
            self.lengths |= dict(zip(part, lengths.result(), strict=True))
        self._tell(0.0)

    def _fetched(self) -> Iterator[list[tuple[Item, Ready]]]:
        """Batches of recordings, the longest first, while those that come next are read."""
        order = sorted(self.lengths, key=lambda item: (-self.lengths[item], item.output))
        planned = list(self._batches([(item, self.lengths[item]) for item in order]))
        coming: deque[list[tuple[Item, Promise[Parcel | str]]]] = deque()
        following = iter(planned)
        stft = self.work.checkpoint.stft
        while True:
            # the next batch in any case, for it is read while this one is inferred
            while len(coming) < 2 or sum(self.lengths[item] for batch in coming for item, _ in batch) < _AHEAD:
                batch = next(following, None)
                if batch is None:
                    break
                coming.append([(item, self.helpers.submit(fetch, item, self.work.options)) for item in batch])
            if not coming:
                return
            ready = []
            for item, promise in coming.popleft():
                parcel = _result(promise)
                if isinstance(parcel, str):
                    self._failed(item, parcel)
                else:
                    ready.append((item, make_ready(parcel.open(), stft, self.work.blend)))
            # files need not be as long as they say
            exact = sorted(ready, key=lambda one: -one[1].sound.seconds)
            by_item = dict(exact)
            for group in self._batches([(item, one.sound.seconds) for item, one in exact]):
                yield [(item, by_item.pop(item)) for item in group]

    def _batches(self, lengths: Sequence[tuple[Item, float]]) -> Iterator[list[Item]]:
        """Recordings, the longest first, in groups that are inferred together; one that needs windows is alone."""
        stft = self.work.checkpoint.stft
        group: list[Item] = []
        longest = 0.0
        for item, seconds in lengths:
            alone = not fits(max(1, round(max(longest, seconds) * stft.sample_rate)), stft)
            full = len(group) == _MOST or (len(group) + 1) * longest > self.batch_seconds
            if group and (alone or full):
                yield group
                group = []
            if not group:
                longest = seconds
            group.append(item)
        if group:
            yield group

    def _enhance(self, batch: Sequence[tuple[Item, Ready]]) -> None:
        """Infer a batch, and have it written."""
        total = sum(ready.sound.seconds for _, ready in batch)
        began = time.perf_counter()
        try:
            found = self.work.separate([ready for _, ready in batch], lambda share: self._tell(share * total))
        except Exception as error:  # of one recording, perhaps, and of the memory for all
            if len(batch) > 1:
                for one in batch:
                    self._enhance([one])
                return
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            self._failed(batch[0][0], f"cannot be enhanced ({' '.join(reason.split())})")
            return
        elapsed = (time.perf_counter() - began) / max(total, 1e-9)
        rate, blend, options = self.work.checkpoint.stft.sample_rate, self.work.blend, self.work.options
        for (item, ready), separation in zip(batch, found, strict=True):
            result, notes = as_recorded(ready, separation, rate, blend)
            trust = result.audio_responsibility
            outcome = Outcome(
                str(item.source),
                str(item.output),
                "enhanced",
                seconds=round(ready.sound.seconds, 4),
                elapsed=round(elapsed * ready.sound.seconds, 4),
                faces_found=0.0 if ready.mouth is None else round(float(ready.mouth.found.double().mean()), 4),
                audio_responsibility=None if trust is None else round(float(trust.mean()), 4),
                note="; ".join([*ready.notes, *notes]),
            )
            sound = Sound(result.speech, ready.sound.sample_rate, ready.sound.clock)
            original = ready.sound.waveform.numpy() if options.keep_original else None
            self.ledger.begin(item)
            promise = self.helpers.submit(
                deliver,
                item,
                sound.waveform.numpy(),
                sound.sample_rate,
                sound.clock,
                original,
                options,
                self.work.overwrite,
            )
            self.writing.append((item, outcome, promise))
        self._written(wait=False)

    def _written(self, wait: bool) -> None:
        """Put on record what is written; wait for all of it, or for what is too much to be on its way."""
        failed: WriteError | None = None
        while self.writing and (
            wait or not self.helpers.workers or len(self.writing) > _PENDING or self.writing[0][2].done()
        ):
            item, outcome, promise = self.writing.popleft()
            try:
                left_out = _result(promise)
            except WriteError as error:  # others may be on disk by now
                failed = failed or error
                continue
            if isinstance(left_out, str):
                self._failed(item, left_out, outcome.seconds)
                continue
            outcome = replace(outcome, note="; ".join(filter(None, [outcome.note, *left_out])))
            self.ledger.finish(item, outcome)
            self.outcomes[item] = outcome
            self.done += self.lengths.get(item, 0.0)
            self._tell(0.0)
        if failed is not None:
            raise failed

    def _failed(self, item: Item, reason: str, seconds: float = 0.0) -> None:
        self.outcomes[item] = Outcome(str(item.source), str(item.output), "failed", seconds=seconds, error=reason)
        self.done += self.lengths.get(item, 0.0)
        self._tell(0.0)

    def _tell(self, more: float) -> None:
        total = sum(self.lengths.values())
        what = f"{len(self.outcomes)} of {len(self.items)} recordings"
        self.report(what, min(round(self.done + more), round(total)), max(1, round(total)))


def _result(promise: Promise[Any]) -> Any:
    """What was promised, or in words why there is nothing."""
    try:
        return promise.result()
    except WriteError:
        raise
    except UserError as error:
        return str(error)
