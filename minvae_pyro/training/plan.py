"""The training plan: one model, one guide, one bound, on Lightning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyro
import torch
from lightning.pytorch import LightningModule
from pyro.nn import PyroModule
from torch import Tensor, nn

from minvae_pyro.checkpoints.checkpoint import load_checkpoint
from minvae_pyro.corpora.loader import CorpusData
from minvae_pyro.errors import UserError
from minvae_pyro.guides import MixtureGuide, TableResponsibility
from minvae_pyro.models import SpeechPrior
from minvae_pyro.nn.cached import CachedUtterances
from minvae_pyro.probability.elbo import AnalyticTraceEnum_ELBO
from minvae_pyro.probability.parameters import local_parameters
from minvae_pyro.registry.build import submodule, together
from minvae_pyro.training.configuration import Optimisation
from minvae_pyro.training.metrics import collapsed_when_unknown, mixture_measures, still
from minvae_pyro.utterances import Utterances

_APART = 998_244_353  # between the seeds of two processes


class TrainingPlan(LightningModule):
    """Minimises the enumerated bound with analytic divergences, per frame.

    The bound is an ordinary module, so that data-parallel training works. Then frames are counted over all processes:
    losses and gradients are those of one process with all batches together, whatever each has got.

    Args:
        prior: the speech prior.
        guide: its guide.
        optimisation: Adam and its schedule.
        freeze: dotted paths of submodules that stay as they are, such as ``prior.decoder``.
        initialise: the checkpoint that dotted paths start from: ``NAME_OR_PATH``, or ``NAME_OR_PATH#other.path`` where
            they have another name there.
        seed: of the run; every epoch and validation batch has one of its own, so that an interrupted run continues
            exactly.
        trust: modules whose classes those checkpoints may name, see :func:`minvae_pyro.load_checkpoint`.

    Raises:
        UserError: a path that is not there, or a checkpoint that does not fit.
    """

    def __init__(
        self,
        prior: SpeechPrior,
        guide: PyroModule,
        optimisation: Optimisation | None = None,
        freeze: Sequence[str] = (),
        initialise: Mapping[str, str] | None = None,
        seed: int = 0,
        trust: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.optimisation = optimisation or Optimisation()
        self.seed = seed
        self._measured: dict[str, list[float]] = {}
        self.bound = AnalyticTraceEnum_ELBO(max_plate_nesting=2)(prior, guide)
        whole = together(prior, guide)
        for path, source in (initialise or {}).items():
            _initialise(whole, path, source, trust)
        # in a list, for they are registered as parts of the bound
        self._frozen = [submodule(whole, path) for path in freeze]
        for module in self._frozen:
            module.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in self.parameters()):
            raise UserError(f"nothing is left to train: freeze fewer submodules than {', '.join(freeze)}.")

    @property
    def prior(self) -> SpeechPrior:
        """The speech prior."""
        return self.bound.model

    @property
    def guide(self) -> PyroModule:
        """Its guide."""
        return self.bound.guide

    def forward(self, utterances: Utterances) -> Tensor:
        """Negative bound of a batch in nats per frame, scalar."""
        return self.total(utterances) / utterances.mask.sum()

    def total(self, utterances: Utterances) -> Tensor:
        """Negative bound of a batch in nats, scalar."""
        # Validation costs a tenth of a step; parameters stay in their modules, out of Pyro's global store.
        with pyro.validation_enabled(False), local_parameters(self.prior, self.guide):
            if torch.is_grad_enabled():
                return self.bound(CachedUtterances.of(utterances))
            # Pyro refuses to give a differentiable loss that cannot be differentiated
            return torch.tensor(self.bound.elbo.loss(self.prior, self.guide, utterances))

    def configure_optimizers(self) -> Any:
        """Adam on what is not frozen, and its schedule."""
        settings = self.optimisation
        parameters = [p for p in self.parameters() if p.requires_grad]
        adam = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
        if not settings.one_cycle:
            return adam
        steps = max(2, int(self.trainer.estimated_stepping_batches))
        cycle = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=settings.lr, total_steps=steps)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

    def setup(self, stage: str) -> None:
        """Size the responsibility table of the published recipe by the corpus.

        Raises:
            UserError: the data are cut into pieces, which the table cannot address, or shared by processes.
        """
        if (table := self.table()) is None:
            return
        if self._world > 1:
            raise UserError(
                "the responsibility table belongs to one process: leave trainer.devices and num_nodes at 1."
            )
        data: CorpusData = self.trainer.datamodule.data  # type: ignore[attr-defined]
        if data.crop_frames is not None:
            raise UserError("the responsibility table is per frame of whole utterances: leave data.crop_frames out.")
        resize_table(table, len(data.train.lengths), max(data.train.lengths))

    def on_train_epoch_start(self) -> None:
        """Seed the epoch, and keep frozen networks from dropout and batch statistics."""
        torch.manual_seed(self.seed * 1_000_003 + self.current_epoch + _APART * self.global_rank)
        for module in self._frozen:
            module.eval()

    def on_train_epoch_end(self) -> None:
        """Put the responsibility table that was prepared during the epoch in force."""
        if (table := self.table()) is not None:
            table.refresh()

    def training_step(self, utterances: Utterances, batch_idx: int) -> Tensor:
        """Loss of one batch.

        Raises:
            UserError: the loss is not a number any more.
        """
        total, frames = self.total(utterances), utterances.mask.sum()
        everyone = self._over_all([float(total.detach()), float(frames)])
        loss = everyone[0] / everyone[1]
        # not finite on one, and all stop
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss became {loss.item()} in epoch {self.current_epoch}: lower the learning rate "
                "(--optimisation.lr) or check the features."
            )
        self.log("train/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=int(everyone[1]))
        # the gradient is averaged over the processes, so that each of them counts as one
        return total * self._world / everyone[1].to(total.dtype)

    def on_validation_epoch_start(self) -> None:
        """Begin to measure."""
        self._measured = {}

    def validation_step(self, utterances: Utterances, batch_idx: int) -> None:
        """Measure the bound, and of what alpha does in a mixture all that training can move."""
        devices = [self.device] if self.device.type == "cuda" else []
        # the same draws in every epoch: two epochs then differ by their weights alone
        with torch.random.fork_rng(devices), collapsed_when_unknown(self.guide):
            torch.manual_seed(batch_idx + _APART * self.global_rank)
            utterances = CachedUtterances.of(utterances)
            self._add("loss", float(self.total(utterances)), int(utterances.mask.sum()))
            if isinstance(self.guide, MixtureGuide):
                fixed = still(self.prior, self.guide)
                for name, (value, frames) in mixture_measures(self.guide, utterances).items():
                    if name not in fixed:
                        self._add(name, float(value) * frames, frames)

    def on_validation_epoch_end(self) -> None:
        """Log means over the frames of all processes."""
        everyone = self._over_all([number for sums in self._measured.values() for number in sums])
        for name, (total, frames) in zip(self._measured, everyone.view(-1, 2), strict=True):
            if frames:
                self._log_validation(name, total / frames)

    def _add(self, name: str, total: float, frames: int) -> None:
        sums = self._measured.setdefault(name, [0.0, 0.0])
        sums[0] += total
        sums[1] += frames

    def _log_validation(self, name: str, value: Tensor) -> None:
        self.log(f"validation/{name}", value, on_epoch=True, sync_dist=True, batch_size=1)

    def _over_all(self, numbers: list[float]) -> Tensor:
        """Sums over the processes, (len(numbers),)."""
        precise = torch.float32 if self.device.type == "mps" else torch.float64
        mine = torch.tensor(numbers, dtype=precise, device=self.device)
        return mine if self._world == 1 else self.trainer.strategy.reduce(mine, reduce_op="sum")

    @property
    def _world(self) -> int:
        return 1 if self._trainer is None else self.trainer.world_size

    def table(self) -> TableResponsibility | None:
        """The responsibility table of the published recipe, if the guide has one."""
        return next((m for m in self.guide.modules() if isinstance(m, TableResponsibility)), None)


def resize_table(table: TableResponsibility, utterances: int, frames: int) -> None:
    """Give the table a row per utterance and a column per frame; it starts over from its first entry."""
    start = float(table.logit.flatten()[0])
    for name in ("logit", "fresh"):
        table.register_buffer(name, torch.full((utterances, frames), start, device=table.logit.device))


def _initialise(whole: nn.Module, path: str, source: str, trust: Sequence[str]) -> None:
    name, _, other = source.partition("#")
    checkpoint = load_checkpoint(name, trust)
    start = submodule(together(checkpoint.prior, checkpoint.guide), other or path)
    try:
        submodule(whole, path).load_state_dict(start.state_dict())
    except RuntimeError as error:
        raise UserError(
            f"{path} cannot start from {other or path} of {name}: {' '.join(str(error).split())[:300]}"
        ) from error
