"""Turn recordings into features, once: power and mouth crops of every clip in one safetensors file each."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from minvae_pyro.audio.files import read_sound
from minvae_pyro.audio.stft import STFT, stft_settings
from minvae_pyro.corpora.manifest import FORMAT, Entry, read_settings, write_manifest
from minvae_pyro.corpora.sources import Clip, find_clips
from minvae_pyro.errors import UserError
from minvae_pyro.files import write_atomic
from minvae_pyro.utterances import MOUTH_SIZE
from minvae_pyro.version import __version__
from minvae_pyro.video.align import align_mouth
from minvae_pyro.video.lips import load_lips
from minvae_pyro.video.mouth import read_mouth


@dataclass
class Prepared:
    """What became of the clips.

    Attributes:
        entries: the manifest, in its order.
        kept: how many of them were there already.
        failed: (clip id, why) of clips that cannot be used.
    """

    entries: list[Entry] = field(default_factory=list)
    kept: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)


def prepare(
    kind: str,
    source: Path,
    destination: Path,
    stft: STFT,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """Prepare a corpus; what a run before this one finished is kept.

    Args:
        kind: one of :data:`minvae_pyro.corpora.sources.KINDS`.
        source: folder with the recordings.
        destination: folder for features, manifest and settings; made when missing.
        stft: the transform whose power is stored.
        workers: processes; the result does not depend on their number.
        progress: called with the number of clips that are done, and of all.

    Raises:
        UserError: nothing to read in ``source``; ``destination`` was prepared otherwise or cannot be written;
            or not one clip could be read.
    """
    clips = find_clips(kind, source)
    _claim(destination, kind, source, stft)
    result = Prepared()
    finished: dict[str, Entry] = {}
    for clip in clips:
        entry = _stored(destination, clip)
        if entry is not None:
            finished[clip.id] = entry
    result.kept = len(finished)
    missing = [clip for clip in clips if clip.id not in finished]
    done = len(finished)
    for clip, outcome in _outcomes(missing, source, destination, stft, workers):
        if isinstance(outcome, Entry):
            finished[clip.id] = outcome
        else:
            result.failed.append((clip.id, outcome))
        done += 1
        if progress is not None:
            progress(done, len(clips))
    result.failed.sort()
    result.entries = [finished[clip.id] for clip in clips if clip.id in finished]
    if not result.entries:
        name, reason = result.failed[0]
        raise UserError(f"none of the {len(clips)} clips in {source} can be used; the first, {name}: {reason}")
    write_manifest(destination, result.entries)
    return result


def _claim(destination: Path, kind: str, source: Path, stft: STFT) -> None:
    """Make the folder and say in it how it is prepared; refuse one that was prepared otherwise."""
    settings: dict[str, object] = {"format": FORMAT, "kind": kind, "source": str(source.resolve())}
    settings["stft"] = stft_settings(stft)
    before = read_settings(destination)
    if before is not None:
        changed = [name for name in settings if before.get(name) != settings[name]]
        if changed:
            raise UserError(
                f"{destination} was prepared with another "
                + " and another ".join(f"{name} ({before.get(name)})" for name in changed)
                + ": choose another destination."
            )
        return
    if destination.is_dir() and any(destination.iterdir()):
        raise UserError(f"{destination} is not empty and was not made by `minvae prepare`: choose another.")
    try:
        (destination / "features").mkdir(parents=True, exist_ok=True)
        text = json.dumps({**settings, "version": __version__}, indent=2) + "\n"
        write_atomic(destination / "settings.json", text.encode())
    except OSError as error:
        raise UserError(f"cannot write to {destination} ({error.strerror}): choose another folder.") from error


def _stored(destination: Path, clip: Clip) -> Entry | None:
    """The entry of a clip that was finished before; every feature file carries its own."""
    path = destination / _file(clip)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as features:
            return Entry(**json.loads(features.metadata()["entry"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return None


def _file(clip: Clip) -> str:
    return f"features/{clip.id}.safetensors"


def _outcomes(
    clips: list[Clip], source: Path, destination: Path, stft: STFT, workers: int
) -> Iterator[tuple[Clip, Entry | str]]:
    """Yield each clip with its entry, or with the reason why there is none, as they are finished."""
    if workers <= 1:
        for clip in clips:
            yield clip, _attempt(clip, source, destination, stft)
        return
    # Started afresh: the threads of torch, FFmpeg and OpenCV do not survive a fork.
    context = multiprocessing.get_context("spawn")
    # Ctrl-C reaches every process of a terminal; this one alone decides what it means.
    pool = ProcessPoolExecutor(
        min(workers, max(1, len(clips))), context, signal.signal, (signal.SIGINT, signal.SIG_IGN)
    )
    try:
        running: dict[Future[Entry | str], Clip] = {
            pool.submit(_attempt, clip, source, destination, stft): clip for clip in clips
        }
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died, perhaps for want of memory: run the command again with fewer workers; "
            "finished clips are kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _attempt(clip: Clip, source: Path, destination: Path, stft: STFT) -> Entry | str:
    # A codec may fail in any way; one clip must not cost the other ten thousand.
    try:
        with _one_thread():
            return _prepare_clip(clip, source, destination, stft)
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"{clip.sound} cannot be prepared ({type(error).__name__}: {error})"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes are the parallelism here, and sums must not depend on how many threads share them."""
    torch_threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(cv_threads)


def _prepare_clip(clip: Clip, source: Path, destination: Path, stft: STFT) -> Entry:
    sound = read_sound(clip.sound).resample(stft.sample_rate)
    power = unit_power(sound.mono(), stft)
    if power is None:
        raise UserError(f"{clip.sound} is silent: there is no speech to learn from.")
    tensors = {"power": power}
    seen = torch.zeros(len(power), dtype=torch.bool)
    if clip.lips is not None or clip.video is not None:
        track = load_lips(clip.lips) if clip.lips is not None else read_mouth(clip.video or clip.sound)
        mouth, seen = align_mouth(track, stft.frame_times(len(power)))
        assert mouth.shape[1:] == (MOUTH_SIZE, MOUTH_SIZE)
    if seen.any():
        tensors |= {"mouth": mouth, "mouth_seen": seen}
    entry = Entry(
        id=clip.id,
        file=_file(clip),
        frames=len(power),
        seconds=round(sound.seconds, 4),
        has_mouth=bool(seen.any()),
        faces_found=round(float(seen.float().mean()), 4),
        speaker=clip.speaker,
        source=clip.sound.relative_to(source).as_posix(),
    )
    _write_features(destination / entry.file, tensors, entry)
    return entry


def unit_power(waveform: Tensor, stft: STFT) -> Tensor | None:
    """Power spectrogram of a waveform scaled to a root mean square of 1.

    Args:
        waveform: (samples,).
        stft: the transform.

    Returns:
        (N, F) float32; None for silence.
    """
    # by numpy, whose sums do not depend on the number of threads
    level = float(np.sqrt(np.mean(np.square(waveform.numpy(), dtype=np.float64))))
    if level < 1e-8:
        return None
    return stft(waveform / level).abs().square().contiguous()


def _write_features(path: Path, tensors: dict[str, Tensor], entry: Entry) -> None:
    write_atomic(path, save(tensors, metadata={"entry": json.dumps(asdict(entry))}), overwrite=True)
