"""Models on disk, in three layouts, and back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import CheckpointError, OutputError

SHARED = Path(__file__).parents[4].parent / "shared" / "golden"
GOLDEN = ("hf-2x128-l1026", "lightning-2x128-l1026", "lightning-gradckpt-4x64-l4098")

TINY = ModelConfig(d_model=8, n_layer=2, d_inner=32, l_max=34, filter_order=16)
TOKENS = torch.tensor([[7, 8, 9, 10, 11, 7, 7, 9, 8, 10, 1]])

LIGHTNING_CONFIG = {
    "d_model": 8,
    "n_layer": 2,
    "d_inner": 32,
    "vocab_size": 12,
    "resid_dropout": 0.0,
    "embed_dropout": 0.1,
    "fused_mlp": False,
    "fused_dropout_add_ln": True,
    "checkpoint_mixer": True,
    "checkpoint_mlp": True,
    "residual_in_fp32": True,
    "pad_vocab_size_multiple": 8,
    "return_hidden_state": True,
    "layer": {
        "_name_": "hyena",
        "emb_dim": 5,
        "filter_order": 16,
        "local_order": 3,
        "l_max": 34,
        "modulate": True,
        "w": 10,
        "lr": 6e-4,
        "wd": 0.0,
        "lr_pos_emb": 0.0,
    },
}
HF_CONFIG = {
    "activation_freq": 10,
    "architectures": ["HyenaDNAForCausalLM"],
    "auto_map": {"AutoConfig": "configuration_hyena.HyenaConfig"},
    "d_inner": 32,
    "d_model": 8,
    "emb_dim": 5,
    "embed_dropout": 0.1,
    "filter_order": 16,
    "hyena_dropout": 0.0,
    "hyena_order": 2,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-5,
    "max_seq_len": 34,
    "model_type": "hyenadna",
    "n_layer": 2,
    "num_inner_mlps": 2,
    "pad_token_id": 4,
    "pad_vocab_size_multiple": 8,
    "short_filter_order": 3,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "use_bias": True,
    "vocab_size": 12,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = HyenaDNA(TINY).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def official_state(model, *, prefix, is_wrapped=False, sines=(1, 3, 5), has_head=True):
    """The state dict as the official code has it, buffers included."""
    state = {
        k: v.clone()
        for k, v in {
            **model.state_dict(),
            **dict(model.named_buffers(remove_duplicate=False)),
        }.items()
    }
    if not has_head:
        del state["lm_head.weight"]
    for name in [n for n in state if n.endswith("1.freq")]:
        freq = state.pop(name)
        state |= {name.replace("1.freq", f"{sine}.freq"): freq.clone() for sine in sines}
    if is_wrapped:
        state = {
            k.replace(".mixer.", ".mixer.layer.").replace(".mlp.", ".mlp.layer."): v
            for k, v in state.items()
        }
    return {
        (prefix if k.startswith("backbone") or prefix == "model." else "") + k: v
        for k, v in state.items()
    }


def write_lightning(directory, state, config=LIGHTNING_CONFIG):
    directory.mkdir(exist_ok=True)
    torch.save({"epoch": 1, "state_dict": state}, directory / "weights.ckpt")
    return write_config(directory, config)


def write_hf(directory, state, config=HF_CONFIG):
    directory.mkdir(exist_ok=True)
    safetensors.torch.save_file(state, directory / "model.safetensors", metadata={"format": "pt"})
    return write_config(directory, config)


def write_config(directory, config):
    if config is not None:
        (directory / "config.json").write_text(json.dumps(config))
    return directory


def assert_same_model(loaded, model):
    assert loaded.config == model.config
    with torch.inference_mode():
        torch.testing.assert_close(loaded(TOKENS), model(TOKENS), rtol=0, atol=0)


def first_line(error):
    return str(error.value).splitlines()[0]


def test_our_layout_gives_back_the_same_model(model, tmp_path):
    checkpoint.save(model, tmp_path)

    loaded, source = checkpoint.load(tmp_path)

    assert_same_model(loaded, model)
    assert not loaded.training
    assert source.layout == "hyenadna"
    assert source.name == tmp_path.name
    digest = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert source.sha256 == digest


def test_saving_stores_neither_positions_nor_a_tied_head(model, tmp_path):
    checkpoint.save(model, tmp_path)

    stored = safetensors.torch.load_file(tmp_path / "model.safetensors")

    assert stored.keys() == {name for name, _ in model.named_parameters()}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_saving_twice_gives_the_same_bytes(model, tmp_path):
    checkpoint.save(model, tmp_path)
    first = (tmp_path / "model.safetensors").read_bytes()

    checkpoint.save(model, tmp_path)

    assert (tmp_path / "model.safetensors").read_bytes() == first


def test_a_head_of_its_own_survives_saving(model, tmp_path):
    model.untie_lm_head()
    with torch.no_grad():
        model.lm_head.weight.add_(1.0)
    checkpoint.save(model, tmp_path)

    loaded, _ = checkpoint.load(tmp_path)

    assert not loaded.is_tied
    assert_same_model(loaded, model)


def test_learned_positions_survive_saving(model, tmp_path, caplog):
    model.backbone.layers[1].mixer.filter_fn.pos_emb.z += 0.01
    checkpoint.save(model, tmp_path)

    loaded, _ = checkpoint.load(tmp_path)

    assert_same_model(loaded, model)
    assert "positional features differ from the published formula by up to 0.01" in caplog.text


def test_saving_to_a_full_disk_is_an_output_error(model, tmp_path):
    with pytest.raises(OutputError):
        checkpoint.save(model, tmp_path / "missing")


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["plain", "gradient-checkpointing"])
@pytest.mark.parametrize("has_head", [True, False], ids=["head", "no-head"])
@pytest.mark.parametrize("sines", [(1, 3, 5), (1,), (3, 5)], ids=["freq135", "freq1", "freq35"])
def test_a_lightning_checkpoint_loads_whatever_its_flags_were(
    model, tmp_path, is_wrapped, has_head, sines
):
    state = official_state(
        model, prefix="model.", is_wrapped=is_wrapped, has_head=has_head, sines=sines
    )
    state["train_torchmetrics.num_tokens.count"] = torch.tensor(5)
    write_lightning(tmp_path, state)

    loaded, source = checkpoint.load(tmp_path)

    assert_same_model(loaded, model)
    assert source.layout == "lightning"
    assert loaded.is_tied


def test_an_hf_checkpoint_loads(model, tmp_path):
    write_hf(tmp_path, official_state(model, prefix="hyena.", sines=(1,)))

    loaded, source = checkpoint.load(tmp_path)

    assert_same_model(loaded, model)
    assert source.layout == "hf"
    assert loaded.is_tied


@pytest.mark.parametrize("prefix", ["", "model.", "hyena.", "module.", "module.model."])
def test_known_prefixes_are_stripped(model, tmp_path, prefix):
    state = {prefix + k: v for k, v in official_state(model, prefix="").items()}
    write_hf(tmp_path, state)

    assert_same_model(checkpoint.load(tmp_path)[0], model)


def test_an_unequal_head_is_kept_apart(model, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    state = official_state(model, prefix="hyena.", sines=(1,))
    state["lm_head.weight"] += 1.0
    write_hf(tmp_path, state)

    loaded, _ = checkpoint.load(tmp_path)

    assert not loaded.is_tied
    assert torch.equal(loaded.lm_head.weight, state["lm_head.weight"])
    assert "its LM head is not the embedding table" in caplog.text


def test_classification_heads_are_left_out_and_said(model, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    state = official_state(model, prefix="hyena.", sines=(1,), has_head=False)
    state["score.weight"] = torch.zeros(3, 8)
    state["decoder.0.output_transform.weight"] = torch.zeros(3, 8)
    write_hf(tmp_path, state)

    assert_same_model(checkpoint.load(tmp_path)[0], model)

    assert "left out 2 tensors that are not the model's" in caplog.text
    assert "score.weight" in caplog.text


def test_frequencies_that_differ_are_refused(model, tmp_path):
    state = official_state(model, prefix="model.")
    state["model.backbone.layers.1.mixer.filter_fn.implicit_filter.5.freq"] += 1.0
    write_lightning(tmp_path, state)

    with pytest.raises(CheckpointError, match=r"1\.freq and .*5\.freq differ"):
        checkpoint.load(tmp_path)


def test_missing_positions_are_computed(model, tmp_path):
    state = official_state(model, prefix="hyena.", sines=(1,))
    state = {k: v for k, v in state.items() if "pos_emb" not in k and "deltas" not in k}
    write_hf(tmp_path, state)

    assert_same_model(checkpoint.load(tmp_path)[0], model)


def test_stored_positions_are_used_to_the_last_bit(model, tmp_path, caplog):
    """Differences of rounding are used without a word: they are other machines' sines."""
    state = official_state(model, prefix="hyena.", sines=(1,))
    key = "hyena.backbone.layers.0.mixer.filter_fn.pos_emb.z"
    state[key] = state[key] + 6e-8
    write_hf(tmp_path, state)

    loaded, _ = checkpoint.load(tmp_path)

    assert torch.equal(loaded.backbone.layers[0].mixer.filter_fn.pos_emb.z, state[key])
    assert "positional" not in caplog.text


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_model_has_the_dtype_asked_for(model, tmp_path, dtype):
    checkpoint.save(model, tmp_path)

    loaded, _ = checkpoint.load(tmp_path, dtype=dtype)

    assert {t.dtype for t in [*loaded.parameters(), *loaded.buffers()]} == {dtype}


