"""`hyenadna generate` end to end."""

from __future__ import annotations

import io
import json

import pytest

from hyenadna_cli.core.inference import generation


@pytest.fixture
def generate(hyenadna, tiny_model):
    def run(*arguments):
        options = ("-m", tiny_model, "--device", "cpu", "--threads", "1")
        return hyenadna("generate", *options, *arguments)

    return run


def records(text):
    found = {}
    for line in text.splitlines():
        if line.startswith(">"):
            found[name := line[1:]] = ""
        else:
            assert 0 < len(line) <= 60
            found[name] += line
    return found


def test_sequences_from_nothing_are_bases_and_nothing_else_is_on_stdout(generate):
    done = generate("--length", "100", "--sequences", "3")

    found = records(done.out)
    assert done.code == 0, done.err
    assert list(found) == ["generated_1", "generated_2", "generated_3"]
    assert all(len(s) == 100 and set(s) <= set("ACGT") for s in found.values())


def test_prompts_are_continued_in_order_and_written_when_asked_for(generate, fasta_file):
    prompts = fasta_file({"b": "ACGTACGT", "a": "ggNNrr", "empty": ""}, is_indexed=False)
    options = ("--length", "20", "--sequences", "2", "--fasta", prompts)

    bare = records(generate(*options).out)
    whole = records(generate(*options, "--include-prompt").out)

    assert list(bare) == ["b_1", "b_2", "a_1", "a_2", "empty_1", "empty_2"]
    assert whole["b_1"] == "ACGTACGT" + bare["b_1"]
    assert whole["a_2"] == "ggNNnn" + bare["a_2"]
    assert whole["empty_1"] == bare["empty_1"]


def test_a_name_that_repeats_gets_a_number(generate, tmp_path, text_file):
    prompts = text_file(">p\nACGT\n>q\nGG\n>p\nTTTT\n", name="prompts.fa")

    done = generate("--length", "5", "--sequences", "2", "--fasta", prompts)

    names = [line[1:] for line in done.out.splitlines() if line.startswith(">")]
    assert names == ["p_1", "p_2", "q_1", "q_2", "p_1-1", "p_2-1"]


def test_a_prompt_on_the_command_line_is_one_in_a_file(generate, fasta_file, monkeypatch):
    fasta = fasta_file({"generated": "ACGTTA"}, is_indexed=False)
    options = ("--length", "30", "--seed", "3")

    typed = generate(*options, "--prompt", "acgtta").out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(fasta.read_bytes())))

    assert generate(*options, "--fasta", "-").out == typed
    assert generate(*options, "--fasta", fasta, "--batch-size", "1").out == typed


def test_a_file_gets_a_manifest_and_resume_finds_it(generate, tmp_path):
    options = ("--length", "50", "-o", tmp_path / "out.fa", "--no-version", "--resume")

    first, second = generate(*options), generate(*options)

    assert (first.code, second.code) == (0, 0)
    assert "nothing to do" in second.err
    manifest = json.loads((tmp_path / "out.fa.manifest.json").read_text())
    assert manifest["rows"] == {"OK": 1}
    assert manifest["settings"]["temperature"] == 1.0
    assert generate("--length", "50", "-o", tmp_path / "out.fa").code == 6


def test_a_resumed_run_samples_only_what_is_missing(generate, tmp_path, monkeypatch):
    options = ("--length", "20", "--sequences", "6", "--batch-size", "2", "--no-version")
    whole, output = tmp_path / "whole" / "x.fa", tmp_path / "broken" / "x.fa"
    for path in (whole, output):
        path.parent.mkdir()
    assert generate(*options, "-o", whole).code == 0
    sampled, original = [], generation._continue

    def some(*arguments):
        if len(sampled) == 2:
            raise KeyboardInterrupt
        sampled.append(arguments)
        return original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(generation, "_continue", some)
        assert generate(*options, "-o", output, "--resume").code == 130
        assert [path.name for path in output.parent.iterdir()] == ["x.fa.journal"]
        sampled.clear()
        done = generate(*options, "-o", output, "--resume")

    assert done.code == 0, done.err
    assert len(sampled) == 1
    assert output.read_bytes() == whole.read_bytes()
    manifests = [path.with_name(f"{path.name}.manifest.json") for path in (whole, output)]
    assert manifests[0].read_bytes() == manifests[1].read_bytes()
    assert not (output.parent / "x.fa.journal").exists()


def test_a_dry_run_prints_the_plan_and_samples_nothing(generate, tmp_path):
    done = generate("--length", "50", "--sequences", "9", "-o", tmp_path / "x.fa", "--dry-run")

    assert "sequences\t9\nbases\t450\n" in done.out
    assert "estimated_seconds\t" in done.out
    assert not (tmp_path / "x.fa").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--length", "259"), 4, "reads at most 258"),
        (("--length", "250", "--prompt", "ACGTACGTA"), 4, "prompt 'generated'"),
        (("--length", "0"), 2, "at least 1 base"),
        (("--length", "9", "--prompt", "AXC"), 2, "'X'"),
        (("--length", "9", "--prompt", "A", "--fasta", "x.fa"), 2, "exclude"),
        (("--length", "9", "--fasta", "no.fa"), 3, "no.fa"),
        (("--length", "9", "-o", "x.tsv"), 2, "FASTA"),
        (("--length", "9", "--top-p", "0"), 2, "top-p"),
        (("--length", "9", "--temperature", "-1"), 2, "temperature"),
        (("--sequences", "3"), 2, "--length"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_is_refused_before_anything_starts(generate, options, code, words):
    done = generate(*options)

    assert (done.code, done.out) == (code, "")
    assert words in done.err
