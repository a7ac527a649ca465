"""Training runs: from a configuration to a folder with checkpoints, logs and weights."""

from __future__ import annotations

import io
import json
import logging
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jsonargparse
import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch.utils.data import DataLoader

from minvae_pyro.checkpoints.checkpoint import save_checkpoint
from minvae_pyro.corpora.loader import CorpusData
from minvae_pyro.errors import UserError, WriteError
from minvae_pyro.files import failed_write, make_folder, write_atomic
from minvae_pyro.plots.training import draw_run
from minvae_pyro.probability.settled import usual_modes
from minvae_pyro.registry.build import tie
from minvae_pyro.registry.match import check_sites
from minvae_pyro.training.configuration import as_plain, changes, for_checkpoint, make_parser, read_configuration
from minvae_pyro.training.plan import TrainingPlan, resize_table
from minvae_pyro.utterances import Utterances

_MONITOR = "validation/loss"  # what early stopping and the best checkpoint go by


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
    if _finished(output, plain):
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
        # only now: a mistake in the model or the data leaves the folder as it was
        if plain["resume"] == "never":
            shutil.rmtree(output / "checkpoints", ignore_errors=True)
        (output / "weights.safetensors").unlink(missing_ok=True)
        make_folder(output)
        write_atomic(output / "config.json", json.dumps(plain, indent=2).encode(), overwrite=True)
        _fit(plan, made.data, settings)
        weights = save_checkpoint(
            output / "weights.safetensors",
            plan.prior,
            plan.guide,
            plain,
            made.data.train.stft,
            enhancement=plain["enhancement"],
            training=for_checkpoint(plain),
            credits=plain["credits"],
            half=plain["half"],
            overwrite=True,
        )
        draw_run(output)
        return weights


class EpochLines(Callback):
    """Prints a line an epoch, where no progress bar can be drawn."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print what was measured."""
        text = "  ".join(f"{name} {float(value):.4g}" for name, value in sorted(trainer.callback_metrics.items()))
        # that nobody reads it, or that it cannot be written, is no reason to stop
        with suppress(OSError):
            print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {text}", flush=True)


def _fit(plan: TrainingPlan, data: CorpusData, settings: jsonargparse.Namespace) -> None:
    """Run Lightning on a plan; afterwards the plan has the best weights."""
    cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not cuda:
        raise UserError("there is no CUDA device: choose --device cpu.")
    output = Path(settings.output)
    checkpoints = ModelCheckpoint(
        dirpath=output / "checkpoints",
        filename="best",
        monitor=_MONITOR,
        save_last=True,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    terminal = sys.stderr.isatty()
    callbacks: list[Callback] = [RichProgressBar(leave=True) if terminal else EpochLines(), checkpoints]
    if settings.patience > 0:
        callbacks.append(EarlyStopping(_MONITOR, patience=settings.patience))
    trainer = Trainer(
        accelerator="gpu" if cuda and settings.device != "cpu" else "cpu",
        devices=1,
        precision="32-true" if settings.precision == "tf32" else settings.precision,
        max_epochs=settings.epochs,
        gradient_clip_val=plan.optimisation.clip,
        callbacks=callbacks,
        logger=[CSVLogger(output, name="csv"), TensorBoardLogger(output, name="tensorboard", version="")],
        enable_model_summary=False,
        enable_progress_bar=terminal,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=output,
        plugins=[_WholeFiles()],
    )
    last = output / "checkpoints" / "last.ckpt"
    table = plan.table()
    size = None if table is None else table.logit.shape
    handler = signal.getsignal(signal.SIGINT)
    matmul_precision = torch.get_float32_matmul_precision()
    try:
        if settings.precision == "tf32":
            torch.set_float32_matmul_precision("high")
        trainer.fit(plan, datamodule=_Batches(data), ckpt_path=last if last.is_file() else None, weights_only=True)
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


class _WholeFiles(TorchCheckpointIO):
    """Writes checkpoints whole or not at all: one that was cut short would end every attempt to continue."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        make_folder(Path(path).parent)
        write_atomic(path, content.getvalue(), overwrite=True)


class _Batches(LightningDataModule):
    """The batches of the data, as Lightning needs them."""

    def __init__(self, data: CorpusData) -> None:
        super().__init__()
        self.data = data

    def train_dataloader(self) -> DataLoader[Utterances]:
        # Lightning sets the epoch only after the first batches of a continued run have been drawn
        assert self.trainer is not None
        return self.data.train_dataloader(self.trainer.fit_loop.epoch_progress.current.processed)  # type: ignore[attr-defined]

    def val_dataloader(self) -> DataLoader[Utterances]:
        return self.data.val_dataloader()


def _finished(output: Path, plain: dict[str, Any]) -> bool:
    """Whether the folder holds this very run, and its end; refuse a folder that holds something else."""
    path = output / "config.json"
    if not path.is_file():
        if output.is_dir() and any(output.iterdir()):
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
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
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
        logger.setLevel(level)