def test_half_precision_weights_are_read_as_float32(model, tmp_path):
    state = {k: v.bfloat16() for k, v in official_state(model, prefix="hyena.").items()}
    write_hf(tmp_path, state)

    loaded, _ = checkpoint.load(tmp_path)

    assert loaded.lm_head.weight.dtype == torch.float32


def test_integers_are_not_weights(model, tmp_path):
    state = official_state(model, prefix="hyena.", sines=(1,))
    state["hyena.backbone.ln_f.bias"] = torch.zeros(8, dtype=torch.int8)
    write_hf(tmp_path, state)

    with pytest.raises(CheckpointError, match=r"ln_f\.bias holds torch\.int8"):
        checkpoint.load(tmp_path)


def test_the_filter_shift_is_the_official_inference_code_s_unless_said_otherwise(model, tmp_path):
    state = official_state(model, prefix="hyena.", sines=(1,))
    plain = write_hf(tmp_path / "plain", state)
    hf = write_hf(tmp_path / "hf", state, HF_CONFIG | {"filter_shift": 0.0})
    layer = LIGHTNING_CONFIG["layer"] | {"shift": 0.0}
    lightning = write_lightning(tmp_path / "pl", state, LIGHTNING_CONFIG | {"layer": layer})

    assert checkpoint.load(plain)[0].config.filter_shift == 0.05
    assert checkpoint.load(plain, filter_shift=0.0)[0].config.filter_shift == 0.0
    assert checkpoint.load(hf)[0].config.filter_shift == 0.0
    assert checkpoint.load(lightning)[0].config.filter_shift == 0.0
    assert checkpoint.load(lightning, filter_shift=0.05)[0].config.filter_shift == 0.05


