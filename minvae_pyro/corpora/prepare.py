"""Turn recordings into features, once: power and mouth crops of every clip in one safetensors file each."""

from __future__ import annotations

import functools
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from minvae_pyro.audio.files import read_sound
from minvae_pyro.audio.level import SILENCE, sounding_level
from minvae_pyro.audio.observed import audible_band
from minvae_pyro.audio.stft import STFT, stft_settings
from minvae_pyro.corpora.corpus import check_features, check_length
from minvae_pyro.corpora.hold_out import Part
from minvae_pyro.corpora.manifest import DIGITS, FORMAT, Entry, entry_from, read_settings, write_manifest
from minvae_pyro.corpora.sources import Clip, find_clips
from minvae_pyro.corpora.workers import one_thread
from minvae_pyro.errors import UserError, WriteError
from minvae_pyro.files import failed_write, make_folder, write_atomic
from minvae_pyro.version import __version__
from minvae_pyro.video.align import align_mouth
from minvae_pyro.video.mouth import read_mouth, video_notes


@dataclass(frozen=True)
class Prepared:
    """What became of the clips.

    Attributes:
        entries: the manifest, in its order.
        kept: how many of them were there already.
        failed: (clip id, why) of clips that cannot be used.
        notes: (clip id, plain sentence) of what was odd about those that were not there already.
    """

    entries: list[Entry]
    kept: int
    failed: list[tuple[str, str]]
    notes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Tracks:
    """Which tracks of recordings are used, counted from 1; by default the default tracks.

    Attributes:
        audio_track: of the file with the sound.
        video_track: of the file that shows the talker.
    """

    audio_track: int | None = None
    video_track: int | None = None


@dataclass(frozen=True)
class _Outcome:
    """What became of a clip: its entry, or why there is none."""

    entry: Entry | str
    notes: tuple[str, ...] = ()


