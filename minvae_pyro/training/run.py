"""Training runs: from a configuration to a folder with checkpoints, logs and weights."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonargparse
import torch
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from torch.utils.data import DataLoader

from minvae_pyro.checkpoints.checkpoint import checkpoint_file, describe, save_checkpoint
from minvae_pyro.corpora.loader import CorpusData
from minvae_pyro.errors import UserError, WriteError
from minvae_pyro.files import failed_write, make_folder, write_atomic
from minvae_pyro.plots.training import draw_run
from minvae_pyro.probability.settled import usual_modes
from minvae_pyro.registry.build import tie
from minvae_pyro.registry.match import check_sites
from minvae_pyro.training.configuration import as_plain, changes, for_checkpoint, make_parser, read_configuration
from minvae_pyro.training.plan import TrainingPlan, resize_table
from minvae_pyro.training.trainer import agreed, is_first, make_trainer
from minvae_pyro.utterances import Utterances


def train(arguments: Sequence[str]) -> Path:
    """Train a model, or continue training it, and return the exported weights.

    The folder of the run (``output``) gets ``config.json``, ``checkpoints/`` (best and last), ``csv/``,
    ``tensorboard/``, and in the end ``training.png``, the metrics over the epochs, and ``weights.safetensors``, the
    best weights.

    Args:
        arguments: those of ``minvae train``, such as ``["--config", "a-vae", "--seed", "1"]``.

    Raises:
        UserError: configuration, data or folder cannot be used, or training diverged.
        KeyboardInterrupt: interrupted; the state is that of the last complete epoch.
    """
    return train_as(read_configuration(arguments))


# loaders work in threads of their own, and would wait for the lock that work alone holds
@usual_modes()
def train_as(settings: jsonargparse.Namespace) -> Path:
    """As :func:`train`, the arguments read already."""
    plain = as_plain(settings)
    output = Path(settings.output)
    if agreed(lambda: _finished(output, plain)):
        return output / "weights.safetensors"
    with _quiet(), _writing(output):
        seed_everything(settings.seed, verbose=False)
        try:
            made = make_parser().instantiate(settings)
        except ValueError as error:
            # what a constructor refuses is told among what other types would refuse
            if isinstance(error.__cause__, UserError):
                raise error.__cause__ from error
            raise
        tie(made.prior, made.guide, made.tie)
        check_sites(made.prior, made.guide, made.data.train.load(0, 0, 1))
        made.data.seed = settings.seed
        plan = TrainingPlan(
            made.prior, made.guide, made.optimisation, made.freeze, made.initialise, settings.seed, settings.trust
        )
        trainer = make_trainer(settings, plan.optimisation.clip)
        # only now: a mistake in the model or the data leaves the folder as it was
        agreed(lambda: _claim(output, plain) if is_first() else None)
        _fit(trainer, plan, made.data, settings)
        weights = output / "weights.safetensors"
        if is_first():
            save_checkpoint(
                weights,
                plan.prior,
                plan.guide,
                plain,
                made.data.train.stft,
                enhancement=plain["enhancement"],
                training=for_checkpoint(plain),
                credits=plain["credits"] or _credits(plain["initialise"].values(), settings.trust),
                half=plain["half"],
                overwrite=True,
            )
            draw_run(output)
        # nobody goes on to what begins with them before they are there
        trainer.strategy.barrier("weights")
        return weights


def _claim(output: Path, plain: dict[str, Any]) -> None:
    """Make the folder that of this run."""
    if plain["resume"] == "never":
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
    (output / "weights.safetensors").unlink(missing_ok=True)
    make_folder(output)
    write_atomic(output / "config.json", json.dumps(plain, indent=2).encode(), overwrite=True)


def _credits(sources: Iterable[str], trust: Sequence[str]) -> str:
    """Those of the checkpoints that a run has started from: their data have gone in too."""
    files = dict.fromkeys(checkpoint_file(source.partition("#")[0]) for source in sources)
    return " ".join(dict.fromkeys(text for file in files if (text := describe(file, trust).get("credits"))))


def _fit(trainer: Trainer, plan: TrainingPlan, data: CorpusData, settings: jsonargparse.Namespace) -> None:
    """Run Lightning on a plan; afterwards the plan has the best weights."""
    output = Path(settings.output)
    last = output / "checkpoints" / "last.ckpt"
    table = plan.table()
    size = None if table is None else table.logit.shape
    handler = signal.getsignal(signal.SIGINT)
    matmul_precision = torch.get_float32_matmul_precision()
    try:
        if settings.precision == "tf32":
            torch.set_float32_matmul_precision("high")
        begun = settings.resume != "never" and last.is_file()
        trainer.fit(plan, datamodule=_Batches(data), ckpt_path=last if begun else None, weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        # Lightning exits with code 1 and leaves Ctrl-C switched off
        signal.signal(signal.SIGINT, handler)
        state = "continues after the last complete epoch" if last.is_file() else "starts over"
        raise KeyboardInterrupt(f"the same command {state}") from None
    finally:
        torch.set_float32_matmul_precision(matmul_precision)
    best = torch.load(output / "checkpoints" / "best.ckpt", map_location="cpu", weights_only=True)
    plan.load_state_dict(best["state_dict"])
    if table is not None and size is not None:
        resize_table(table, *size)


class _Batches(LightningDataModule):
    """The batches of the data, as Lightning needs them."""

    def __init__(self, data: CorpusData) -> None:
        super().__init__()
        self.data = data

    def train_dataloader(self) -> DataLoader[Utterances]:
        # Lightning sets the epoch only after the first batches of a continued run have been drawn
        assert self.trainer is not None
        epoch = self.trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        return self.data.train_dataloader(epoch, self.trainer.global_rank, self.trainer.world_size)

    def val_dataloader(self) -> DataLoader[Utterances]:
        assert self.trainer is not None
        return self.data.val_dataloader(self.trainer.global_rank, self.trainer.world_size)


def _finished(output: Path, plain: dict[str, Any]) -> bool:
    """Whether the folder holds this very run, and its end; refuse a folder that holds something else."""
    path = output / "config.json"
    if not path.is_file():
        # of several processes the first one may be making it just now
        if is_first() and output.is_dir() and any(output.iterdir()):
            raise UserError(f"{output} is not empty and holds no run: choose another --output.")
        return False
    # without a checkpoint there is nothing to continue, and nothing to lose
    if plain["resume"] == "never" or not (output / "checkpoints" / "last.ckpt").is_file():
        return False
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = changes(before, plain)
        same = all(before[key] == plain[key] for key in ("epochs", "patience"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: choose another --output, or start over with --resume never.") from error
    if changed:
        raise UserError(
            f"{output} holds a run with another {', '.join(changed)}: choose another --output, or start it "
            "over with --resume never."
        )
    return same and (output / "weights.safetensors").is_file()


@contextmanager
def _writing(output: Path) -> Iterator[None]:
    """Say in one line that a disk is full, whoever has noticed it."""
    try:
        yield
    except Exception as error:
        full = failed_write(error)
        if full is None or isinstance(error, UserError):
            raise
        reason = f"cannot write into {output} ({full.strerror})"
        raise WriteError(f"{reason}: make room, and the same command continues.") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the messages of Lightning about hardware, tips and loaders."""
    levels = {logger: logger.level for logger in map(logging.getLogger, ("lightning.pytorch", "lightning.fabric"))}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # loading is cheap here, and whoever has cores sets data.workers
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
            warnings.filterwarnings("ignore", message="The number of training batches")
            # the plan says it in one line
            warnings.filterwarnings("ignore", message="Encountered NaN: loss")
            # Lightning 2.6 calls what torch 2.11 has renamed
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
