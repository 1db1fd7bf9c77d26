"""A short part of the broken inputs of ``nox -s fuzz``: each ends in a result or in one clear sentence."""

import pytest
from fuzzing.endings import FAILURES, Fuzzer
from fuzzing.inputs import MAKERS


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory):
    return Fuzzer(tmp_path_factory.mktemp("fuzz"), seed=1)


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.__name__)
def test_a_broken_input_ends_in_a_result_or_in_one_clear_sentence(maker, fuzzer):
    for number in range(8):
        ending = fuzzer.run(maker, number)
        assert ending.name not in FAILURES, f"{maker.__name__}:{number} {ending.name}: {ending.shown}"