def prepare(
    kind: str,
    source: Path,
    destination: Path,
    stft: STFT,
    *,
    tracks: Tracks | None = None,
    part: Part | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Prepare a corpus; what a run before this one finished is kept.

    Args:
        kind: one of :data:`minvae_pyro.corpora.sources.KINDS`.
        source: folder with the recordings.
        destination: folder for features, manifest and settings; made when missing.
        stft: the STFT whose power is stored.
        tracks: which tracks of the recordings are used.
        part: which of its clips; all when omitted.
        workers: processes; the result does not depend on their number.
        progress: called with the number of clips that are done, and of all.

    Raises:
        UserError: nothing to read in ``source``; ``destination`` was prepared otherwise; not one clip could be read; or
            there is nobody to hold out.
        WriteError: something cannot be written; what was is kept, and the same call continues.
    """
    tracks = tracks or Tracks()
    clips = find_clips(kind, source)
    if part is not None:
        clips = part.of(clips)
    _claim(destination, kind, source, stft, tracks, part)
    outcomes: dict[str, Entry | str] = {clip.id: entry for clip in clips if (entry := _stored(destination, clip, stft))}
    notes: dict[str, tuple[str, ...]] = {}
    kept = len(outcomes)
    missing = [clip for clip in clips if clip.id not in outcomes]
    attempt = functools.partial(_attempt, source=source, destination=destination, stft=stft, tracks=tracks)
    for clip, became in _as_finished(attempt, missing, workers):
        outcomes[clip.id], notes[clip.id] = became.entry, became.notes
        if progress is not None:
            progress(len(outcomes), len(clips))
    # clips are sorted by id
    entries = [outcome for clip in clips if isinstance(outcome := outcomes[clip.id], Entry)]
    failed = [(clip.id, outcome) for clip in clips if isinstance(outcome := outcomes[clip.id], str)]
    if not entries:
        name, reason = failed[0]
        raise UserError(f"none of the {len(clips)} clips in {source} can be used; the first, {name}: {reason}")
    write_manifest(destination, entries)
    told = [(clip.id, note) for clip in missing for note in notes[clip.id]]
    return Prepared(entries, kept, failed, told)


def _claim(destination: Path, kind: str, source: Path, stft: STFT, tracks: Tracks, part: Part | None) -> None:
    """Make the folder and say in it how it is prepared; refuse one that was prepared otherwise."""
    settings = {
        "format": FORMAT,
        "kind": kind,
        "source": str(source.resolve()),
        "stft": stft_settings(stft),
        "part": None if part is None else str(part),
        **asdict(tracks),
    }
    before = read_settings(destination)
    if before is not None:
        changed = [f"another {name} ({before.get(name)})" for name in settings if before.get(name) != settings[name]]
        if changed:
            raise UserError(f"{destination} was prepared with {' and '.join(changed)}: choose another destination.")
        return
    if destination.is_dir() and any(destination.iterdir()):
        raise UserError(f"{destination} is not empty and was not made by `minvae prepare`: choose another.")
    make_folder(destination / "features")
    text = json.dumps({**settings, "version": __version__}, indent=2) + "\n"
    write_atomic(destination / "settings.json", text.encode())


def _stored(destination: Path, clip: Clip, stft: STFT) -> Entry | None:
    """The entry of a clip that was finished before and is whole; every feature file carries its own."""
    path = destination / _file(clip)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as features:
            entry = entry_from(json.loads(features.metadata()["entry"]), str(path))
            check_features(features, entry, stft, path)
        check_length(entry, stft, destination)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError, UserError):
        return None
    return entry if (entry.id, entry.file) == (clip.id, _file(clip)) else None


def _file(clip: Clip) -> str:
    return f"features/{clip.id}.safetensors"


def _as_finished(
    attempt: Callable[[Clip], _Outcome], clips: list[Clip], workers: int
) -> Iterator[tuple[Clip, _Outcome]]:
    """Yield each clip with what became of it, as they are finished."""
    if workers <= 1:
        yield from zip(clips, map(attempt, clips), strict=True)
        return
    # Started afresh: the threads of torch, FFmpeg and OpenCV do not survive a fork.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches every process of a terminal; this one alone decides what it means.
    pool = ProcessPoolExecutor(workers, context, signal.signal, (signal.SIGINT, signal.SIG_IGN))
    try:
        running = {pool.submit(attempt, clip): clip for clip in clips}
        for future in as_completed(running):
            yield running[future], future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died, perhaps for want of memory: run the command again with fewer workers; "
            "finished clips are kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(clip: Clip, source: Path, destination: Path, stft: STFT, tracks: Tracks) -> _Outcome:
    # A codec may fail in any way; one clip must not cost the other ten thousand. A full disk costs them all.
    try:
        with one_thread():
            return _prepare_clip(clip, source, destination, stft, tracks)
    except WriteError:
        raise
    except UserError as error:
        return _Outcome(str(error))
    except Exception as error:
        if full := failed_write(error):
            raise WriteError(
                f"cannot write into {destination} ({full.strerror}): make room and run it again."
            ) from error
        return _Outcome(f"{clip.sound} cannot be prepared ({type(error).__name__}: {error})")


def _prepare_clip(clip: Clip, source: Path, destination: Path, stft: STFT, tracks: Tracks) -> _Outcome:
    sound = read_sound(clip.sound, tracks.audio_track).resample(stft.sample_rate)
    power = unit_power(sound.mono(), stft)
    if power is None:
        raise UserError(f"{clip.sound} is silent: there is no speech to learn from.")
    tensors = {"power": power, "band": audible_band(power, stft.cell_power)}
    found = 0.0
    notes = sound.notes
    if video := clip.lips or clip.video:
        heard = tracks.audio_track if video == clip.sound else None
        track = read_mouth(video, track=tracks.video_track, sound_track=heard).follow(sound.clock)
        notes += video_notes(video, track=tracks.video_track, sound_track=heard)
        mouth, mouth_seen = align_mouth(track, stft.frame_times(len(power)))
        found = float(mouth_seen.float().mean())
        if found:
            tensors |= {"mouth": mouth, "mouth_seen": mouth_seen}
    entry = Entry(
        id=clip.id,
        file=_file(clip),
        frames=len(power),
        seconds=round(sound.seconds, DIGITS),
        has_mouth=found > 0,
        faces_found=round(found, 4),
        speaker=clip.speaker,
        source=clip.sound.relative_to(source).as_posix(),
    )
    # features know what they were made with, whatever becomes of the settings beside them
    described = json.dumps({**asdict(entry), "stft": stft_settings(stft)})
    write_atomic(destination / entry.file, save(tensors, metadata={"entry": described}), overwrite=True)
    return _Outcome(entry, notes)


def unit_power(waveform: Tensor, stft: STFT) -> Tensor | None:
    """Power spectrogram, (N, F) float32, of a waveform (samples,) at unit level where it sounds; None for silence."""
    level = sounding_level(waveform)
    return stft(waveform / level).abs().square().contiguous() if level > SILENCE else None