def test_loading_draws_no_random_numbers(model, tmp_path):
    checkpoint.save(model, tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(3)

    torch.manual_seed(7)
    checkpoint.load(tmp_path)

    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "shape",
    [
        ModelConfig(d_model=6, n_layer=1, d_inner=10, l_max=7, order=3, emb_dim=3, filter_order=4),
        ModelConfig(
            d_model=4,
            n_layer=3,
            d_inner=8,
            l_max=9,
            short_filter_order=5,
            num_inner_mlps=1,
            filter_order=2,
        ),
        ModelConfig(d_model=4, n_layer=1, d_inner=8, l_max=9, vocab_size=36, filter_order=2),
    ],
    ids=["order3", "short5-mlps1", "vocab36"],
)
def test_shapes_come_from_the_tensors_without_a_config(shape, tmp_path):
    state = official_state(HyenaDNA(shape), prefix="hyena.", sines=(1,))
    write_hf(tmp_path, state, None)

    found = checkpoint.inspect(tmp_path)[0]

    # Of a padded vocabulary, only the rows can be seen.
    assert found.padded_vocab_size == shape.padded_vocab_size
    expected = shape.to_json().replace('"vocab_size": 36', f'"vocab_size": {found.vocab_size}')
    assert found == ModelConfig.from_mapping(json.loads(expected))


