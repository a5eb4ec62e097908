"""The command line as a whole: version, help, errors in one line, quiet pipes."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys

import pytest

import hyenadna_cli
from hyenadna_cli.commands.verbs import VERBS


def test_the_version_is_one_line_on_stdout(hyenadna):
    assert hyenadna("--version") == (0, f"hyenadna {hyenadna_cli.__version__}\n", "")


@pytest.mark.parametrize(
    "command", ["embed", "generate", "perplexity", "pretrain", "prompt-tune", "models", "plot"]
)
def test_every_command_has_help_that_names_its_purpose(hyenadna, command):
    code, out, _ = hyenadna(command, "--help")

    assert code == 0
    assert f"Usage: hyenadna {command}" in out


@pytest.mark.parametrize("verb", [(), ("plot",), ("models",), ("classify-species",)])
def test_nothing_asked_for_is_answered_with_help(hyenadna, verb):
    asked_for = hyenadna(*verb, "--help")

    assert asked_for.code == 0
    assert hyenadna(*verb) == asked_for


def test_help_lists_verbs_by_what_they_are_for_in_lines_of_eighty_columns(hyenadna, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")

    lines = hyenadna("--help").out.splitlines()

    listed = lines[lines.index("Embed and score:") :]
    headings = [line for line in listed if line and not line.startswith(" ")]
    assert headings == ["Embed and score:", "Train:", "Measure:", "Models:", "Pipelines:"]
    verbs = [line.split()[0] for line in listed if line.startswith("  ")]
    assert sorted(verbs) == sorted(VERBS)  # a line each
    assert not [line for line in listed if line.endswith("...") or len(line) > 80]


def test_summaries_of_verbs_of_verbs_are_whole(hyenadna, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    _usage, *lines = hyenadna("plot", "--help").out.splitlines()

    assert not [line for line in lines if line.endswith("...")]


@pytest.mark.parametrize(
    "verb",
    [
        ("embed",),
        ("score-variants",),
        ("finetune",),
        ("pretrain",),
        ("benchmark",),
        ("plot", "species"),
        ("models", "average"),
    ],
    ids=" ".join,
)
def test_help_has_no_words_of_the_library_that_prints_it(hyenadna, verb):
    out = hyenadna(*verb, "--help").out

    assert not re.findall(r"<[\w\[\] ]+>|<\S+\|\S+>|\bx *[<>]=?|[<>]=? *x\b|default: \(.*", out)
    assert "--verbose  Say more on stderr.\n" in out or "--verbose" not in out


def test_help_says_the_range_of_a_number_and_its_default(hyenadna, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")

    embed, finetune = (hyenadna(verb, "--help").out for verb in ("embed", "finetune"))

    assert re.search(
        r"--max-n-frac NUMBER +Skip .* \[default: 0.5; 0 to 1\]", " ".join(embed.split())
    )
    assert "--oom-exit-code N " in embed
    assert "[default: 75; 1 to 255]" in embed
    assert "[default: no-rc-aug]" in finetune


def test_help_fills_a_terminal_of_a_hundred_columns_and_no_more(hyenadna, monkeypatch):
    def width(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = hyenadna("embed", "--help").out.splitlines()
        return max(len(line) for line in lines if not line.startswith("    hyenadna "))

    assert 70 < width(80) <= 80 < 90 < width(100) == width(200) <= 100


@pytest.mark.parametrize("columns", range(60, 100, 3))
def test_help_never_cuts_a_word_at_its_hyphen(hyenadna, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))

    out = hyenadna("score-variants", "--help").out + hyenadna("pretrain", "--help").out

    assert not [line for line in out.splitlines() if re.search(r"\w-$", line)]
    assert out.isascii()


VERBS_WITH_EXAMPLES = (("embed",), ("classify-species", "train"))
"""The second one's is two lines of the source."""


def test_examples_are_never_wrapped(hyenadna, monkeypatch):
    """A command that is cut in two cannot be pasted."""
    monkeypatch.setenv("COLUMNS", "50")

    embed, train = (hyenadna(*verb, "--help").out for verb in VERBS_WITH_EXAMPLES)

    assert (
        "    hyenadna embed --fasta test_data/tiny.fa --bed test_data/regions.bed -o reg" in embed
    )
    (example,) = [line for line in train.splitlines() if line.startswith("    hyenadna")]
    assert example.endswith(" -o run")


