"""bfloat16 is used only on devices where it is faster than float32."""

import pytest
import torch

from amphion_core.precision import bf16_is_fast, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("amx", "dot_products"), [(False, False), (True, False), (False, True)])
def test_a_cpu_needs_its_own_instructions_for_bfloat16(monkeypatch, amx, dot_products):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: dot_products)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert bf16_is_fast(CPU) is (amx or dot_products)


def test_without_onednn_or_without_torchs_queries_bfloat16_is_not_fast(monkeypatch):
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert bf16_is_fast(CPU) is False
    monkeypatch.undo()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert bf16_is_fast(CPU) is False


def test_float32_stays_and_slow_bfloat16_warns(monkeypatch):
    monkeypatch.setattr("amphion_core.precision.bf16_is_fast", lambda device: False)
    assert resolve_precision("float32", CPU) == "float32"
    with pytest.warns(RuntimeWarning, match="no fast bfloat16"):
        assert resolve_precision("bf16", CPU) == "float32"
    monkeypatch.setattr("amphion_core.precision.bf16_is_fast", lambda device: True)
    assert resolve_precision("bf16", CPU) == "bf16"


def test_another_precision_is_refused():
    with pytest.raises(ValueError, match="'fp16' is neither float32 nor bf16"):
        resolve_precision("fp16", CPU)  # type: ignore[arg-type]
