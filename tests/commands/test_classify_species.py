"""`hyenadna classify-species` end to end: train, resume, evaluate, predict, manifest."""

from __future__ import annotations

import csv
import importlib
import json
import os
import signal

import numpy as np
import pytest
import safetensors.numpy

OPTIONS = (
    "--length",
    64,
    "--length-schedule",
    "32:4,64:4",
    "--max-steps",
    8,
    "--batch-bases",
    256,
    "--probe-bases",
    "8k",
    "--valid-every",
    4,
    "--valid-windows",
    3,
    "--save-every",
    2,
    "--seed",
    1,
    "--device",
    "cpu",
    "--threads",
    1,
    "--max-n-run",
    5,
)
COLUMNS = ["id", "length", "n_windows", "species", "prob", "second", "second_prob", "status"]


@pytest.fixture(scope="module")
def contigs():
    """Two species of different composition; of each a train, a valid and a test contig."""
    random = np.random.default_rng(0)
    made = {}
    for species, shares in (("yeast", (0.45, 0.05, 0.05, 0.45)), ("fly", (0.1, 0.4, 0.4, 0.1))):
        made[species] = {
            name: "".join(random.choice(list("ACGT"), 1_500, p=shares)) for name in "abc"
        }
    return made


@pytest.fixture
def manifest(contigs, fasta_file, text_file):
    for species, records in contigs.items():
        fasta_file(records, name=f"{species}.fa")
    lines = ["species\tfasta\ttrain_contigs\tvalid_contigs\ttest_contigs"]
    lines += [f"{species}\t{species}.fa\ta\tb\tc" for species in contigs]
    return text_file("\n".join(lines) + "\n", name="species.tsv")


@pytest.fixture
def train(hyenadna, manifest, tiny_model, tmp_path):
    """`train(*options, name=...)` -> how it ended, and its run directory."""

    def run(*options, name="run"):
        target = tmp_path / name
        done = hyenadna(
            "classify-species",
            "train",
            "--manifest",
            manifest,
            "-m",
            tiny_model,
            "-o",
            target,
            *OPTIONS,
            *options,
        )
        return done, target

    return run


def terminate_after(patched, name):
    """Let the function `name` end with a SIGTERM to this process."""
    module, _, function = name.rpartition(".")
    original = getattr(importlib.import_module(module), function)

    def call(*arguments, **named):
        result = original(*arguments, **named)
        os.kill(os.getpid(), signal.SIGTERM)
        return result

    patched.setattr(name, call)


def weights_of(run):
    return safetensors.numpy.load_file(run / "model.safetensors")


