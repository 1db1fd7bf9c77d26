"""Residual vector quantisation against vector-quantize-pytorch, its training rules, dropout and usage."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from amphion_vocoders.quantization import EMACodebook, FactorizedCodebook, ResidualQuantizer, perplexity

ENTRIES, DIM = 16, 6


def vectors(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def averaged(count: int = 3, *, seed: int = 1, **options: float) -> ResidualQuantizer:
    """A quantiser of moving averages whose entries are random, and smaller in each further codebook."""
    layers = [EMACodebook(ENTRIES, DIM, kmeans=False, **options) for _ in range(count)]
    for number, layer in enumerate(layers):
        layer.embed.copy_(vectors(ENTRIES, DIM, seed=seed + number) / 2**number)
        layer.embed_avg.copy_(layer.embed)
    return ResidualQuantizer(layers)


def factorized(count: int = 3, dropout: float = 0.0, threshold: float = 0.0) -> ResidualQuantizer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [FactorizedCodebook(ENTRIES, DIM, code_dim=3, threshold=threshold) for _ in range(count)]
    return ResidualQuantizer(layers, dropout=dropout)


@pytest.fixture(scope="module")
def package() -> object:
    return pytest.importorskip("vector_quantize_pytorch", reason="pip install vector-quantize-pytorch")


def test_moving_averages_give_the_codes_and_entries_of_vector_quantize_pytorch(package):
    """Two steps of training, each a forward pass and the update of the entries."""
    ours = averaged(threshold=0)
    theirs = package.ResidualVQ(
        dim=DIM, num_quantizers=3, codebook_size=ENTRIES, decay=0.99, threshold_ema_dead_code=0, rotation_trick=False
    )
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        other._codebook.embed.data.copy_(mine.embed[None])
        other._codebook.embed_avg.data.copy_(mine.embed[None])
        other._codebook.cluster_size.data.fill_(1)
    for step in range(2):
        latents = vectors(2, 20, DIM, seed=10 + step)
        expected, indices, losses = theirs(latents)
        found = ours(latents.mT)
        for layer in ours.layers:
            layer.after_update()
        assert torch.equal(found.indices.permute(1, 2, 0), indices)
        torch.testing.assert_close(found.latents.mT, expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(found.commitment.mean((1, 2)), losses.flatten(), atol=1e-6, rtol=0)
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        torch.testing.assert_close(mine.embed, other._codebook.embed[0], atol=1e-6, rtol=1e-5)


def test_the_factorised_search_chooses_the_codes_of_vector_quantize_pytorch(package):
    ours = factorized(1).layers[0]
    theirs = package.VectorQuantize(dim=3, codebook_size=ENTRIES, use_cosine_sim=True, rotation_trick=False).eval()
    theirs._codebook.embed.data.copy_(F.normalize(ours.codebook.weight.detach(), dim=-1)[None])
    latents = vectors(2, 20, DIM)
    expected, indices, _ = theirs(ours.in_proj(latents).detach())
    found = ours.encode(latents)
    assert torch.equal(found, indices)
    torch.testing.assert_close(F.normalize(ours.codebook(found), dim=-1), expected)  # theirs are normalised


@pytest.mark.parametrize("quantizer", [averaged(), factorized()], ids=["averaged", "factorized"])
def test_codes_decode_to_the_latents_of_the_forward_pass(quantizer):
    latents = vectors(2, DIM, 9)
    quantizer.eval()
    found = quantizer(latents)
    assert torch.equal(quantizer.encode(latents), found.indices)
    assert torch.equal(quantizer.encode(latents, 2), found.indices[:2])
    torch.testing.assert_close(quantizer.decode(found.indices), found.latents, atol=1e-6, rtol=0)
    assert found.indices.shape == found.commitment.shape == found.codebook.shape == (3, 2, 9)


def test_the_factorised_entry_is_returned_unnormalised():
    layer = factorized(1).layers[0]
    layer.codebook.weight.data.mul_(5)
    indices = torch.tensor([[3]])
    torch.testing.assert_close(layer.decode(indices), layer.out_proj(layer.codebook.weight[3])[None, None])


def test_gradients_pass_straight_through_moving_averages():
    latents = vectors(1, DIM, 5).requires_grad_()
    weights = vectors(1, DIM, 5, seed=3)
    (averaged()(latents).latents * weights).sum().backward()
    torch.testing.assert_close(latents.grad, weights)


def test_commitment_moves_the_encoder_and_the_codebook_loss_moves_the_entries():
    latents = vectors(1, DIM, 5).requires_grad_()
    quantizer = factorized(1)
    found, entries = quantizer(latents), quantizer.layers[0].codebook.weight
    moved = torch.autograd.grad(found.commitment.sum(), [latents, entries], allow_unused=True, retain_graph=True)
    assert moved[0].abs().max() > 0 and moved[1] is None
    moved = torch.autograd.grad(found.codebook.sum(), [latents, entries], allow_unused=True)
    assert moved[0] is None and moved[1].abs().max() > 0


def test_kmeans_finds_the_clusters_of_the_first_batch():
    centres = torch.eye(4, DIM) * 10
    latents = centres.repeat(8, 1) + 0.01 * vectors(32, DIM)
    codebook = EMACodebook(4, DIM)
    codebook(latents[None])
    nearest = torch.cdist(centres, codebook.embed).min(1).values
    assert nearest.max() < 0.1 and bool(codebook.inited)
    assert codebook.cluster_size.tolist() == [8, 8, 8, 8]


def test_two_micro_batches_move_the_entries_as_one_batch_does():
    latents = vectors(4, DIM, 9)
    whole, parts = averaged(threshold=0), averaged(threshold=0)
    whole(latents)
    for part in latents.chunk(2):
        parts(part)
    for one, other in zip(whole.layers, parts.layers, strict=True):
        before = other.embed.clone()
        one.after_update(), other.after_update()
        assert not torch.equal(before, other.embed)
        torch.testing.assert_close(one.embed, other.embed, atol=1e-6, rtol=0)


def test_a_dead_entry_becomes_a_vector_of_the_batch_and_stays_it():
    codebook = EMACodebook(ENTRIES, DIM, kmeans=False, threshold=0.5)
    codebook.embed[3] = codebook.embed_avg[3] = 100.0  # nothing is near it
    codebook.cluster_size.fill_(1)
    codebook.cluster_size[3] = 0
    latents = vectors(1, 40, DIM)
    codebook(latents)
    codebook.after_update()
    replaced = codebook.embed[3].clone()
    assert (latents[0] - replaced).abs().sum(1).min() < 1e-6
    codebook(latents)
    codebook.after_update()
    assert (codebook.embed[3] - replaced).abs().max() < 1


def test_evaluation_changes_no_codebook():
    codebook = EMACodebook(ENTRIES, DIM, kmeans=False).eval()
    before = {name: tensor.clone() for name, tensor in codebook.state_dict().items()}
    codebook(vectors(1, 40, DIM))
    codebook.after_update()
    assert all(torch.equal(tensor, before[name]) for name, tensor in codebook.state_dict().items())


def test_dropout_leaves_out_the_last_codebooks_of_some_items_in_training_only():
    quantizer, latents = factorized(4, dropout=0.5), vectors(200, DIM, 3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        found = quantizer(latents)
    used = (found.commitment.abs().sum(2) > 0).sum(0)  # (B)
    assert used.min() == 1
    every = (used == 4).float().mean()
    assert 0.5 < every < 0.75  # half of the items, and a quarter of the others
    item = int((used == 2).nonzero()[0])
    torch.testing.assert_close(found.latents[item], (found.parts[0] + found.parts[1])[item])
    assert bool((quantizer.eval()(latents).commitment > 0).all())


def test_perplexity_counts_the_entries_in_use():
    indices = torch.stack([torch.zeros(2, 8, dtype=torch.long), torch.arange(16).view(2, 8) % 4])
    torch.testing.assert_close(perplexity(indices, ENTRIES), torch.tensor([1.0, 4.0]))
    codebook = EMACodebook(ENTRIES, DIM, kmeans=False)
    assert codebook.perplexity().item() == pytest.approx(ENTRIES)


def test_a_bypassed_quantiser_passes_vectors_on_and_k_means_comes_afterwards():
    quantizer = ResidualQuantizer([EMACodebook(ENTRIES, DIM) for _ in range(2)])
    latents = vectors(2, DIM, 20).requires_grad_()
    quantizer.bypassed = True
    found = quantizer(latents)
    assert torch.equal(found.latents, latents) and not found.commitment.any() and found.indices.shape == (2, 2, 20)
    (gradient,) = torch.autograd.grad(found.latents.square().sum(), latents)
    assert torch.equal(gradient, 2 * latents)
    for layer in quantizer.layers:
        layer.after_update()
        assert not layer.inited and not layer.cluster_size.any()
    assert not torch.equal(quantizer.eval()(latents).latents, latents)
    quantizer.train().bypassed = False
    assert quantizer(latents).commitment.any() and all(layer.inited for layer in quantizer.layers)


def far_vectors(count: int) -> Tensor:
    """Vectors that differ little beside what they have in common, as latents with a constant do: (1, DIM, count)."""
    return vectors(1, DIM, count) * 0.1 + 5


def test_factorised_codebooks_get_entries_in_use_after_they_were_bypassed():
    quantizer, latents = factorized(2, threshold=0.01), far_vectors(400)
    assert perplexity(quantizer(latents).indices, ENTRIES)[0] < 2  # almost all vectors have the same direction
    quantizer.bypassed = quantizer.collecting = True
    before = quantizer(latents)
    assert not before.indices.any() and not before.commitment.any() and not before.codebook.any()
    quantizer.after_update()
    assert all(layer.cluster_size.sum() == 400 for layer in quantizer.layers)
    quantizer.collecting = False
    torch.testing.assert_close(quantizer(latents).latents, before.latents, atol=1e-4, rtol=1e-4)
    quantizer.bypassed = False
    after = quantizer(latents)
    assert perplexity(after.indices, ENTRIES).min() > ENTRIES / 2
    assert (after.parts[0] - after.parts[0].mean(2, keepdim=True)).abs().mean() > 0.01


def test_collected_vectors_give_the_same_entries_in_any_order():
    one, other, latents = factorized(1), factorized(1), far_vectors(60)
    for quantizer, parts in ((one, [latents]), (other, reversed(latents.split(20, 2)))):
        quantizer.bypassed = quantizer.collecting = True
        for part in parts:
            quantizer(part)
        quantizer.after_update()
    torch.testing.assert_close(one.layers[0].codebook.weight, other.layers[0].codebook.weight, atol=1e-6, rtol=0)


def test_a_dead_entry_of_a_factorised_codebook_becomes_a_vector_of_the_batch():
    codebook = FactorizedCodebook(ENTRIES, DIM, code_dim=3, threshold=0.5)
    latents = vectors(1, 40, DIM)
    used = codebook(latents).indices.unique()
    codebook.cluster_size.fill_(0)
    codebook.cluster_size[used] = 9
    before = codebook.decode(used[None])
    codebook.after_update()
    torch.testing.assert_close(codebook.decode(used[None]), before, atol=1e-5, rtol=0)  # the same vectors
    assert codebook.in_proj(latents).mean((0, 1)).abs().max() < 1e-5  # cosines are measured from the mean
    projected = codebook.in_proj(latents)[0]
    for entry in set(range(ENTRIES)) - set(used.tolist()):
        assert (projected - codebook.codebook.weight[entry]).abs().sum(1).min() < 1e-6
    plain = FactorizedCodebook(ENTRIES, DIM, code_dim=3)
    before = plain.codebook.weight.clone()
    plain(latents)
    plain.after_update()
    assert torch.equal(plain.codebook.weight, before) and "cluster_size" not in plain.state_dict()