def test_a_config_that_contradicts_the_tensors_loses_with_a_warning(model, tmp_path, caplog):
    wrong = HF_CONFIG | {"d_model": 16, "n_layer": 5, "vocab_size": 99}
    write_hf(tmp_path, official_state(model, prefix="hyena.", sines=(1,)), wrong)

    loaded, _ = checkpoint.load(tmp_path)

    assert loaded.config.d_model == 8
    assert loaded.config.n_layer == 2
    assert loaded.config.padded_vocab_size == 16
    assert "says d_model 16, but the tensors have 8" in caplog.text
    assert "says n_layer 5, but the tensors have 2" in caplog.text
    assert "vocab_size 99, but the embedding has 16 rows" in caplog.text


def test_a_config_that_contradicts_the_tensors_is_said_once(model, tmp_path, caplog):
    wrong = HF_CONFIG | {"d_model": 16, "vocab_size": 99}
    write_hf(tmp_path, official_state(model, prefix="hyena.", sines=(1,)), wrong)

    _, source, _ = checkpoint.inspect(tmp_path)
    checkpoint.load(source)

    assert caplog.text.count("says d_model 16") == caplog.text.count("says vocab_size 99") == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("NaN", "l_max must be an integer, got nan"),
        ("1e400", "l_max must be an integer, got inf"),
        ("8.5", "l_max must be an integer, got 8.5"),
        ("[34]", r"l_max must be an integer, got \[34\]"),
        ('{"a": {"b": 1}}', "l_max must be an integer, got {'a': {'b': 1}}"),
        ("2147483648", "not a possible model: l_max must be from 1 to 16,777,216"),
        ("1" + "0" * 400, "l_max must be an integer, got 1000"),
        ("9" * 5_000, "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
    ids=["nan", "inf", "half", "list", "nested", "long", "400-digits", "5000-digits", "deep"],
)
def test_a_config_with_no_possible_number_is_refused(model, tmp_path, text, problem):
    checkpoint.save(model, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"l_max": 34', f'"l_max": {text}'))

    for read in (checkpoint.inspect, checkpoint.load):
        with pytest.raises(CheckpointError, match=problem):
            read(tmp_path)


def test_what_no_tensor_holds_is_not_made(tmp_path):
    """The model of this config takes 400 GB."""
    told = HF_CONFIG | {"d_model": 1 << 16, "d_inner": 1 << 20, "n_layer": 1}
    rows = torch.zeros(16, 1 << 16, dtype=torch.float16)
    write_hf(tmp_path, {"hyena.backbone.embeddings.word_embeddings.weight": rows}, told)

    with pytest.raises(CheckpointError, match="the file holds only a part of the model"):
        checkpoint.load(tmp_path)


@pytest.mark.slow
@pytest.mark.slow
def test_loading_does_without_torch_s_compiler(model, tmp_path):
    """Which torch imports for any arithmetic on tensors without storage: a third of a start."""
    checkpoint.save(model, tmp_path)
    script = (
        "import sys, pathlib\n"
        "from hyenadna_cli.core.model.checkpoints import checkpoint\n"
        f"checkpoint.load(pathlib.Path({str(tmp_path)!r}))\n"
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("backbone.layers.500.norm1.weight", "likely cause: the file holds only a part"),
        ("backbone.layers.999999999.norm1.weight", "n_layer must be from 1 to 1,024, got 1,000,0"),
        (f"backbone.layers.{'9' * 5_000}.norm1.weight", "1 unexpected"),
        ("backbone.layers.0.mixer.filter_fn.implicit_filter.900000000.weight", "num_inner_mlps mu"),
    ],
    ids=["500", "999999999", "5000-digits", "filter"],
)
def test_a_name_cannot_claim_blocks_or_layers(model, tmp_path, name, problem):
    state = {k: v.clone() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    write_hf(tmp_path, state | {name: torch.zeros(8)})

    with pytest.raises(CheckpointError, match=problem):
        checkpoint.load(tmp_path)


def test_what_tensors_cannot_tell_comes_from_the_config(model, tmp_path):
    told = {"embed_dropout": 0.2, "layer_norm_epsilon": 1e-3, "activation_freq": 3}
    write_hf(tmp_path, official_state(model, prefix="hyena.", sines=(1,)), HF_CONFIG | told)

    config = checkpoint.inspect(tmp_path)[0]

    assert (config.embed_dropout, config.layer_norm_epsilon) == (0.2, 1e-3)
    assert config.activation_freq == 3.0


def test_settings_that_mean_nothing_here_are_read_past(model, tmp_path, caplog):
    caplog.set_level(logging.DEBUG, logger="hyenadna_cli")
    write_lightning(tmp_path, official_state(model, prefix="model."))

    checkpoint.load(tmp_path)

    assert "read past _name_, local_order, lr, lr_pos_emb, wd" in caplog.text
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("key", "value"), [("modulate", False), ("bidirectional", True), ("num_heads", 4)]
)
def test_variants_that_would_compute_something_else_are_refused(model, tmp_path, key, value):
    config = LIGHTNING_CONFIG | {"layer": LIGHTNING_CONFIG["layer"] | {key: value}}
    write_lightning(tmp_path, official_state(model, prefix="model."), config)

    with pytest.raises(CheckpointError, match=f"{key} {value} is a variant .* not supported"):
        checkpoint.load(tmp_path)


