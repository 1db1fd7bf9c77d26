"""Residual vector quantisation: the codebooks of all neural codecs here.

Zeghidour et al.: "SoundStream", arXiv:2107.03312, section III-C: each codebook quantises what the ones before it left.
Two kinds of codebook. `EMACodebook`: entries are moving averages of the vectors that chose them, as in EnCodec
(Defossez et al., arXiv:2210.13438, section 3.2). `FactorizedCodebook`: the search runs in few dimensions by cosine, and
entries learn by gradients, as in DAC (Kumar et al., arXiv:2306.06546, section 3.2) and FACodec (arXiv:2403.03100).

Training over several processes and micro-batches: a forward pass only collects statistics. After the update of the
codec, the engine calls ``after_update``, which sums them over all processes and moves the entries once a step. First
values and replacements of dead entries are vectors of the step's first micro-batch, in a fixed order. Nothing is drawn
at random, so the result does not depend on the number of processes.
Deviations from EnCodec's code: an entry that is replaced also gets new averages, else the next step would undo the
replacement.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

SMOOTHING = 1e-5  # Laplace smoothing of cluster sizes, as in EnCodec's code
KMEANS_STEPS = 50  # as in EnCodec's code


class Quantized(NamedTuple):
    """The result of a forward pass of `ResidualQuantizer`.

    ``latents`` (B, C, N): the sum over the codebooks, with straight-through gradients. ``indices`` (K, B, N).
    ``commitment`` and ``codebook`` (K, B, N): squared distances, averaged over channels, whose gradients reach only the
    encoder or only the entries; 0 where quantiser dropout leaves a codebook out. ``codebook`` is 0 for moving averages.
    ``parts``: what each codebook adds, (B, C, N) each, without dropout, with straight-through gradients.
    """

    latents: Tensor
    indices: Tensor
    commitment: Tensor
    codebook: Tensor
    parts: tuple[Tensor, ...]


class Stage(NamedTuple):
    """What one codebook makes of its input (B, N, C); see `Quantized`."""

    vectors: Tensor  # (B, N, C)
    indices: Tensor  # (B, N)
    commitment: Tensor  # (B, N)
    codebook: Tensor  # (B, N)


class EMACodebook(nn.Module):
    """A codebook whose entries are moving averages of the vectors that chose them; the search is Euclidean.

    With ``kmeans``, the first vectors in training initialise the entries; without it, they begin as random vectors.
    ``threshold``: entries that fewer vectors choose in a step, on the moving average, are replaced by vectors of the
    batch; 0: never.
    """

    inited: Tensor
    cluster_size: Tensor
    embed: Tensor
    embed_avg: Tensor

    def __init__(
        self, entries: int, dim: int, *, kmeans: bool = True, decay: float = 0.99, threshold: float = 2.0
    ) -> None:
        super().__init__()
        self.decay, self.threshold = decay, threshold
        start = torch.zeros(entries, dim) if kmeans else torch.randn(entries, dim) * dim**-0.5
        self.register_buffer("inited", torch.full((1,), 0.0 if kmeans else 1.0))
        self.register_buffer("cluster_size", torch.full((entries,), 0.0 if kmeans else 1.0))
        self.register_buffer("embed", start)
        self.register_buffer("embed_avg", start.clone())
        self._counts: Tensor | None = None  # statistics of this step on this process, until `after_update`
        self._sums: Tensor | None = None
        self._spares: Tensor | None = None  # vectors of its first micro-batch, which replace dead entries

    def forward(self, vectors: Tensor) -> Stage:
        """(B, N, C) -> their entries. In training mode it also collects statistics for `after_update`."""
        flat = vectors.detach().flatten(0, 1)
        if self.training and not bool(self.inited):
            self._initialise(flat)
        indices = self.encode(vectors)
        if self.training:
            self._collect(flat, indices.flatten())
        chosen = self.decode(indices)
        distance = (vectors - chosen).square().mean(-1)
        return Stage(chosen, indices, distance, torch.zeros_like(distance))

    def encode(self, vectors: Tensor) -> Tensor:
        """(B, N, C) -> the nearest entries (B, N)."""
        flat = vectors.detach().flatten(0, -2)
        return _nearest(flat, self.embed).view(vectors.shape[:-1])

    def decode(self, indices: Tensor) -> Tensor:
        """(B, N) -> entries (B, N, C)."""
        return F.embedding(indices, self.embed)

    @torch.no_grad()
    def after_update(self) -> None:
        """Move the entries by the statistics of all micro-batches since the last update; without any, do nothing."""
        if self._counts is None or self._sums is None or self._spares is None:
            return
        counts, sums, spares = _sum_over_processes(self._counts), _sum_over_processes(self._sums), self._spares
        self._counts = self._sums = self._spares = None
        self.cluster_size.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        self.embed_avg.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        total = self.cluster_size.sum()
        smoothed = (self.cluster_size + SMOOTHING) / (total + len(counts) * SMOOTHING) * total
        self.embed.copy_(self.embed_avg / smoothed[:, None])
        dead = self.cluster_size < self.threshold
        if bool(dead.any()):
            spares = _from_first_process(spares)
            self.embed[dead] = spares[dead]
            self.embed_avg[dead] = spares[dead] * self.threshold
            self.cluster_size[dead] = self.threshold

    def perplexity(self) -> Tensor:
        """How many entries are in use: the exponential of the entropy of the cluster sizes."""
        return _perplexity(self.cluster_size)

    def _initialise(self, flat: Tensor) -> None:
        """Set the entries by k-means of the vectors (M, C) of the first process."""
        with torch.no_grad():
            centres, sizes = _kmeans(flat, len(self.embed), _nearest)
            self.embed.copy_(_from_first_process(centres))
            self.cluster_size.copy_(_from_first_process(sizes))
            self.embed_avg.copy_(self.embed * self.cluster_size[:, None])
            self.inited.fill_(1)

    def _collect(self, flat: Tensor, indices: Tensor) -> None:
        """Add the vectors (M, C) and their entries (M) to the statistics of the step."""
        counts = torch.zeros_like(self.cluster_size).index_add_(0, indices, torch.ones_like(flat[:, 0]))
        sums = torch.zeros_like(self.embed).index_add_(0, indices, flat)
        if self._counts is None or self._sums is None:
            self._counts, self._sums, self._spares = counts, sums, _shuffled(flat, len(counts))
        else:
            self._counts, self._sums = self._counts + counts, self._sums + sums


class FactorizedCodebook(nn.Module):
    """A codebook that is searched by cosine in ``code_dim`` dimensions; gradients move its entries.

    The vector that is returned is the entry itself, not normalised. ``in_proj`` and ``out_proj`` are linear layers with
    weight norm. ``codebook`` holds the entries (size, code_dim).

    ``threshold``: entries that fewer vectors choose in a step, on a moving average, are replaced by vectors of the
    batch, and each step moves the origin, from which cosines are measured, to the mean of its projections; 0: neither.
    Only with it the state holds ``cluster_size``, the averages.
    """

    cluster_size: Tensor

    def __init__(
        self, entries: int, dim: int, *, code_dim: int = 8, threshold: float = 0.0, decay: float = 0.95
    ) -> None:
        super().__init__()
        self.in_proj = weight_norm(nn.Linear(dim, code_dim))
        self.out_proj = weight_norm(nn.Linear(code_dim, dim))
        self.codebook = nn.Embedding(entries, code_dim)
        nn.init.zeros_(self.in_proj.bias)  # a constant would turn all vectors to the same entry
        nn.init.zeros_(self.out_proj.bias)
        self.threshold, self.decay = threshold, decay
        if threshold:
            self.register_buffer("cluster_size", torch.ones(entries))
        self._counts: Tensor | None = None  # statistics of this step on this process, until `after_update`
        self._sums: Tensor | None = None  # of the projections, (code_dim)
        self._spares: Tensor | None = None  # vectors of its first micro-batch, which replace dead entries

    def forward(self, vectors: Tensor, *, searched: bool = True) -> Stage:
        """(B, N, C) -> their entries, projected back to C dimensions, with straight-through gradients.

        Without ``searched`` the projections themselves are projected back, with index 0 and without losses.
        """
        projected = self.in_proj(vectors)
        if not searched:
            zeros = torch.zeros_like(projected[..., 0])
            return Stage(self.out_proj(projected), zeros.long(), zeros, zeros)
        indices = self._search(projected)
        if self.training and self.threshold:
            self._collect(projected.detach().flatten(0, 1), indices.flatten())
        chosen = self.codebook(indices)
        commitment = (projected - chosen.detach()).square().mean(-1)
        codebook = (chosen - projected.detach()).square().mean(-1)
        vectors = self.out_proj(projected + (chosen - projected).detach())
        return Stage(vectors, indices, commitment, codebook)

    def encode(self, vectors: Tensor) -> Tensor:
        """(B, N, C) -> the most similar entries (B, N)."""
        return self._search(self.in_proj(vectors))

    def decode(self, indices: Tensor) -> Tensor:
        """(B, N) -> entries projected to (B, N, C)."""
        return self.out_proj(self.codebook(indices))

    @torch.no_grad()
    def initialise(self, vectors: Tensor) -> None:
        """Set the entries by k-means of the projections of (M, C).

        Cosines compare directions from the origin, so the projections are first centred: what ``in_proj`` loses,
        ``out_proj`` adds again, and the network computes the same as before but for the choice of entries.
        """
        projected = self.in_proj(vectors)
        centre = projected.mean(0)
        self._centre(centre)
        centres, sizes = _kmeans(projected - centre, len(self.codebook.weight), _most_similar)
        self.codebook.weight.copy_(centres)
        if self.threshold:
            self.cluster_size.copy_(sizes)

    @torch.no_grad()
    def after_update(self) -> None:
        """Move the origin and replace dead entries by the statistics of all micro-batches since the last update."""
        if self._counts is None or self._sums is None or self._spares is None:
            return
        counts, sums = _sum_over_processes(self._counts), _sum_over_processes(self._sums)
        spares, self._counts, self._sums, self._spares = self._spares, None, None, None
        centre = sums / counts.sum()
        self._centre(centre)
        self.codebook.weight.sub_(centre)
        self.cluster_size.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        dead = self.cluster_size < self.threshold
        if bool(dead.any()):
            self.codebook.weight[dead] = (_from_first_process(spares) - centre)[dead]
            self.cluster_size[dead] = self.threshold

    def _centre(self, centre: Tensor) -> None:
        """Make ``centre`` (code_dim) the origin of the projections: what ``in_proj`` loses, ``out_proj`` adds again."""
        self.out_proj.bias.copy_(self.out_proj(centre))
        self.in_proj.bias.sub_(centre)

    def perplexity(self) -> Tensor:
        """How many entries are in use, where ``threshold`` is set: as `EMACodebook.perplexity`."""
        return _perplexity(self.cluster_size)

    def _collect(self, flat: Tensor, indices: Tensor) -> None:
        """Count the entries (M) of the projections (M, code_dim), and keep some projections."""
        counts = torch.zeros_like(self.cluster_size).index_add_(0, indices, torch.ones_like(flat[:, 0]))
        if self._counts is None or self._sums is None:
            self._counts, self._sums, self._spares = counts, flat.sum(0), _shuffled(flat, len(counts))
        else:
            self._counts, self._sums = self._counts + counts, self._sums + flat.sum(0)

    def _search(self, projected: Tensor) -> Tensor:
        flat = projected.detach().flatten(0, -2)
        return _most_similar(flat, self.codebook.weight.detach()).view(projected.shape[:-1])


class ResidualQuantizer(nn.Module):
    """Several codebooks, ``layers``: each quantises what is left of the vectors (B, C, N) after those before it.

    ``dropout`` (quantiser dropout): the probability with which an item in training uses only the first codebooks, their
    number drawn evenly from 1 to K, so that one network serves all bitrates. All computation is float32.

    While a trainer has set ``bypassed``, training looks nothing up: vectors are passed on as they are, or after both
    projections of each factorised codebook. Codebooks that are moving averages collect nothing, and their k-means waits
    for the first vectors afterwards. Factorised ones get their entries by k-means at the end of a step for which a
    trainer has set ``collecting``: it takes the vectors of the whole step, of all processes. `encode` ignores this.
    """

    def __init__(self, layers: list[EMACodebook] | list[FactorizedCodebook], *, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.dropout = dropout
        self.bypassed = self.collecting = False
        self._collected: list[Tensor] = []  # (M, C) each, until `after_update`
        self._averages = all(isinstance(layer, EMACodebook) for layer in layers)

    def forward(self, latents: Tensor) -> Quantized:
        """(B, C, N) -> the sum of the chosen vectors with gradients, and the losses; see `Quantized`."""
        passed = self.bypassed and self.training
        if passed and self._averages:
            zeros = latents.new_zeros(len(self.layers), len(latents), latents.shape[2], dtype=torch.float32)
            return Quantized(latents.float(), zeros.long(), zeros, zeros, ())
        with torch.autocast(latents.device.type, enabled=False):
            start = rest = latents.float().mT  # (B, N, C)
            if self.training and self.collecting and not self._averages:
                self._collected.append(rest.detach().flatten(0, 1))
            used = self._used(len(latents), latents.device)
            total = torch.zeros_like(rest)
            stages: list[Stage] = []
            parts: list[Tensor] = []
            for number, layer in enumerate(self.layers):
                stage = Stage(*(layer(rest, searched=False) if passed else layer(rest)))
                keep = (number < used).to(rest.dtype)[:, None]  # (B, 1)
                total = total + stage.vectors * keep[..., None]
                parts.append((start + (stage.vectors - start).detach() if self._averages else stage.vectors).mT)
                rest = rest - (stage.vectors.detach() if self._averages else stage.vectors)
                stages.append(stage._replace(commitment=stage.commitment * keep, codebook=stage.codebook * keep))
            if self._averages:  # entries have no gradients, so the encoder gets those of the decoder
                total = start + (total - start).detach()
            return Quantized(
                total.mT, torch.stack([stage.indices for stage in stages]),
                torch.stack([stage.commitment for stage in stages]), torch.stack([stage.codebook for stage in stages]),
                tuple(parts),
            )  # fmt: skip

    @torch.no_grad()
    def after_update(self) -> None:
        """Set the entries of factorised codebooks by the vectors collected since the last update, if any."""
        if not self._collected:
            return
        rest = torch.unique(_from_every_process(torch.cat(self._collected)), dim=0)  # sorted: in no process's order
        self._collected = []
        for layer in self.layers:
            layer.initialise(rest)  # type: ignore[operator]  # ModuleList hides the type of its modules
            rest = rest - layer.decode(layer.encode(rest))  # type: ignore[operator]

    def encode(self, latents: Tensor, count: int | None = None) -> Tensor:
        """(B, C, N) -> indices (K, B, N) of the first ``count`` codebooks, or of all."""
        with torch.autocast(latents.device.type, enabled=False):
            rest, found = latents.float().mT, []
            for layer in self.layers[:count]:
                indices = layer.encode(rest)  # type: ignore[operator]  # ModuleList hides the type of its modules
                rest = rest - layer.decode(indices)  # type: ignore[operator]
                found.append(indices)
            return torch.stack(found)

    def decode(self, indices: Tensor) -> Tensor:
        """Indices (K, B, N) of the first K codebooks -> the sum of their vectors (B, C, N)."""
        with torch.autocast(indices.device.type, enabled=False):
            vectors = [layer.decode(row) for layer, row in zip(self.layers, indices)]  # type: ignore[operator]
            return torch.stack(vectors).sum(0).mT

    def _used(self, items: int, device: torch.device) -> Tensor:
        """How many codebooks each item uses (B)."""
        every = torch.full((items,), len(self.layers), device=device)
        if not self.training or not self.dropout:
            return every
        fewer = torch.randint(1, len(self.layers) + 1, (items,), device=device)
        return torch.where(torch.rand(items, device=device) < self.dropout, fewer, every)


def perplexity(indices: Tensor, entries: int) -> Tensor:
    """Indices (K, ...) of codebooks with so many entries -> how many entries each uses (K).

    It is the exponential of the entropy of their shares, from 1 to ``entries``.
    """
    return torch.stack([_perplexity(torch.bincount(row.flatten(), minlength=entries)) for row in indices])


def _nearest(flat: Tensor, entries: Tensor) -> Tensor:
    """(M, C), (size, C) -> the index of the nearest entry (M)."""
    distances = flat.square().sum(1, keepdim=True) - 2 * flat @ entries.T + entries.square().sum(1)
    return distances.argmin(1)


def _most_similar(flat: Tensor, entries: Tensor) -> Tensor:
    """(M, C), (size, C) -> the index of the entry with the largest cosine (M)."""
    return (F.normalize(flat, dim=-1) @ F.normalize(entries, dim=-1).T).argmax(-1)


def _shuffled(vectors: Tensor, count: int) -> Tensor:
    """``count`` rows of (M, C) in an order that depends on M only; rows repeat where there are too few."""
    order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(0)).to(vectors.device)
    return vectors[order[torch.arange(count, device=vectors.device) % len(vectors)]]


def _kmeans(vectors: Tensor, count: int, nearest_of: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """(M, C) -> centres (count, C), and how many vectors ``nearest_of`` gives to each (count)."""
    centres = _shuffled(vectors, count)
    sizes = vectors.new_zeros(count)
    for _ in range(KMEANS_STEPS):
        nearest = nearest_of(vectors, centres)
        sizes = vectors.new_zeros(count).index_add_(0, nearest, torch.ones_like(vectors[:, 0]))
        sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
        centres = torch.where(sizes[:, None] > 0, sums / sizes.clamp_min(1)[:, None], centres)
    return centres, sizes


def _perplexity(counts: Tensor) -> Tensor:
    """Counts (size) -> the exponential of the entropy of their shares, from 1 to size; 0 without any count."""
    share = counts.double() / counts.sum().clamp_min(1)
    return torch.where(counts.sum() > 0, torch.special.entr(share).sum().exp(), torch.zeros_like(share[0])).float()


def _sum_over_processes(values: Tensor) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values


def _from_every_process(values: Tensor) -> Tensor:
    """(M, C) of each process -> all rows."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        found: list[Tensor] = [values] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(found, values.cpu())
        return torch.cat([part.to(values.device) for part in found])
    return values


def _from_first_process(values: Tensor) -> Tensor:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        values = values.contiguous()
        torch.distributed.broadcast(values, 0)
    return values
