"""A model in the layouts that the official code loads, with a model card.

hf          config.json + model.safetensors, as in the LongSafari/hyenadna-*-hf repositories
lightning   config.json + weights.ckpt, as in the LongSafari/hyenadna-* repositories

`checkpoint.load` reads the weights of both back bit for bit. The filters' shift has no place in
either layout: a model trained with another one than 0.05 has to be loaded with it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, get_args

import safetensors.torch
import torch
from torch import Tensor

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.checkpoints.fit import HEAD
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import CheckpointError

Layout = Literal["hf", "lightning"]

_HF_SHIFT = 0.05
"""What the official inference code adds to every filter's window; no setting changes it."""
_SHIFTS = {"hf": (_HF_SHIFT,), "lightning": (0.0, _HF_SHIFT)}
"""Of the official code that reads each layout; its training code adds 0."""
_SINES = {"hf": (1,), "lightning": (1, 3, 5)}
"""Under which numbers the one activation of a filter's network is stored."""
_PREFIX = {"hf": "hyena.", "lightning": "model."}

_CARD = """\
---
license: other
library_name: hyenadna
tags: [dna, hyenadna]
---

# HyenaDNA, {n_layer} x {d_model}

A causal DNA language model of {n_layer} Hyena blocks of width {d_model} that reads up to {usable:,}
bases, in the layout of the official {layout} releases. {n_parameters:,} parameters. Token ids are
those of the official tokenizer: A, C, G, T, N are 7 to 11.

Its filters were trained with {shift:g} added to their windows, which is what the official
{code} code adds.

Written by `hyenadna models export`. Its layout has no setting for that number, so hyenadna has to
be told: `hyenadna models convert DIR --filter-shift {shift:g} -o NEW` brings the model back.
"""


def export(model: HyenaDNA, directory: Path, *, layout: Layout, overwrite: bool) -> None:
    """Write a directory in an official layout, whole or not at all.

    Raises CheckpointError where the official code would compute something else with it, and
    OutputError.
    """
    config = model.config
    _check(config, layout)
    state = official_state(model, layout)
    with atomic.replace_dir_on_success(directory, overwrite=overwrite) as scratch:
        if layout == "hf":
            data = safetensors.torch.save(state, metadata={"format": "pt"})
            (scratch / "model.safetensors").write_bytes(data)
        else:
            torch.save({"state_dict": state}, scratch / "weights.ckpt")
        settings = _hf_settings(config) if layout == "hf" else _lightning_settings(config)
        atomic.write_text(scratch / "config.json", json.dumps(settings, indent=2) + "\n")
        card = _CARD.format(
            n_layer=config.n_layer,
            d_model=config.d_model,
            usable=config.l_max - 2,
            layout=layout,
            n_parameters=sum(parameter.numel() for parameter in model.parameters()),
            shift=config.filter_shift,
            code="training" if config.filter_shift == 0 else "inference",
        )
        atomic.write_text(scratch / "README.md", card)


def official_state(model: HyenaDNA, layout: Layout) -> dict[str, Tensor]:
    """All tensors under their official names, positional buffers and the LM head included."""
    buffers = dict(model.named_buffers(remove_duplicate=False))
    prefix = _PREFIX[layout]
    state = {}
    for name, value in (model.state_dict() | buffers).items():
        official = name if layout == "hf" and name == HEAD else prefix + name
        names = [official]
        if official.endswith(".1.freq"):
            names = [official.replace(".1.freq", f".{sine}.freq") for sine in _SINES[layout]]
        for each in names:
            state[each] = value.detach().cpu().contiguous().clone()
    return state


def _check(config: ModelConfig, layout: Layout) -> None:
    """Raises CheckpointError for what the official code has no setting for."""
    assert layout in get_args(Layout)
    problem = ""
    if config.filter_shift not in _SHIFTS[layout]:
        added = " or ".join(f"{shift:g}" for shift in _SHIFTS[layout])
        problem = (
            f"the official {layout} code adds {added} to every filter's window, and this model was "
            f"trained with {config.filter_shift:g}"
        )
        if layout == "hf" and config.filter_shift == 0:
            problem += ": --layout lightning is for the training code, which adds 0"
    elif layout == "lightning" and config.num_inner_mlps != len(_SINES[layout]) - 1:
        problem = f"{config.num_inner_mlps} inner layers of the filter network; the code has 2"
    if problem:
        raise CheckpointError(f"cannot be exported to the {layout} layout: {problem}")


def _hf_settings(config: ModelConfig) -> dict[str, Any]:
    return {
        "activation_freq": config.activation_freq,
        "architectures": ["HyenaDNAForCausalLM"],
        "d_inner": config.d_inner,
        "d_model": config.d_model,
        "emb_dim": config.emb_dim,
        "embed_dropout": config.embed_dropout,
        "filter_order": config.filter_order,
        "hyena_dropout": config.resid_dropout,
        "hyena_filter_dropout": 0.0,
        "hyena_order": config.order,
        "initializer_range": 0.02,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "max_seq_len": config.l_max,
        "model_type": "hyenadna",
        "n_layer": config.n_layer,
        "num_inner_mlps": config.num_inner_mlps,
        "pad_token_id": 4,
        "pad_vocab_size_multiple": config.pad_vocab_size_multiple,
        "short_filter_order": config.short_filter_order,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "train_freq": True,
        "use_bias": True,
        "vocab_size": config.vocab_size,
    }


def _lightning_settings(config: ModelConfig) -> dict[str, Any]:
    return {
        "d_model": config.d_model,
        "n_layer": config.n_layer,
        "d_inner": config.d_inner,
        "vocab_size": config.vocab_size,
        "resid_dropout": config.resid_dropout,
        "embed_dropout": config.embed_dropout,
        "fused_mlp": False,
        "fused_dropout_add_ln": True,
        "residual_in_fp32": True,
        "pad_vocab_size_multiple": config.pad_vocab_size_multiple,
        "return_hidden_state": True,
        "layer": {
            "_name_": "hyena",
            "emb_dim": config.emb_dim,
            "filter_order": config.filter_order,
            "short_filter_order": config.short_filter_order,
            "local_order": config.short_filter_order,
            "l_max": config.l_max,
            "modulate": True,
            "w": config.activation_freq,
            "lr": 6e-4,
            "wd": 0.0,
            "lr_pos_emb": 0.0,
        },
    }