def test_an_unknown_setting_of_our_own_layout_is_an_error(model, tmp_path):
    checkpoint.save(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    write_config(tmp_path, config | {"n_layers": 2})

    with pytest.raises(CheckpointError, match="unknown model settings: n_layers"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "not a JSON object"),
        ('{"d_model": "128"}', "d_model must be an integer, got '128'"),
        ('{"embed_dropout": true}', "embed_dropout must be a number"),
        ('{"embed_dropout": 7}', "not a possible model: embed_dropout"),
    ],
)
def test_a_broken_config_is_named(model, tmp_path, text, words):
    write_hf(tmp_path, official_state(model, prefix="hyena.", sines=(1,)))
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(CheckpointError, match=words):
        checkpoint.load(tmp_path)


def test_a_config_that_is_a_pipe_or_a_device_is_refused_at_once(model, tmp_path):
    checkpoint.save(model, tmp_path)
    config = tmp_path / "config.json"
    for put in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        config.unlink()
        put(config)
        with pytest.raises(CheckpointError, match=r"config\.json: is not a file"):
            checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        ("adapter_config.json", "is an adapter"),
        ("snapshots/a1b2/config.json", "use .*snapshots/a1b2$"),
        ("pytorch_model.bin", "convert it"),
    ],
)
def test_a_directory_that_holds_no_model_gets_a_hint(tmp_path, file, hint):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("{}")

    with pytest.raises(CheckpointError, match=f"holds neither .*{hint}"):
        checkpoint.load(tmp_path)


def test_without_positions_and_config_the_length_is_unknown(model, tmp_path):
    checkpoint.save(model, tmp_path)
    (tmp_path / "config.json").unlink()

    with pytest.raises(CheckpointError, match="neither it nor the tensors tell l_max"):
        checkpoint.load(tmp_path)


def test_missing_tensors_are_a_table_under_one_clear_line(model, tmp_path):
    state = official_state(model, prefix="hyena.", sines=(1,))
    del state["hyena.backbone.layers.1.norm1.bias"], state["hyena.backbone.ln_f.weight"]
    write_hf(tmp_path, state)

    with pytest.raises(CheckpointError) as error:
        checkpoint.load(tmp_path)

    assert "(2 missing); likely cause: the file holds only a part" in first_line(error)
    assert str(error.value).splitlines()[1:] == [
        "  missing      backbone.layers.1.norm1.bias",
        "  missing      backbone.ln_f.weight",
    ]


def test_a_tensor_of_the_wrong_shape_is_shown_with_both_shapes(model, tmp_path):
    state = official_state(model, prefix="hyena.", sines=(1,))
    state["hyena.backbone.layers.1.mlp.fc1.bias"] = torch.zeros(31)
    write_hf(tmp_path, state)

    with pytest.raises(CheckpointError, match=r"fc1\.bias  \[31\], should be \[32\]"):
        checkpoint.load(tmp_path)


def test_positions_for_another_length_are_a_likely_cause(model, tmp_path):
    state = official_state(model, prefix="hyena.", sines=(1,))
    key = "hyena.backbone.layers.1.mixer.filter_fn.pos_emb.z"
    state[key] = torch.zeros(1, 35, 5)
    write_hf(tmp_path, state)

    with pytest.raises(CheckpointError, match="layers made for different l_max"):
        checkpoint.load(tmp_path)


