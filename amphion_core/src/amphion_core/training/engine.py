"""The engine: a loop that carries out a trainer's updates, the same on one process and on many.

A step is an ordered list of M micro-batches; process r of W takes r, r + W, ... All of them reach a yield of the
trainer's step before the network of that yield is updated. Gradients, losses and logs are sums of contributions;
randomness is derived from (seed, step, micro-batch, turn), so a run that was killed continues bit for bit.
"""

import copy
import math
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amphion_core.data.batch import Batch, add_counts
from amphion_core.data.loader import Corpus, MicroBatch, Position, training_batches, validation_batches
from amphion_core.errors import DataError, RecipeError
from amphion_core.recipe import Recipe
from amphion_core.training import initial, resume
from amphion_core.training.optim import freeze, optimizer
from amphion_core.training.processes import Processes
from amphion_core.training.report import Report
from amphion_core.training.run_folder import RunFolder
from amphion_core.training.trainer import ModelTrainer, Update, Validation

SHOWN = 3  # validation items whose audio and pictures are kept
VALIDATION = 1 << 32  # in place of the step number where validation derives its seeds


class Engine:
    """One run. ``train`` goes from where the run folder stands to the recipe's last step."""

    def __init__(
        self, recipe: Recipe, trainer: ModelTrainer, corpus: Corpus, dev: Corpus | None, run: RunFolder,
        processes: Processes,
    ) -> None:  # fmt: skip
        self.recipe, self.trainer, self.corpus, self.dev, self.run = recipe, trainer, corpus, dev, run
        self.config, self.processes, self.device = recipe.engine, processes, processes.device
        if self.config.micro_batches % processes.world:
            count = f"{self.config.micro_batches} micro-batches"
            raise RecipeError(f"engine.micro_batches: {count} a step cannot be shared by {processes.world} processes")
        self.networks = {name: network.to(self.device).train() for name, network in trainer.networks().items()}
        self.frozen = {}  # what a run relies on and does not store, by the digest of its weights
        for name, module in trainer.frozen().items():
            self.frozen[name] = initial.digest(module.to(self.device).eval().requires_grad_(False))
        self.position = Position()
        self.best: dict[str, Any] = {"step": None, "score": None, "waited": 0, "drops": 0, "since_drop": 0}
        self.asked = self.stopping = False  # to stop: this process was asked; all have agreed
        initial.load(self.networks, recipe.engine.init_from)
        freeze(self.networks, recipe.optim.freeze)
        if unknown := [*(self.config.ema.keys() | recipe.optim.groups.keys()) - self.networks.keys()]:
            raise RecipeError(
                f"{unknown[0]!r} is no network of this trainer", hint=f"networks: {', '.join(self.networks)}"
            )
        self.parameters = {
            name: [parameter for parameter in network.parameters() if parameter.requires_grad]
            for name, network in self.networks.items()
        }
        self.optim = {name: recipe.optim.of(name) for name in self.networks}
        self.optimizers = {
            name: optimizer(self.optim[name], parameters, self.device)
            for name, parameters in self.parameters.items()
            if parameters
        }
        self.followers = {
            name: [module for module in network.modules() if hasattr(module, "after_update")]
            for name, network in self.networks.items()
        }
        for name in self.config.ema:
            trainer.ema[name] = copy.deepcopy(self.networks[name]).float().eval().requires_grad_(False)

    def train(self, report: Report) -> None:
        """All steps that are left. Raises AmphionError: a loss that is not finite, an item that cannot be read."""
        resume.restore(self, report)
        c, world, pending = self.config, self.processes.world, []
        batches = training_batches(
            self.corpus, self.trainer.collator(), self.position, micro_batches=c.micro_batches,
            workers=self._workers(), rank=self.processes.rank, world=world,
        )  # fmt: skip
        self._stop_on_signals()
        report.start(self.position.step - 1, c.steps, self.corpus)
        for step in range(self.position.step, c.steps + 1):
            if self.stopping or (c.patience and self.best["waited"] >= c.patience):
                break
            group = [next(batches) for _ in range(c.micro_batches // world)]
            position = group[0][0].position
            assert position.step == step
            pending.append((step, *self.step(step, group)))
            self.position = Position(step + 1, position.epoch, position.place + 1)
            last = step == c.steps or self.stopping
            validate = self.dev is not None and (step % c.validate_every == 0 or step == c.steps)
            save = validate or last or step % (c.save_every or c.validate_every) == 0
            if step % c.log_every == 0 or save:
                self._flush(pending, report)
            if validate:
                self.validate(step, report)
            if save:
                resume.save(self, report)
        report.finish(self.position.step - 1, interrupted=self.stopping and self.position.step <= c.steps)

    def step(self, step: int, group: list[tuple[MicroBatch, Batch]]) -> tuple[dict[str, Tensor], list[str], int]:
        """One step of all networks: the sums of its logs here, the ids of its items, and its seconds of audio."""
        totals = self._totals([batch for _, batch in group])
        turns = []
        for micro, batch in group:
            batch.totals = totals
            turns.append((micro.number, self.trainer.training_step(batch.to(self.device), step)))
        self._set_rates(step)
        logs: dict[str, Tensor] = {}
        for turn in range(1 << 16):
            updates = []
            for number, iterator in turns:
                update = self._advance(iterator, step, number, turn)
                updates.append(update)
                if update is not None:
                    update.loss.backward(inputs=self.parameters[update.group])  # type: ignore[no-untyped-call]
                    for key, value in {"loss": update.loss, **update.logs}.items():
                        name = f"{update.group}/{key}"
                        logs[name] = logs.get(name, 0.0) + value.detach().float()
            groups = {update.group if update else None for update in updates}
            if len(groups) != 1:
                raise RuntimeError(f"step {step}: micro-batches yield different updates, {groups}")
            if (group_name := groups.pop()) is None:
                break
            norm = self._update(group_name, logging=step % self.config.log_every == 0)
            if norm is not None:  # the same in every process, and logs are summed
                logs[f"{group_name}/gradient_norm"] = norm.float() if self.processes.first else torch.zeros_like(norm)
        self._average()
        return logs, [id for _, batch in group for id in batch.ids], totals.get("samples", 0)

    def _advance(self, iterator: Iterator[Update], step: int, number: int, turn: int) -> Update | None:
        """The next update of one micro-batch, from randomness of its own. None at the end."""
        self._seed(step, number, turn)
        with self._autocast():
            update = next(iterator, None)
            if not torch.is_grad_enabled():
                raise RuntimeError("a no_grad block is open at a yield of training_step")
        if torch.is_autocast_enabled(self.device.type):
            raise RuntimeError("an autocast block is open at a yield of training_step")
        return update

    def _update(self, name: str, *, logging: bool) -> Tensor | None:
        """Sum one network's gradients, limit them, and step its optimiser; the norm where it is known."""
        parameters, norm, clip = self.parameters[name], None, self.optim[name].clip
        self.processes.sum_gradients(parameters)
        if clip:
            norm = nn.utils.clip_grad_norm_(parameters, clip)
        elif logging:
            norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        self.optimizers[name].step()
        self.optimizers[name].zero_grad(set_to_none=True)
        for module in self.followers[name]:
            module.after_update()  # type: ignore[operator]
        return norm

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averages towards the networks, in float32."""
        for name, decay in self.config.ema.items():
            averaged, present = self.trainer.ema[name].state_dict(), self.networks[name].state_dict()
            for key, value in averaged.items():
                if value.is_floating_point():
                    value.lerp_(present[key].float(), 1 - decay)
                else:
                    value.copy_(present[key])

    def _totals(self, batches: list[Batch]) -> dict[str, int]:
        """What all micro-batches of the step count together; and whether any process was asked to stop."""
        counts = add_counts([batch.counts for batch in batches])
        values = self.processes.sum(torch.tensor([*counts.values(), int(self.asked)])).tolist()
        self.stopping = values.pop() > 0
        return dict(zip(counts, values, strict=True))

    def _set_rates(self, step: int) -> None:
        for name, stepper in self.optimizers.items():
            optim = self.optim[name]
            for part in stepper.param_groups:
                part["lr"] = optim.lr * optim.schedule.factor(step, self.config.steps, self.best["drops"])

    def _seed(self, *path: int) -> None:
        """Derive the device generators from the run's seed and a place in it."""
        seed = int(np.random.SeedSequence([self.recipe.seed, *path]).generate_state(1, np.uint64)[0] >> 1)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a hundred times as long
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.config.precision == "bf16" else nullcontext()

    def _workers(self) -> int:
        given = self.recipe.data.workers
        return (4 if self.device.type == "cuda" else 0) if given is None else given

    def _stop_on_signals(self) -> None:
        """Ctrl-C and a scheduler's notice end the run after the present step, with a checkpoint; twice, at once."""

        def stop(number: int, frame: Any) -> None:
            self.asked = True
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)

        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, stop)
        except ValueError:  # not the main thread: a notebook's executor
            return

    def _flush(self, pending: list[Any], report: Report) -> None:
        """Bring the logs of the pending steps together, check them, and write the last one that falls on log_every.

        Raises DataError for the first loss that is not finite, with the step's items.
        """
        if not pending:
            return
        names = [*dict.fromkeys(name for _, logs, _, _ in pending for name in logs)]
        zero = torch.zeros((), device=self.device)
        rows = [torch.stack([logs.get(name, zero) for name in names]) for _, logs, _, _ in pending]
        values = self.processes.sum(torch.stack(rows)).tolist()
        for (step, _, ids, _), row in zip(pending, values, strict=True):
            bad = [
                name
                for name, value in zip(names, row, strict=True)
                if name.endswith("/loss") and not math.isfinite(value)
            ]
            if bad:
                everywhere = [id for part in self.processes.gather(ids) for id in part]
                raise DataError(
                    f"step {step}: {bad[0]} is {row[names.index(bad[0])]}, with items {', '.join(everywhere[:20])}",
                    hint="lower optim.lr, set optim.clip, or look at these items; the last good checkpoint is kept",
                )
        rates = {f"{name}/lr": stepper.param_groups[0]["lr"] for name, stepper in self.optimizers.items()}
        lines = []
        for (step, logs, _, _), row in zip(pending, values, strict=True):
            if step % self.config.log_every == 0 or step == self.config.steps:
                found = dict(zip(names, row, strict=True))
                lines.append({"step": step} | {name: found[name] for name in logs} | rates)
        report.progress(pending[-1][0], lines, sum(samples for *_, samples in pending) / self.corpus.rate)
        pending.clear()

    @torch.no_grad()
    def validate(self, step: int, report: Report) -> None:
        """Scores over all validation items, the same for any number of processes; samples of the first ones."""
        assert self.dev is not None
        for network in self.networks.values():
            network.eval()
        mine: list[tuple[int, Validation]] = []
        shown: dict[str, Any] = {"audio": {}, "pictures": {}}
        limit, rank, world = self.recipe.data.dev_items, self.processes.rank, self.processes.world
        for micro, batch in validation_batches(self.dev, self.trainer.collator(), limit=limit, rank=rank, world=world):
            batch.totals = batch.counts
            self._seed(VALIDATION, micro.number, 0)
            with self._autocast():
                found = self.trainer.validation_step(batch.to(self.device))
            scores_here = {name: [float(v) for v in values] for name, values in found.scores.items()}
            mine.append((micro.number, Validation(scores_here)))
            if micro.number < SHOWN * world:
                shown["audio"] |= found.audio
                shown["pictures"] |= found.pictures
            report.validating(len(mine) * world)
        everywhere = sorted((pair for part in self.processes.gather(mine) for pair in part), key=lambda pair: pair[0])
        scores = _means([validation for _, validation in everywhere])
        for network in self.networks.values():
            network.train()
        self._judge(step, scores)
        report.validated(
            step,
            scores,
            best=self.best["step"] == step and self.config.monitor is not None,
            rate=self.corpus.rate,
            **shown,
        )

    def _judge(self, step: int, scores: dict[str, float]) -> None:
        """Remember the best score, and how long it has not been beaten."""
        if (monitor := self.config.monitor) is None:
            return
        if monitor not in scores:
            raise RecipeError(f"engine.monitor: there is no score {monitor!r}", hint=f"scores: {', '.join(scores)}")
        score, best = scores[monitor], self.best["score"]
        sign = 1 if monitor in self.trainer.higher_is_better else -1
        if best is None or sign * score > sign * best:
            self.best |= {"step": step, "score": score, "waited": 0, "since_drop": 0}
            return
        self.best |= {"waited": self.best["waited"] + 1, "since_drop": self.best["since_drop"] + 1}
        schedule = self.recipe.optim.schedule
        if schedule.patience and self.best["since_drop"] >= schedule.patience:
            self.best |= {"drops": self.best["drops"] + 1, "since_drop": 0}


def _means(validations: list[Validation]) -> dict[str, float]:
    """The mean of every score over the items for which it is defined."""
    values: dict[str, list[float]] = {}
    for validation in validations:
        for name, found in validation.scores.items():
            values.setdefault(name, []).extend(value for value in found if math.isfinite(value))
    return {name: math.fsum(found) / len(found) for name, found in values.items() if found}
