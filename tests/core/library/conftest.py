"""A tiny model, as a notebook has it."""

from __future__ import annotations

import pytest

import hyenadna_cli as hd


@pytest.fixture(scope="module")
def model(tiny_model):
    return hd.load_model(tiny_model, device="cpu", threads=1)