def test_an_attention_model_is_recognised(model, tmp_path):
    state = official_state(model, prefix="model.")
    for layer in range(2):
        state[f"model.backbone.layers.{layer}.mixer.Wqkv.weight"] = torch.zeros(24, 8)
    write_lightning(tmp_path, state)

    with pytest.raises(CheckpointError, match="an attention baseline"):
        checkpoint.load(tmp_path)


def test_a_long_table_is_cut(model, tmp_path):
    state = official_state(model, prefix="hyena.", sines=(1,))
    write_hf(tmp_path, {k: v for k, v in state.items() if "layers.1" not in k or "norm2" in k})

    with pytest.raises(CheckpointError) as error:
        checkpoint.load(tmp_path)

    lines = str(error.value).splitlines()
    assert len(lines) == 14
    assert lines[-1].startswith("  ... and ")


def test_another_model_s_weights_are_not_taken_for_hyenadna(tmp_path):
    write_hf(tmp_path, {"bert.encoder.weight": torch.zeros(2, 2)}, None)

    with pytest.raises(CheckpointError, match=r"not a HyenaDNA model.*bert\.encoder\.weight"):
        checkpoint.load(tmp_path)


def test_two_names_for_one_tensor_are_refused(model, tmp_path):
    state = official_state(model, prefix="hyena.", sines=(1,))
    write_hf(tmp_path, state | {"model.backbone.ln_f.bias": torch.zeros(8)})

    with pytest.raises(CheckpointError, match="are the same tensor"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
        (b"\x10\0\0\0\0\0\0\0{damaged", "damaged"),
    ],
)
def test_a_broken_safetensors_file_is_called_by_its_name(tmp_path, content, words):
    (tmp_path / "model.safetensors").write_bytes(content)

    with pytest.raises(CheckpointError, match=words):
        checkpoint.load(tmp_path)


