"""Fixtures of several tests of the evaluation."""

import json

import pytest
import torch


@pytest.fixture(scope="module")
def hubert(tmp_path_factory):
    """The folder of a tiny HuBERT with random weights and a table of letters."""
    transformers = pytest.importorskip("transformers", reason='pip install "amphion-eval[transformers]"')
    folder = tmp_path_factory.mktemp("hubert")
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJ"]
    (folder / "vocab.json").write_text(json.dumps({letter: index for index, letter in enumerate(letters)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(folder / "vocab.json")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    transformers.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.HubertConfig(
        vocab_size=len(letters), hidden_size=16, num_attention_heads=2, num_hidden_layers=1, intermediate_size=16,
        conv_dim=(16,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, pad_token_id=0,
    )  # fmt: skip
    transformers.HubertForCTC(config).save_pretrained(folder)
    return folder
