"""Every component of our own distributions passes the conformance kit, like the plugins of others."""

import pytest
import torch

from amphion_core.testing import checks_of

DISTS = ("amphion-core", "amphion-vocoders", "amphion-tts", "amphion-svc", "amphion-tta", "amphion-eval")
ROWS = [(check, ref) for dist in DISTS for check, ref in checks_of(dist)]


@pytest.mark.parametrize(("check", "ref"), ROWS, ids=[f"{ref.dist}-{ref.name}-{check.__name__}" for check, ref in ROWS])
def test_component(check, ref):
    torch.set_num_threads(1)
    check(ref)