def test_truncated_safetensors_are_refused(model, tmp_path):
    checkpoint.save(model, tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(tmp_path)


def test_a_missing_directory_and_one_without_weights_are_told_apart(tmp_path):
    with pytest.raises(CheckpointError, match="no such model directory"):
        checkpoint.load(tmp_path / "missing")
    with pytest.raises(CheckpointError, match=r"neither model\.safetensors nor weights\.ckpt"):
        checkpoint.load(tmp_path)
    (tmp_path / "last.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"to use last\.ckpt, convert it"):
        checkpoint.load(tmp_path)
    (tmp_path / "last").write_text("")
    with pytest.raises(CheckpointError, match=r"not finished: the same command with --resume"):
        checkpoint.load(tmp_path)
    (tmp_path / "training.json").write_text("{}")  # of a baseline that is no HyenaDNA
    with pytest.raises(CheckpointError, match=r"to use last\.ckpt, convert it"):
        checkpoint.load(tmp_path)
    (tmp_path / "prompt.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"its prompt is for `hyenadna predict`"):
        checkpoint.load(tmp_path)


def test_a_weights_file_can_be_loaded_on_its_own(model, tmp_path):
    torch.save(official_state(model, prefix="model."), tmp_path / "last.ckpt")

    loaded, source = checkpoint.load(tmp_path / "last.ckpt")

    assert_same_model(loaded, model)
    assert source.directory == tmp_path


def test_published_weights_must_have_the_published_hash(model, tmp_path):
    write_hf(tmp_path, official_state(model, prefix="hyena.", sines=(1,)))
    tiny = catalogue.PUBLISHED["tiny-1k"]

    with pytest.raises(CheckpointError, match="not the published weights of tiny-1k"):
        checkpoint.load(tmp_path, name="tiny-1k", revision=tiny.revision)

    _, source = checkpoint.load(tmp_path, name="tiny-1k", revision="main")
    assert (source.name, source.revision) == ("tiny-1k", "main")


def test_inspecting_counts_what_is_stored_without_positions(model, tmp_path):
    checkpoint.save(model, tmp_path / ".")
    hf = write_hf(tmp_path / "hf", official_state(model, prefix="hyena.", sines=(1,)))
    n_parameters = sum(p.numel() for p in model.parameters())

    config, source, n_ours = checkpoint.inspect(tmp_path, name="mine", revision="r1")
    _, _, n_hf = checkpoint.inspect(hf)

    assert config == TINY
    assert (source.name, source.revision, source.layout) == ("mine", "r1", "hyenadna")
    assert n_ours == n_parameters
    assert n_hf == n_parameters + 16 * 8


def golden(name):
    directory = SHARED / name
    if not directory.is_dir():
        pytest.skip(f"{directory} is not there")
    return directory, np.load(directory / "expected.npz")


@pytest.mark.shared
@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("shift", [None, 0.0], ids=["default-shift", "shift0"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_official_implementation_s_numbers_are_reproduced(name, shift, dtype):
    directory, expected = golden(name)
    tag = "shift005" if shift is None else "shift000"
    # The official code in float32 is itself within these of its own float64 results.
    rms_limit, max_limit, logit_limit = (
        (3e-5, 5e-4, 5e-3) if dtype == torch.float32 else (1e-6, 1e-6, 1e-5)
    )

    model, _ = checkpoint.load(directory, filter_shift=shift, dtype=dtype)

    for length in (int(key[4:]) for key in expected.files if key.startswith("ids_")):
        token_ids = torch.from_numpy(expected[f"ids_{length}"].astype(np.int64))
        with torch.inference_mode():
            hidden = model.hidden_states(token_ids[None])[0][0]
            logits = model.logits(hidden).double()
        rows = expected[f"positions_{length}"]
        difference = hidden[rows].double().numpy() - expected[f"hidden_{length}_{tag}"]
        assert np.sqrt(np.mean(difference**2)) < rms_limit
        assert np.abs(difference).max() < max_limit
        logits_expected = expected[f"logits_{length}_{tag}"]
        np.testing.assert_allclose(logits[rows], logits_expected, rtol=0, atol=logit_limit)
        log_probs = torch.log_softmax(logits[:-1], -1).gather(-1, token_ids[1:, None])
        # One rounding error a base, of a size that grows with the logits.
        limit = length * (1e-4 if dtype == torch.float32 else 1e-9)
        assert float(log_probs.sum()) == pytest.approx(
            float(expected[f"loglik16_{length}_{tag}"]), abs=limit
        )
        mean = hidden.double().mean(0).numpy()
        np.testing.assert_allclose(mean, expected[f"mean_{length}_{tag}"], rtol=0, atol=max_limit)


@pytest.mark.shared
@pytest.mark.parametrize("name", GOLDEN)
def test_converting_an_official_checkpoint_keeps_its_numbers(name, tmp_path):
    """Positions are recomputed; where their last bit differs, so do results in float32's noise."""
    directory, expected = golden(name)
    checkpoint.save(checkpoint.load(directory)[0], tmp_path)
    length = max(int(key[4:]) for key in expected.files if key.startswith("ids_"))
    token_ids = torch.from_numpy(expected[f"ids_{length}"].astype(np.int64))[None]

    converted, source = checkpoint.load(tmp_path, dtype=torch.float64)
    with torch.inference_mode():
        hidden = converted.hidden_states(token_ids)[0][0][expected[f"positions_{length}"]]

    assert source.layout == "hyenadna"
    assert (tmp_path / "model.safetensors").stat().st_size < 1_800_000
    difference = hidden.numpy() - expected[f"hidden_{length}_shift005"]
    assert np.abs(difference).max() < 1e-6


def test_weights_are_as_readable_as_any_other_file(tmp_path):
    checkpoint.save(HyenaDNA(ModelConfig(d_model=8, n_layer=1, d_inner=8, l_max=18)), tmp_path)
    (tmp_path / "other").write_text("")

    modes = {path.stat().st_mode for path in tmp_path.iterdir()}

    assert len(modes) == 1


def test_weights_that_were_inspected_are_not_hashed_again(model, tmp_path):
    checkpoint.save(model, tmp_path)
    _, source, _ = checkpoint.inspect(tmp_path)
    inspected = dataclasses.replace(source, sha256="as inspected")

    loaded, found = checkpoint.load(inspected)

    assert found == inspected
    assert_same_model(loaded, model)
