"""`hyenadna models`, from the command line to what is printed and written."""

from __future__ import annotations

import dataclasses
import json

import huggingface_hub
import pytest
import safetensors.torch
import torch
from typer.testing import CliRunner

from hyenadna_cli.commands import models
from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.interpretation.filters import effective_context, layer_filters
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.checkpoints.known_answer import record_known_answer
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.provenance import sha256_of
from hyenadna_cli.errors import CheckpointError, OutputError, UsageError

TINY = ModelConfig(d_model=8, n_layer=2, d_inner=32, l_max=34, filter_order=16)
TOKENS = torch.tensor([[7, 8, 9, 10, 11, 7, 7, 9, 8, 10, 1]])


@pytest.fixture
def run():
    """`run("list", "--json")` gives what was printed; errors are raised as in the program."""
    runner = CliRunner()

    def invoke(*arguments):
        result = runner.invoke(
            models.app, [str(argument) for argument in arguments], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    """No test sees the models that happen to be on this machine, or the network."""
    cache = tmp_path / "hub-cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("HYENADNA_CACHE", raising=False)
    return cache


@pytest.fixture
def model():
    torch.manual_seed(0)
    return HyenaDNA(TINY).eval()


@pytest.fixture
def builtin(model, monkeypatch, tmp_path):
    for block in model.backbone.layers:
        torch.nn.init.zeros_(block.mixer.filter_fn.bias)
    directory = tmp_path / "builtin"
    directory.mkdir()
    checkpoint.save(model, directory)
    record_known_answer(model, directory)
    monkeypatch.setattr(catalogue, "BUILTIN_DIRECTORY", directory)
    return directory


@pytest.fixture
def lightning_file(model, tmp_path):
    """An official-style training checkpoint, without a config.json beside it."""
    state = {**model.state_dict(), **dict(model.named_buffers(remove_duplicate=False))}
    path = tmp_path / "training" / "last.ckpt"
    path.parent.mkdir()
    torch.save({"epoch": 1, "state_dict": {f"model.{k}": v for k, v in state.items()}}, path)
    return path


def rows(text):
    header, *lines = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def in_cache(model, cache):
    """Put the files of a published model where the hub's client keeps them."""
    torch.manual_seed(1)
    repository = cache / ("models--" + model.repo_id.replace("/", "--"))
    snapshot = repository / "snapshots" / model.revision
    snapshot.mkdir(parents=True)
    made = HyenaDNA(model.config)
    safetensors.torch.save_file(
        {f"hyena.{k}": v for k, v in made.state_dict().items() if k != "lm_head.weight"},
        snapshot / "model.safetensors",
    )
    (snapshot / "config.json").write_text(json.dumps({"max_seq_len": model.l_max}))
    return snapshot


def test_list_is_a_plain_table_of_what_there_is(run, builtin):
    listed = rows(run("list"))

    assert [row["name"] for row in listed] == ["builtin", *catalogue.PUBLISHED]
    assert listed[0]["local"] == "yes"
    assert listed[0]["repository"] == "."
    assert listed[4] == {
        "name": "small-32k",
        "local": "no",
        "d_model": "256",
        "n_layer": "4",
        "l_max": "32770",
        "parameters": "3277568",
        "megabytes": "16.3",
        "licence": "BSD-3-Clause",
        "repository": "LongSafari/hyenadna-small-32k-seqlen-hf",
    }


def test_list_tells_what_is_in_the_cache(run, builtin, empty_cache):
    in_cache(catalogue.PUBLISHED["tiny-1k"], empty_cache)

    listed = json.loads(run("list", "--json"))

    assert [row["name"] for row in listed if row["local"] == "yes"] == ["builtin", "tiny-1k"]
    assert listed[1]["parameters"] == 436_096


def test_list_needs_no_built_in_model(run, monkeypatch, tmp_path):
    monkeypatch.setattr(catalogue, "BUILTIN_DIRECTORY", tmp_path / "missing")

    assert len(rows(run("list"))) == len(catalogue.PUBLISHED)


def test_info_tells_what_the_registry_knows_of_a_model_that_is_not_here(run):
    facts = json.loads(run("info", "large-1m", "--json"))

    assert facts["local"] == "no"
    assert facts["l_max"] == 1_000_002
    assert facts["suggested_gpus"].startswith("A100 80 GB")
    assert facts["published_sha256"] == catalogue.PUBLISHED["large-1m"].sha256
    assert json.loads(run("info", "medium-450k", "--json"))["published_sha256"] == "not known"


def test_info_tells_what_the_files_say(run, model, builtin):
    facts = {row["key"]: row["value"] for row in rows(run("info", "builtin"))}

    assert facts["layout"] == "hyenadna"
    assert facts["directory"] == str(builtin)
    assert facts["stored_parameters"] == str(sum(p.numel() for p in model.parameters()))
    assert facts["filter_shift"] == "0.05"
    context = [int(facts[f"filter_context_{share}"]) for share in (50, 95)]
    assert context == effective_context(layer_filters(model))
    assert facts["sha256"] == sha256_of(builtin / "model.safetensors")


def test_info_refuses_cached_files_that_are_not_the_published_ones(run, empty_cache):
    in_cache(catalogue.PUBLISHED["tiny-1k"], empty_cache)

    with pytest.raises(CheckpointError, match="not the published weights of tiny-1k"):
        run("info", "tiny-1k")


def test_download_prints_the_directory_once_the_files_are_checked(run, empty_cache, monkeypatch):
    tiny = catalogue.PUBLISHED["tiny-1k"]
    snapshot = in_cache(tiny, empty_cache)
    sha256 = sha256_of(snapshot / "model.safetensors")

    with pytest.raises(CheckpointError, match="not the published weights"):
        run("download", "tiny-1k")
    monkeypatch.setattr(catalogue, "expected_sha256", lambda name, revision: sha256)

    assert run("download", "tiny-1k") == f"{snapshot}\n"


def test_download_without_a_network_says_so(run):
    with pytest.raises(CheckpointError, match="network is off"):
        run("download", "small-32k")


def test_convert_writes_a_model_that_gives_the_same_numbers(run, model, lightning_file, tmp_path):
    output = tmp_path / "converted"

    run("convert", lightning_file, "-o", output)

    converted, source = checkpoint.load(output)
    assert source.layout == "hyenadna"
    assert sorted(path.name for path in output.iterdir()) == [
        "config.json",
        "known_answer.json",
        "model.safetensors",
    ]
    with torch.inference_mode():
        torch.testing.assert_close(converted(TOKENS), model(TOKENS), rtol=0, atol=0)
    assert {row["result"] for row in rows(run("verify", output))} == {"ok"}


def test_convert_can_store_matrices_in_half_the_space(run, builtin, tmp_path):
    output = tmp_path / "out"

    run("convert", builtin, "-o", output, "--store", "bf16")

    exact, _ = checkpoint.load(builtin)
    rounded, _ = checkpoint.load(output)
    for (name, before), after in zip(
        exact.state_dict().items(), rounded.state_dict().values(), strict=True
    ):
        assert after.dtype == torch.float32
        is_matrix = before.ndim == 2 and 1 not in before.shape
        expected = before.bfloat16().float() if is_matrix else before
        torch.testing.assert_close(after, expected, rtol=0, atol=0, msg=name)
    size_before, size_after = (
        (directory / "model.safetensors").stat().st_size for directory in (builtin, output)
    )
    assert size_after < 0.75 * size_before
    assert {row["result"] for row in rows(run("verify", output))} == {"ok"}


def test_convert_can_set_the_filter_shift(run, builtin, tmp_path):
    run("convert", "builtin", "-o", tmp_path / "out", "--filter-shift", "0")

    assert checkpoint.inspect(tmp_path / "out")[0].filter_shift == 0.0


def test_convert_keeps_an_existing_output_unless_told(run, builtin, tmp_path):
    output = tmp_path / "out"
    run("convert", builtin, "-o", output)

    with pytest.raises(OutputError, match="exists already"):
        run("convert", builtin, "-o", output)
    run("convert", builtin, "-o", output, "--force", "--filter-shift", "0")

    assert checkpoint.inspect(output)[0].filter_shift == 0.0


def saved(model, directory):
    directory.mkdir()
    checkpoint.save(model, directory)
    return directory


def test_the_average_is_the_mean_of_every_weight(run, tmp_path):
    made = []
    for seed in (1, 2, 3):
        torch.manual_seed(seed)
        made.append(HyenaDNA(TINY).eval())
    directories = [saved(model, tmp_path / f"seed-{i}") for i, model in enumerate(made)]

    run("average", *directories, "-o", tmp_path / "mean")

    mean, _ = checkpoint.load(tmp_path / "mean")
    assert mean.is_tied
    each = [dict(model.named_parameters()) for model in made]
    for name, parameter in mean.named_parameters():
        expected = sum(parameters[name].double() for parameters in each) / 3
        torch.testing.assert_close(parameter, expected.float(), rtol=0, atol=0, msg=name)
    assert {row["result"] for row in rows(run("verify", tmp_path / "mean"))} == {"ok"}


def test_the_average_of_equal_models_is_that_model(run, model, builtin, tmp_path):
    run("average", builtin, builtin, "-o", tmp_path / "mean", "--store", "bf16")
    run("convert", builtin, "-o", tmp_path / "stored", "--store", "bf16")

    assert sha256_of(tmp_path / "mean" / "model.safetensors") == sha256_of(
        tmp_path / "stored" / "model.safetensors"
    )


def test_only_models_of_one_shape_have_an_average(run, builtin, tmp_path):
    other = HyenaDNA(dataclasses.replace(TINY, filter_shift=0.0))
    untied = HyenaDNA(TINY)
    untied.untie_lm_head()
    with torch.no_grad():
        untied.lm_head.weight.add_(1)

    with pytest.raises(CheckpointError, match=r'other: .*"filter_shift": 0.0, not .*0.05'):
        run("average", builtin, saved(other, tmp_path / "other"), "-o", tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"untied: .*one has an LM head of its own"):
        run("average", builtin, saved(untied, tmp_path / "untied"), "-o", tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_a_model_with_a_head_is_not_averaged(run, model, builtin, tmp_path):
    (tmp_path / "tuned").mkdir()
    head = checkpoint.StoredHead({"kind": "labels"}, {"head.weight": torch.ones(2, 8)})
    checkpoint.save(model, tmp_path / "tuned", head=head)

    with pytest.raises(CheckpointError, match="has a head"):
        run("average", builtin, tmp_path / "tuned", "-o", tmp_path / "out")


def test_one_model_is_no_average(run, builtin, tmp_path):
    with pytest.raises(UsageError, match="two models or more"):
        run("average", builtin, "-o", tmp_path / "out")


def test_a_refused_pickle_leaves_no_output(run, tmp_path):
    class Attack:
        def __reduce__(self):
            return (print, ("never",))

    torch.save({"state_dict": {"a": torch.ones(1)}, "x": Attack()}, tmp_path / "bad.ckpt")

    with pytest.raises(CheckpointError, match=r"asks for .*print"):
        run("convert", tmp_path / "bad.ckpt", "-o", tmp_path / "out")

    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("out.tmp*"))


def test_verify_states_every_check(run, builtin):
    checks = json.loads(run("verify", "builtin", "--json"))

    assert [check["check"] for check in checks] == [
        "sha256",
        "tensors",
        "finite",
        "causality",
        "known-answer-float64",
        "known-answer-float32",
    ]
    assert {check["result"] for check in checks} == {"ok"}


def test_verify_says_what_it_could_not_check(run, builtin):
    (builtin / "known_answer.json").unlink()

    found = {row["check"]: row["result"] for row in rows(run("verify", builtin))}

    assert found["known-answer"] == found["sha256"] == "not-checked"
    assert found["finite"] == "ok"


def test_verify_fails_on_altered_weights_after_printing_the_table(run, builtin, capfd):
    path = builtin / "model.safetensors"
    state = safetensors.torch.load_file(path)
    state["backbone.ln_f.bias"] += 1.0
    safetensors.torch.save_file(state, path)

    result = CliRunner().invoke(models.app, ["verify", str(builtin)])

    assert isinstance(result.exception, CheckpointError)
    assert "failed: sha256, known-answer-float64, known-answer-float32" in str(result.exception)
    assert len(rows(result.stdout)) == 6
