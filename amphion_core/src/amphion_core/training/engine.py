"""The engine: the training loop. It carries out a trainer's updates, on one process or on many, with equal results.

A step is an ordered list of M micro-batches; process r of W takes r, r + W, ... All of them reach a yield of the
trainer's step before the network of that yield is updated. Gradients, losses and logs are sums of contributions;
randomness is derived from (seed, step, micro-batch, turn), so a run that was killed continues bit for bit.
"""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from amphion_core.data.batch import Batch, add_counts
from amphion_core.data.loader import Corpus, MicroBatch, Position, training_batches, validation_batches
from amphion_core.recipe import Recipe
from amphion_core.training import checkpoint, checks, initial, resume, validation
from amphion_core.training.logs import StepLog, summed
from amphion_core.training.optim import freeze, optimizer
from amphion_core.training.partition import paths_in_model
from amphion_core.training.processes import Processes
from amphion_core.training.report import Report
from amphion_core.training.run_folder import RunFolder
from amphion_core.training.signals import stop_on_signals
from amphion_core.training.state import TrainingState
from amphion_core.training.trainer import ModelTrainer, Update
from amphion_core.weights import state_digest

VALIDATION = 1 << 32  # stands for the step number where validation derives its seeds


class Engine:
    """One run. ``train`` continues from the newest checkpoint in the run folder to the recipe's last step."""

    def __init__(
        self, recipe: Recipe, trainer: ModelTrainer, corpus: Corpus, dev: Corpus | None, run: RunFolder,
        processes: Processes,
    ) -> None:  # fmt: skip
        self.recipe, self.trainer, self.corpus, self.dev, self.run = recipe, trainer, corpus, dev, run
        self.config, self.processes, self.device = recipe.engine, processes, processes.device
        self.modules = trainer.partition()
        self.networks = self.modules.networks
        paths = paths_in_model(self.networks, trainer.model)
        checks.check_start(recipe, trainer, paths, processes.world)
        for module in [*self.networks.values(), *self.modules.frozen.values(), *self.modules.mixed.values()]:
            module.to(self.device)
        for module in self.modules.frozen.values():
            module.eval().requires_grad_(False)
        self.modules.set_training(True)
        restored = checkpoint.steps(run.checkpoints) and not self.modules.mixed  # then a checkpoint gives all weights
        self.notes = [] if restored else initial.load(trainer.model, self.networks, self.config.init_from)
        freeze(self.networks, recipe.optim.freeze, paths)
        self.parameters = {
            name: [parameter for parameter in network.parameters() if parameter.requires_grad]
            for name, network in self.networks.items()
        }
        self.optim = {name: recipe.optim.for_network(name) for name in self.networks}
        optimizers = {
            name: optimizer(self.optim[name], parameters, self.device)
            for name, parameters in self.parameters.items()
            if parameters
        }
        self.updated_modules = {  # those with a method that runs after each update of their network
            name: [module for module in network.modules() if hasattr(module, "after_update")]
            for name, network in self.networks.items()
        }
        if not checkpoint.steps(run.checkpoints):
            self.modules.set_training(False)
            trainer.measure(corpus)
            self.modules.set_training(True)
        for name in self.config.ema:
            trainer.ema[name] = copy.deepcopy(self.networks[name]).float().eval().requires_grad_(False)
        frozen = {path: state_digest(tensors) for path, tensors in self.modules.frozen_tensors()}
        identity = {
            "data": corpus.identity, "seed": recipe.seed, "micro_batches": self.config.micro_batches, "frozen": frozen,
        }  # fmt: skip
        self.state = TrainingState(self.networks, trainer.ema, optimizers, paths, identity)
        self.stop_requested = self.stopping = False  # a signal came to this process; all processes will stop

    def prepare(self, report: Report) -> None:
        """Restore the newest checkpoint, and try one validation. Writes nothing. Raises AmphionError."""
        resume.restore(self.state, self.run, self.processes, report)
        for note in self.notes:
            report.note(note)
        self._try_validation()

    @property
    def finished(self) -> bool:
        """Whether no step remains: all are done, or ``patience`` has ended the run."""
        c = self.config
        return self.state.step >= c.steps or bool(c.patience and self.state.best.waited >= c.patience)

    def train(self, report: Report) -> None:
        """All remaining steps, after ``prepare``. Raises AmphionError: a loss is not finite, an item cannot be read."""
        c, state = self.config, self.state
        pending: list[StepLog] = []
        scores = resume.begin(state, self.run, self.processes)
        batches = training_batches(
            self.corpus, self.trainer.collator(), state.position, micro_batches=c.micro_batches,
            workers=self._workers(), rank=self.processes.rank, world=self.processes.world,
            pin=self.device.type == "cuda",
        )  # fmt: skip
        stop_on_signals(self)
        report.start(state.step, c.steps, self.corpus)
        if state.step and state.best.validated != state.step:  # stopped between a checkpoint and its validation
            if scores is not None:
                self._judge(state.step, scores)
            elif self._validates(state.step):
                self.validate(state.step, report)
        for step in range(state.position.step, c.steps + 1):
            if self.stopping or self.finished:
                break
            group = [next(batches) for _ in range(c.micro_batches // self.processes.world)]
            position = group[0][0].position
            assert position.step == step
            pending.append(self.step(step, group))
            state.position = Position(step + 1, position.epoch, position.epoch_step + 1)
            save = self._validates(step) or self.stopping or step == c.steps
            save = save or step % (c.save_every or c.validate_every) == 0
            if step % c.log_every == 0 or save:
                self._flush(pending, report)
            if save:
                resume.save(state, self.run, self.processes, report, keep=c.keep_last)
            if self._validates(step):  # after saving, so that an error here loses no training
                self.validate(step, report)
        report.finish(state.step, interrupted=self.stopping and state.step < c.steps)

    def step(self, step: int, group: list[tuple[MicroBatch, Batch]]) -> StepLog:
        """One step of all networks, from this process's micro-batches."""
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
            if norm is not None:  # every process has the same norm, and logs are summed over processes
                logs[f"{group_name}/gradient_norm"] = norm.float() if self.processes.first else torch.zeros_like(norm)
        self._average(step)
        return StepLog(step, logs, [id for _, batch in group for id in batch.ids], totals.get("samples", 0))

    def _advance(self, iterator: Iterator[Update], step: int, number: int, turn: int) -> Update | None:
        """The next update of one micro-batch, computed with its derived randomness. None at the end."""
        self._seed(step, number, turn)
        with self._autocast():
            update = next(iterator, None)
            if not torch.is_grad_enabled():
                raise RuntimeError("a no_grad block is open at a yield of training_step")
        if torch.is_autocast_enabled(self.device.type):
            raise RuntimeError("an autocast block is open at a yield of training_step")
        return update

    def _update(self, name: str, *, logging: bool) -> Tensor | None:
        """Sum one network's gradients over processes, clip them, and step its optimiser. Returns the norm if known."""
        parameters, norm, clip = self.parameters[name], None, self.optim[name].clip
        self.processes.sum_gradients(parameters)
        if clip:
            norm = nn.utils.clip_grad_norm_(parameters, clip)
        elif logging:
            norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        self.state.optimizers[name].step()
        self.state.optimizers[name].zero_grad(set_to_none=True)
        for module in self.updated_modules[name]:
            module.after_update()  # type: ignore[operator]
        return norm

    @torch.no_grad()
    def _average(self, step: int) -> None:
        """Move the averages towards the networks, in float32. At first they follow faster, to forget the start."""
        for name, largest in self.config.ema.items():
            decay = min(largest, step / (step + 9))
            averaged, present = self.trainer.ema[name].state_dict(), self.networks[name].state_dict()
            for key, value in averaged.items():
                if value.is_floating_point():
                    value.lerp_(present[key].float(), 1 - decay)
                else:
                    value.copy_(present[key])

    def _totals(self, batches: list[Batch]) -> dict[str, int]:
        """The counts of all micro-batches of the step, summed. Also agrees with all processes on whether to stop."""
        counts = add_counts([batch.counts for batch in batches])
        values = self.processes.sum(torch.tensor([*counts.values(), int(self.stop_requested)])).tolist()
        self.stopping = values.pop() > 0
        return dict(zip(counts, values, strict=True))

    def _set_rates(self, step: int) -> None:
        for name, stepper in self.state.optimizers.items():
            optim = self.optim[name]
            for group in stepper.param_groups:
                group["lr"] = optim.lr * optim.schedule.factor(step, self.config.steps, self.state.best.drops)

    def _seed(self, *path: int) -> None:
        """Seed the device's generators from the run's seed and ``path``, such as (step, micro-batch, turn)."""
        seed = int(np.random.SeedSequence([self.recipe.seed, *path]).generate_state(1, np.uint64)[0] >> 1)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a hundred times as long
        if self.device.type == "cuda":
            torch.cuda.default_generators[self.device.index or 0].manual_seed(seed)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.config.precision == "bf16" else nullcontext()

    def _workers(self) -> int:
        given = self.recipe.data.workers
        return (4 if self.device.type == "cuda" else 0) if given is None else given

    def _flush(self, pending: list[StepLog], report: Report) -> None:
        """Sum and check the logs of the pending steps, and write those that log_every selects. Raises DataError."""
        if not pending:
            return
        rates = {f"{name}/lr": stepper.param_groups[0]["lr"] for name, stepper in self.state.optimizers.items()}
        lines = [
            {"step": log.step} | values | rates
            for log, values in zip(pending, summed(pending, self.processes, self.run), strict=True)
            if log.step % self.config.log_every == 0 or log.step == self.config.steps
        ]
        report.progress(pending[-1].step, lines, sum(log.samples for log in pending) / self.corpus.rate)
        pending.clear()

    def _validates(self, step: int) -> bool:
        return self.dev is not None and (step % self.config.validate_every == 0 or step == self.config.steps)

    def _dev_batches(self, limit: int | None, rank: int = 0, world: int = 1) -> Iterator[tuple[MicroBatch, Batch]]:
        assert self.dev is not None
        return validation_batches(self.dev, self.trainer.collator(), limit=limit, rank=rank, world=world)

    def _prepare(self, number: int, batch: Batch) -> Batch:
        self._seed(VALIDATION, number, 0)
        return batch.to(self.device)

    def _try_validation(self) -> None:
        """Validate one item, so that what is missing for a metric is found before the first step, not hours later."""
        if self.dev is None:
            return
        self.modules.set_training(False)
        batches = self._dev_batches(1)
        found, _ = validation.validate(self.trainer, batches, prepare=self._prepare, context=self._autocast)
        self.modules.set_training(True)
        if found:
            checks.check_score(self.config.monitor, found[0][1])

    def validate(self, step: int, report: Report) -> None:
        """Scores over all validation items, the same for any number of processes; samples of the first ones."""
        rank, world = self.processes.rank, self.processes.world
        self.modules.set_training(False)
        mine, samples = validation.validate(
            self.trainer, self._dev_batches(self.recipe.data.dev_items, rank, world), prepare=self._prepare,
            context=self._autocast, on_item=lambda count: report.validating(count * world),
        )  # fmt: skip
        self.modules.set_training(True)
        everywhere = sorted((row for part in self.processes.gather(mine) for row in part), key=lambda row: row[0])
        scores = validation.averages(found for _, found in everywhere)
        is_best = self._judge(step, scores)
        report.validated(step, scores, best=is_best, rate=self.corpus.rate, **samples)
        for remark in self.trainer.remarks(scores):
            report.warn(remark)

    def _judge(self, step: int, scores: dict[str, float]) -> bool:
        """Count the validation of ``step``; True if it has the best score. Records the best for readers of the run."""
        best, monitor = self.state.best, self.config.monitor
        if monitor is None:
            best.validated = step
            return False
        higher, patience = self.trainer.higher_is_better[monitor], self.recipe.optim.schedule.patience
        is_best = best.judge(step, scores.get(monitor), higher_is_better=bool(higher), patience=patience)
        if self.processes.first:
            checkpoint.write_best(self.run.checkpoints, asdict(best))
            checkpoint.prune(self.run.checkpoints, keep=self.config.keep_last, best=best.step)
        return is_best
