"""Compiled code: processes meet in its cache, and it is checked before it is used."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

pytest.importorskip("numba")

from numba.core.dispatcher import Dispatcher

from hyenadna_cli.ops import cpu


def test_no_two_compiled_functions_share_a_name():
    found = {}
    for module in pkgutil.iter_modules(cpu.__path__, f"{cpu.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Dispatcher):
                function = value.py_func
                found[id(function)] = (function.__module__, function.__qualname__)

    assert len(found) > 25
    assert len(set(found.values())) == len(found)
    assert not [name for _, name in found.values() if "<locals>" in name]


@pytest.mark.parametrize("wrong_from", [1, 1_000])
def test_loops_that_are_wrong_at_some_lengths_are_not_used(monkeypatch, wrong_from):
    from hyenadna_cli.ops import self_check
    from hyenadna_cli.ops.cpu import long_conv

    right = long_conv.convolve

    def convolve(u_DBL, filters, skip_D, gate_DBL, out_DBL):
        right(u_DBL, filters, skip_D, gate_DBL, out_DBL)
        if u_DBL.shape[-1] >= wrong_from:
            out_DBL[-1, -1, -1] *= 1.01

    assert self_check.convolves()
    monkeypatch.setattr(long_conv, "convolve", convolve)

    assert not self_check.convolves()
