"""Lightning's trainer, made as a configuration says, and the few things of a run that hang on its processes."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import jsonargparse
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, LightningModule, Trainer, callbacks, loggers, strategies
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.utilities import rank_zero_only

from minvae_pyro.errors import UserError
from minvae_pyro.files import make_folder, write_atomic
from minvae_pyro.registry.build import make

T = TypeVar("T")

_MONITOR = "validation/loss"  # what early stopping and the best checkpoint go by
_REFUSALS = (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError, AttributeError)
"""What Lightning raises for settings that it cannot follow."""


def make_trainer(settings: jsonargparse.Namespace, clip: float) -> Trainer:
    """The trainer of a run.

    Classes come from what the user types or from the user's own configuration, and are imported; a checkpoint names
    none of them.

    Args:
        settings: as read by :func:`minvae_pyro.training.configuration.read_configuration`.
        clip: largest norm of the gradient.

    Raises:
        UserError: there is no such device, class or strategy.
    """
    cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not cuda:
        raise UserError("there is no CUDA device: choose --device cpu.")
    given, output = settings.trainer, Path(settings.output)
    terminal = sys.stderr.isatty()
    checkpoint = ModelCheckpoint(
        dirpath=output / "checkpoints",
        filename="best",
        monitor=_MONITOR,
        save_last=True,
        enable_version_counter=False,
        save_on_train_epoch_end=True,
    )
    watching: list[Callback] = [RichProgressBar(leave=True) if terminal else EpochLines(), checkpoint]
    if settings.patience > 0:
        watching.append(EarlyStopping(_MONITOR, patience=settings.patience))
    watching += _made(Callback, given.callbacks, "trainer.callbacks", callbacks)
    written: list[Logger] = [CSVLogger(output, name="csv")]
    if given.logger in (None, True):
        written.append(TensorBoardLogger(output, name="tensorboard", version=""))
    elif given.logger is not False:
        written += _made(Logger, given.logger, "trainer.logger", loggers)  # type: ignore[type-abstract]
    strategy = given.strategy
    if isinstance(strategy, Mapping) or "." in strategy or strategy in strategies.__all__:
        (strategy,) = _made(Strategy, strategy, "trainer.strategy", strategies)  # type: ignore[type-abstract]
    precision: Any = given.precision or ("32-true" if settings.precision == "tf32" else settings.precision)
    try:
        return Trainer(
            accelerator=given.accelerator or ("gpu" if cuda and settings.device != "cpu" else "cpu"),
            devices=given.devices,
            num_nodes=given.num_nodes,
            strategy=strategy,
            precision=precision,
            sync_batchnorm=given.sync_batchnorm,
            deterministic=given.deterministic,
            benchmark=given.benchmark,
            profiler=given.profiler,
            max_epochs=settings.epochs,
            gradient_clip_val=clip,
            callbacks=watching,
            logger=written,
            enable_model_summary=False,
            enable_progress_bar=terminal,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=output,
            plugins=[_WholeFiles()],
        )
    except _REFUSALS as error:
        raise UserError(f"trainer: {' '.join(str(error).split())[:400]}") from error


class EpochLines(Callback):
    """Prints a line an epoch, where no progress bar can be drawn."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print what was measured."""
        if not trainer.is_global_zero:
            return
        text = "  ".join(f"{name} {float(value):.4g}" for name, value in sorted(trainer.callback_metrics.items()))
        # that nobody reads it, or that it cannot be written, is no reason to stop
        with suppress(OSError):
            print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {text}", flush=True)


class _WholeFiles(TorchCheckpointIO):
    """Writes checkpoints whole or not at all: one that was cut short would end every attempt to continue."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        content = io.BytesIO()
        torch.save(checkpoint, content)
        make_folder(Path(path).parent)
        write_atomic(path, content.getvalue(), overwrite=True)


def is_first() -> bool:
    """Whether this process is the first of a run, or the only one: the one that writes and speaks."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def agreed(decide: Callable[[], T]) -> T:
    """What the first process decides, told to all that have met; before they meet, each decides alone."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return decide()
    told = [decide() if is_first() else None]
    torch.distributed.broadcast_object_list(told)
    return told[0]  # type: ignore[return-value]


def _made(base: type[T], described: Any, key: str, where: Any) -> list[T]:
    """The parts that are described, one or several; those of Lightning by their names as well."""
    if described is None:
        return []
    short = {name: found for name in where.__all__ if isinstance(found := getattr(where, name), type)}
    several = described if isinstance(described, Sequence) and not isinstance(described, str) else [described]
    with _refused(key):
        return [make(base, one, key, short) for one in several]


@contextmanager
def _refused(key: str) -> Iterator[None]:
    """Tell in one line what a class of others raises when it is made."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:400]
        raise UserError(f"{key} cannot be made ({type(error).__name__}: {reason}).") from error
