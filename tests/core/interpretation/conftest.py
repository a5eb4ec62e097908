"""The model that maps and tracks are compared with plain passes of."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.hyenadna import HyenaDNA


@pytest.fixture(scope="package")
def model() -> HyenaDNA:
    """8 wide, 2 blocks, l_max 300, in float64; random weights in which context matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = HyenaDNA(ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=300)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "implicit_filter" not in name:
                parameter *= 8
    return model.double()
