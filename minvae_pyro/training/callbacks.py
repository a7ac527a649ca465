"""What happens around the epochs."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from minvae_pyro.corpora.loader import CorpusData
from minvae_pyro.errors import UserError
from minvae_pyro.guides import TableResponsibility
from minvae_pyro.training.plan import TrainingPlan


def resize_table(table: TableResponsibility, utterances: int, frames: int) -> None:
    """Make the table fit a corpus; it starts over from its first entry.

    Args:
        table: the rule.
        utterances: rows.
        frames: columns, at least the longest utterance.
    """
    start = float(table.logit.flatten()[0])
    for name in ("logit", "fresh"):
        table.register_buffer(name, torch.full((utterances, frames), start, device=table.logit.device))


class ResponsibilityTable(Callback):
    """Sizes the table of the published recipe by the corpus, and refreshes it at the end of every epoch."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Size the table.

        Raises:
            UserError: the data are cut into pieces, which the table cannot address.
        """
        assert isinstance(pl_module, TrainingPlan)
        data = trainer.datamodule.data  # type: ignore[attr-defined]
        table = pl_module.table()
        if table is None:
            return
        assert isinstance(data, CorpusData)
        if data.crop_frames is not None:
            raise UserError(
                "the responsibility table is kept per frame of whole utterances: leave data.crop_frames out."
            )
        resize_table(table, len(data.train.lengths), max(data.train.lengths))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the table that was prepared during the epoch in force."""
        assert isinstance(pl_module, TrainingPlan)
        table = pl_module.table()
        if table is not None:
            table.refresh()


class EpochLines(Callback):
    """Prints a line an epoch, where no progress bar can be drawn."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print what was measured."""
        measured: dict[str, Any] = {k: float(v) for k, v in trainer.callback_metrics.items()}
        text = "  ".join(f"{name} {value:.4g}" for name, value in sorted(measured.items()))
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {text}", flush=True)