@pytest.mark.parametrize(
    "arguments",
    [
        ["embedd"],
        ["embed", "--fast", "x"],
        ["embed"],
        ["embed", "--fasta", "x.fa", "--window", "many"],
        ["embed", "--fasta", "x.fa", "--threads", "0"],
        ["perplexity", "--fasta", "x.fa", "--strand", "up"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_and_exit_2(hyenadna, arguments):
    code, out, err = hyenadna(*arguments)

    assert (code, out) == (2, "")
    assert err.startswith("hyenadna: error: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        MemoryError("Unable to allocate\n8.00 GiB for an array"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
    ],
    ids=["bare", "numpy", "system", "torch"],
)
def test_a_lack_of_memory_is_one_line_and_exit_75(hyenadna, tiny_model, monkeypatch, error):
    from hyenadna_cli.core.model.checkpoints import checkpoint

    def fails(*_, **__):
        raise error

    monkeypatch.setattr(checkpoint, "inspect", fails)

    code, out, err = hyenadna("models", "info", str(tiny_model))

    assert (code, out) == (75, "")
    assert err.startswith("hyenadna: error: out of memory (")
    assert len(err.splitlines()) == 1


def test_a_lack_of_memory_has_the_exit_code_that_was_asked_for(
    hyenadna, tiny_model, monkeypatch, fasta_file, tmp_path
):
    from hyenadna_cli.core.inference.chosen_model import ChosenModel

    def fails(*_, **__):
        raise MemoryError

    monkeypatch.setattr(ChosenModel, "load", fails)

    done = hyenadna(
        *("embed", "--fasta", fasta_file({"a": "ACGT"}), "-m", tiny_model, "--device", "cpu"),
        *("--oom-exit-code", "9", "-o", tmp_path / "x.tsv"),
    )

    assert done.code == 9
    assert "out of memory (MemoryError): give the run more" in done.err


@pytest.mark.slow
def test_a_reader_that_leaves_early_ends_the_run_quietly(tiny_model, fasta_file):
    records = {f"record_{number}": "ACGT" * 5 for number in range(3_000)}
    fasta = fasta_file(records, is_indexed=False)
    command = (
        f"set -o pipefail; {sys.executable} -m hyenadna_cli embed --fasta {fasta} -m {tiny_model} "
        "--device cpu --threads 1 -q | head -n 1"
    )

    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("name\tchrom\tstart")


@pytest.mark.slow
def test_a_full_standard_output_is_an_output_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hyenadna_cli", "models", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert done.returncode == 6
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_internal_error_is_one_line_and_exit_1(hyenadna, monkeypatch):
    from hyenadna_cli.core.model.checkpoints import catalogue

    monkeypatch.setattr(catalogue, "PUBLISHED", None)

    code, _, err = hyenadna("models", "list")

    assert code == 1
    assert err.startswith("hyenadna: error: internal error: AttributeError")
    assert len(err.splitlines()) == 1


def test_json_logs_are_one_object_a_line_errors_included(hyenadna, fasta_file, tiny_model):
    fasta = fasta_file({"r": "ACGTRACGT"}, is_indexed=False)

    done = hyenadna("--log-format", "json", "embed", "--fasta", fasta, "-m", tiny_model)
    failed = hyenadna("--log-format", "json", "embed", "--fasta", "nothing.fa")

    lines = [json.loads(line) for line in done.err.splitlines()]
    assert [line["level"] for line in lines] == ["info", "info"]
    assert "IUPAC" in lines[0]["message"]
    assert json.loads(failed.err)["exit_code"] == 3


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_control_characters_of_a_name_are_shown_as_codes(hyenadna, text_file, log_format):
    """ESC and its one-byte form CSI would let a file write over what the terminal shows."""
    fasta = text_file(">a\x1b[2Jb\x9b1A\nAC*T\n", name="genes.fa")

    code, _, err = hyenadna("--log-format", log_format, "embed", "--fasta", fasta)

    assert code == 3
    assert not [letter for letter in err if letter != "\n" and not letter.isprintable()]
    shown = json.loads(err)["message"] if log_format == "json" else err
    if log_format == "json":
        assert "record a\x1b[2Jb\x9b1A, position 3" in shown
    else:
        assert "record a\\x1b[2Jb\\x9b1A, position 3" in shown


def test_control_characters_are_codes_in_a_traceback_too(hyenadna, text_file):
    fasta = text_file(">a\x1b[2J\nAC*T\n", name="genes.fa")

    err = hyenadna("embed", "--fasta", fasta, "-v").err

    assert "Traceback" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("verb", [(), ("embed",), ("plot",)])
def test_a_terminal_gets_the_same_help_with_headings_that_stand_out(hyenadna, monkeypatch, verb):
    plain = hyenadna(*verb, "--help").out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    styled = hyenadna(*verb, "--help").out
    monkeypatch.setenv("NO_COLOR", "1")

    assert "\x1b[1m" in styled
    assert re.sub(r"\x1b\[[\d;]*m", "", styled) == plain
    assert hyenadna(*verb, "--help").out == plain
    assert "\x1b" not in plain