def table(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def test_training_gives_a_model_and_its_accuracy_by_length(train):
    done, run = train("--lengths", "16,64", "--test-windows", 20)

    assert done.code == 0, done.err
    assert "64 bases: accuracy 1.000" in done.err
    saved = json.loads((run / "training.json").read_text())
    assert saved["species"] == ["yeast", "fly"]
    assert saved["classifier"]["length"] == 64
    assert saved["data"]["train"].startswith("train: 2 species, 3,000 bases")
    rows = table(run / "evaluation" / "accuracy.tsv")
    assert [(row["length"], row["n_windows"], row["n_species"]) for row in rows] == [
        ("16", "40", "2"),
        ("64", "40", "2"),
    ]
    assert (
        float(rows[0]["accuracy_low"]) <= float(rows[0]["accuracy"]) <= float(rows[1]["accuracy"])
    )
    species = table(run / "evaluation" / "species.tsv")
    assert [(row["length"], row["species"], row["recall"]) for row in species[2:]] == [
        ("64", "yeast", "1"),
        ("64", "fly", "1"),
    ]
    confusion = table(run / "evaluation" / "confusion.tsv")
    assert sum(int(row["n_windows"]) for row in confusion if row["length"] == "16") == 40
    assert (run / "evaluation" / "accuracy.png").stat().st_size > 1_000
    measured = json.loads((run / "evaluation" / "metrics.json").read_text())
    assert measured["64"]["values"]["accuracy"]["value"] == 1.0


def test_a_run_killed_after_its_last_step_is_finished_by_resume(train, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    _, straight = train(name="straight")
    with monkeypatch.context() as patched:
        patched.setattr("hyenadna_cli.core.tasks.species.training.save_classifier", killed)
        done, broken = train(name="broken")
        assert done.code == 130
    done, _ = train("--resume", name="broken")

    assert done.code == 0, done.err
    assert weights_of(broken).keys() == weights_of(straight).keys()
    for name, value in weights_of(straight).items():
        assert np.array_equal(weights_of(broken)[name], value), name


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--freeze", "all"), ("--pool", "last")], ids=str)
def test_stopping_and_resuming_gives_the_weights_of_never_stopping(train, monkeypatch, options):
    """Law: resume, also across the warm-up's stages and with a head that was fitted first."""
    done, straight = train(*options, name="straight")
    assert done.code == 0, done.err

    for done_before, where in ((None, "before the first step"), ("fit_head", "at step 1;")):
        with monkeypatch.context() as patched:
            if done_before is not None:
                terminate_after(patched, f"hyenadna_cli.core.tasks.species.training.{done_before}")
            limit = ("--max-time", "00:00:00") if done_before is None else ()
            stopped, run = train(*options, *limit, "--resume")
        assert stopped.code == 143, stopped.err
        assert where in stopped.err
    resumed, _ = train(*options, "--resume")

    assert resumed.code == 0, resumed.err
    expected = weights_of(straight)
    for name, value in weights_of(run).items():
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.slow
def test_a_run_stopped_while_it_measures_measures_on_resume(train, monkeypatch):
    options = ("--lengths", "16,64", "--test-windows", 20)
    with monkeypatch.context() as patched:
        terminate_after(patched, "hyenadna_cli.core.tasks.species.accuracy.check_lengths")
        stopped, run = train(*options)

    assert (stopped.code, "not yet measured" in stopped.err) == (143, True), stopped.err
    assert (run / "model.safetensors").exists()
    assert not (run / "evaluation").exists()
    resumed, _ = train(*options, "--resume")
    assert resumed.code == 0, resumed.err
    assert len(table(run / "evaluation" / "accuracy.tsv")) == 2


def test_contigs_that_could_not_be_used_are_refused_before_anything_starts(
    train, fasta_file, text_file, contigs
):
    """Of species x's training contigs only a holds 64 bases, and it weighs nothing."""
    fasta_file(contigs["fly"], name="fly.fa")
    fasta_file(contigs["yeast"] | {"s": "ACGT" * 10, "gap": "N" * 90}, name="x.fa")
    weights = text_file("x\ta\t0\n", name="weights.tsv")
    for train_contigs, test, options, code, problem in (
        ("a", "gap", (), 3, "its test_contigs hold no bases, only N"),
        ("a,s", "c", ("--contig-weights", weights), 2, "of x for windows of 64 bases are 0"),
    ):
        manifest = text_file(
            f"x\tx.fa\t{train_contigs}\tb\t{test}\nfly\tfly.fa\ta\tb\tc\n", name="x.tsv"
        )
        for more in ((), ("--dry-run",)):
            done, run = train(*options, "--manifest", manifest, *more)

            assert (done.code, problem in done.err) == (code, True), done.err
            assert not run.exists()


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_lengths_that_no_test_contig_holds_are_refused_before_anything_starts(
    train, trained, hyenadna, fasta_file, text_file, contigs, tmp_path, command
):
    for species, records in contigs.items():
        fasta_file(records | {"c": records["c"][:100]}, name=f"{species}.fa")
    lines = [f"{species}\t{species}.fa\ta\tb\tc\n" for species in contigs]
    short = text_file("".join(lines), name="short.tsv")
    if command == "train":
        done, out = train("--manifest", short, "--lengths", "16,128")
    else:
        out = tmp_path / "report"
        done = hyenadna(
            "classify-species",
            "evaluate",
            "-m",
            trained,
            "--manifest",
            short,
            "-o",
            out,
            "--lengths",
            "16,128",
            "--device",
            "cpu",
        )

    assert done.code == 3, done.err
    assert "no test_contigs hold 128 bases" in done.err
    assert "accuracy" not in done.err
    assert not out.exists()


def test_a_frozen_backbone_stays_as_it_was(train, tiny_model):
    done, run = train("--freeze", "all")

    assert done.code == 0, done.err
    after = weights_of(run)
    for name, value in safetensors.numpy.load_file(tiny_model / "model.safetensors").items():
        np.testing.assert_array_equal(after[name], value)


def test_a_model_can_start_from_random_weights(train):
    done, run = train("--from-scratch", "--d-model", 8, "--n-layer", 1)

    assert done.code == 0, done.err
    assert json.loads((run / "config.json").read_text())["l_max"] == 66


def test_the_published_recipe_sets_what_options_do_not(train):
    done, run = train("--preset", "paper")

    assert done.code == 0, done.err
    settings = json.loads((run / "training.json").read_text())["settings"]
    assert (settings["learning_rate"], settings["keep"]) == (6e-5, "sequences")


def test_settings_come_from_a_file_and_options_win(train, text_file):
    config = text_file('[species]\npooling = "last"\ndropout = 0.5\n', name="run.toml")

    done, run = train("--config", config, "--dropout", 0.25)

    assert done.code == 0, done.err
    classifier = json.loads((run / "training.json").read_text())["classifier"]
    assert (classifier["pooling"], classifier["dropout"]) == ("last", 0.25)


@pytest.fixture(scope="module")
def trained_once():
    """Where the model of this module lies, once it has been trained."""
    return []


@pytest.fixture
def trained(train, trained_once):
    """A finished run directory; not to be written to."""
    if not trained_once:
        done, run = train(name="trained")
        assert done.code == 0, done.err
        trained_once.append(run)
    return trained_once[0]


@pytest.mark.slow
def test_evaluate_measures_a_finished_model(hyenadna, trained, manifest, tmp_path):
    def evaluate(*options):
        return hyenadna(
            "classify-species",
            "evaluate",
            "-m",
            trained,
            "--manifest",
            manifest,
            "--lengths",
            "32,64",
            "-o",
            tmp_path / "report",
            "--device",
            "cpu",
            *options,
        )

    done = evaluate("--strand", "both")
    assert done.code == 0, done.err
    assert [row["length"] for row in table(tmp_path / "report" / "accuracy.tsv")] == ["32", "64"]
    assert evaluate().code == 6
    assert evaluate("--force", "--lengths", "1k").code == 4
    assert evaluate("--force", "--lengths", "200", "--max-n-run", 0).code == 0


def test_a_species_may_have_a_comma_and_its_contigs_other_names(
    train, hyenadna, manifest, text_file, tmp_path
):
    renamed = text_file(
        manifest.read_text().replace("yeast\t", "yeast, budding\t").replace("\ta\t", "\tI\t"),
        name="comma.tsv",
    )
    options = ("--manifest", renamed, "--rename-chrs", text_file("I a\n", name="names.txt"))

    done, run = train(*options)
    assert done.code == 0, done.err
    done = hyenadna(
        "classify-species",
        "evaluate",
        "-m",
        run,
        *options,
        "--lengths",
        "64",
        "-o",
        tmp_path / "report",
        "--device",
        "cpu",
    )

    assert done.code == 0, done.err
    species = [row["species"] for row in table(tmp_path / "report" / "species.tsv")]
    assert species == ["yeast, budding", "fly"]


@pytest.fixture
def calls(hyenadna, trained, fasta_file, contigs):
    """`calls(*options)`: predict on a few records with a trained model."""
    records = {
        "y": contigs["yeast"]["c"],
        "f": contigs["fly"]["c"][:100],
        "n": "N" * 40,
        "mixed": contigs["yeast"]["c"][:64] + contigs["fly"]["c"][:64],
    }
    fasta = fasta_file(records, name="contigs.fa")

    def predict(*options, fasta=fasta):
        return hyenadna(
            "classify-species",
            "predict",
            "-m",
            trained,
            "--fasta",
            fasta,
            "--device",
            "cpu",
            "--threads",
            1,
            *options,
        )

    return predict


def rows_of(done):
    assert done.code == 0, done.err
    header, *rows = [line.split("\t") for line in done.out.splitlines()]
    assert header == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def test_contigs_of_any_length_are_called_by_windows(calls):
    yeast, fly, gap, mixed = rows_of(calls())

    assert (yeast["id"], yeast["length"], yeast["n_windows"]) == ("y", "1500", "24")
    assert (yeast["species"], yeast["second"], yeast["status"]) == ("yeast", "fly", "OK")
    assert (fly["species"], fly["n_windows"], fly["status"]) == ("fly", "2", "OK")
    assert (gap["species"], gap["prob"], gap["status"]) == ("unclassified", "nan", "NO_BASES")
    for row in (yeast, fly, mixed):
        assert float(row["prob"]) + float(row["second_prob"]) == pytest.approx(1)
        assert float(row["prob"]) >= float(row["second_prob"])


def test_below_the_asked_probability_nothing_is_claimed(calls, tmp_path):
    done = calls("--min-prob", 1.0, "--stats", tmp_path / "stats.json")

    rows = rows_of(done)
    assert [row["species"] for row in rows] == ["unclassified"] * 4
    assert [row["status"] for row in rows] == ["UNCLASSIFIED"] * 2 + ["NO_BASES", "UNCLASSIFIED"]
    assert float(rows[0]["prob"]) > 0.5
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert stats["status"] == {"UNCLASSIFIED": 3, "NO_BASES": 1}


def test_an_unclassified_record_is_a_result_and_one_without_bases_is_not(calls, fasta_file):
    ordinary = fasta_file({"x": "ACGT" * 20}, name="ordinary.fa")

    assert calls("--strict", "--min-prob", 1.0, fasta=ordinary).code == 0
    assert calls("--strict").code == 5


def test_shards_and_both_strands_give_every_record_once(calls):
    whole = rows_of(calls("--strand", "both"))

    parts = [rows_of(calls("--strand", "both", "--shard", f"{i}/2")) for i in (1, 2)]

    assert [row for part in parts for row in part] == whole


def test_a_file_gets_a_manifest_and_resume_finds_it(calls, tmp_path):
    options = ("-o", tmp_path / "calls.tsv", "--resume", "--min-prob", 0.5)

    first, second = calls(*options), calls(*options)

    assert (first.code, second.code) == (0, 0)
    assert "nothing to do" in second.err
    manifest = json.loads((tmp_path / "calls.tsv.manifest.json").read_text())
    assert manifest["settings"]["min_prob"] == 0.5
    assert manifest["rows"] == {"OK": 3, "NO_BASES": 1}


def test_dry_runs_print_plans(calls, train):
    assert "windows\t29\n" in calls("--dry-run").out

    done, run = train("--dry-run")
    assert "windows of 32 bases per step, for 4 steps" in done.out
    assert "species: yeast, fly" in done.out
    assert "for 4 x 64 bases at once" in done.out
    assert not run.exists()


def test_the_paper_manifest_is_printed(hyenadna):
    done = hyenadna("classify-species", "manifest", "--paper")

    assert done.code == 0
    assert [line.split("\t")[0] for line in done.out.splitlines()] == [
        "species",
        "human",
        "lemur",
        "mouse",
        "pig",
        "hippo",
    ]


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (("--species", "fly,yeti"), 3, "no species 'yeti'"),
        (("--species", "fly"), 3, "two species"),
        (("--species-weights", "yeti=1"), 2, "'yeti' is neither"),
        (("--contig-weights", "no.tsv"), 3, "no.tsv"),
        (("--contig-map", "auto", "--rename-chrs", "x.txt"), 2, "exclude each other"),
        (("--length", "1k"), 4, "windows of 1,000 bases"),
        (("--lengths", "1k"), 4, "windows of 1,000 bases"),
        (("--lengths", "0"), 2, "2 bases or more"),
        (("--lengths", "1,000"), 2, "commas separate lengths"),
        (("--from-scratch", "--lengths", "64,67"), 2, "from scratch reads at most 66"),
        (("--length", "48"), 2, "--length-schedule reaches 64"),
        (("--preset", "best"), 2, "the only preset is paper"),
        (("--d-model", "8"), 2, "go with --from-scratch"),
        (("--freeze", "some"), 2, "neither all nor none"),
        (("--freeze", "9"), 2, "9 blocks"),
        (("-m", "nowhere"), 4, "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_is_one_line_and_the_right_code(train, options, code, problem):
    done, run = train(*options)

    assert done.code == code, done.err
    assert problem in done.err.splitlines()[-1]
    assert not (run / "model.safetensors").exists()


def test_a_model_without_a_head_calls_nothing(hyenadna, tiny_model, fasta_file):
    fasta = fasta_file({"x": "ACGT"})

    done = hyenadna("classify-species", "predict", "-m", tiny_model, "--fasta", fasta)

    assert done.code == 4
    assert "without a head" in done.err
