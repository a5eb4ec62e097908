"""`hyenadna finetune` and `predict` end to end: what they write, refuse, resume and agree on."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA

TABLE = Path(__file__).parent.parent.parent / "test_data" / "labelled.csv"
# Nearly all of it trains, or reads what the fixture below trains in ten seconds.
pytestmark = pytest.mark.slow
FAST = ("--device", "cpu", "--threads", "1", "--epochs", "3", "--batch-size", "16", "-q")


def tsv(path_or_text):
    text = path_or_text.read_text() if isinstance(path_or_text, Path) else path_or_text
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def tensors(directory):
    return safetensors.torch.load_file(directory / "model.safetensors")


def assert_same_tensors(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, tiny_model):
    """A fine-tuned directory with its baselines."""
    out = tmp_path_factory.mktemp("classifier") / "run"
    command = [
        sys.executable,
        "-m",
        "hyenadna_cli",
        "finetune",
        "--data",
        str(TABLE),
        "-m",
        str(tiny_model),
        "-o",
        str(out),
        "--compare",
        "kmer,cnn,attention,scratch,probe",
        *FAST,
    ]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return out


def test_a_run_leaves_a_model_and_its_evaluation(classifier):
    files = {path.name for path in classifier.iterdir()}

    assert files >= {
        "config.json",
        "model.safetensors",
        "training.json",
        "metrics.csv",
        "metrics.json",
        "predictions.tsv",
        "confusion.tsv",
        "calibration.tsv",
        "comparison.tsv",
        "last",
    }
    record = json.loads((classifier / "training.json").read_text())
    assert record["label_map"] == {"bulk": 0, "island": 1}
    assert record["rows"] == {"train": 80, "valid": 20, "test": 40}
    assert len(record["data"][0]["sha256"]) == 64
    metrics = json.loads((classifier / "metrics.json").read_text())
    assert (metrics["split"], metrics["n"]) == ("test", 40)
    accuracy = metrics["values"]["accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]


def test_every_method_is_judged_on_the_same_rows(classifier):
    rows = [row for row in tsv(classifier / "comparison.tsv") if row["metric"] == "accuracy"]

    assert {row["method"] for row in rows} == {
        "finetune",
        "kmer",
        "cnn",
        "attention",
        "scratch",
        "probe",
    }
    assert {(row["split"], row["n"]) for row in rows} == {("test", "40")}
    targets = [
        [(row["name"], row["target"]) for row in tsv(classifier / method / "predictions.tsv")]
        for method in ("kmer", "cnn", "probe")
    ]
    assert targets[0] == targets[1] == targets[2]


def test_what_a_baseline_chose_on_the_validation_rows_is_stored(classifier):
    chosen = {
        method: json.loads((classifier / method / "metrics.json").read_text())["chosen"]
        for method in ("kmer", "probe", "cnn")
    }

    assert chosen["kmer"]["k"] in (3, 4, 5, 6)
    assert chosen["kmer"]["penalty"] in (10.0, 1.0, 0.1)
    assert chosen["probe"]["C"] > 0
    assert chosen["cnn"] is None


def test_predictions_add_up_to_the_metrics(classifier):
    rows = tsv(classifier / "predictions.tsv")
    metrics = json.loads((classifier / "metrics.json").read_text())

    share = np.mean([row["target"] == row["prediction"] for row in rows])

    assert share == pytest.approx(metrics["values"]["accuracy"]["value"])
    assert sum(map(sum, metrics["confusion"]["counts"])) == len(rows)


def test_predict_gives_what_the_evaluation_saw(classifier, hyenadna):
    code, out, err = hyenadna("predict", "-m", classifier, "--data", TABLE, "--device", "cpu")

    assert code == 0, err
    found = {row["name"]: row for row in tsv(out)}
    assert len(found) == 140
    for row in tsv(classifier / "predictions.tsv"):
        assert found[row["name"]]["prediction"] == row["prediction"]
        assert float(found[row["name"]]["p_island"]) == pytest.approx(
            float(row["p_island"]), abs=1e-5
        )


def test_predict_compares_with_labels_when_asked(classifier, hyenadna, tmp_path):
    test_rows = [
        line for line in TABLE.read_text().splitlines() if "test" in line or "name" in line
    ]
    (tmp_path / "test.csv").write_text("\n".join([*test_rows, ""]))

    code, _, err = hyenadna(
        "predict",
        "-m",
        classifier,
        "--data",
        tmp_path / "test.csv",
        "-o",
        tmp_path / "p.tsv",
        "--metrics",
        tmp_path / "m.json",
    )

    assert code == 0, err
    again = json.loads((tmp_path / "m.json").read_text())["values"]["auroc"]["value"]
    before = json.loads((classifier / "metrics.json").read_text())["values"]["auroc"]["value"]
    assert again == pytest.approx(before, abs=1e-6)


@pytest.mark.parametrize("strand", ["bed", "both"])
def test_labels_of_bases_are_compared_along_their_strand(
    hyenadna, tiny_model, tmp_path, fasta_file, strand
):
    """What `predict` says of rows on the minus strand is what the evaluation said of them."""
    fasta = fasta_file({"chr1": "".join(sequences(100, seed=3))})
    header = "chrom,start,end,strand,label,split"
    rows = [
        f'chr1,{60 * n},{60 * n + 60},{"-+"[n % 2]},"intron:{10 + n % 9},exon:{50 - n % 9}",'
        + ("test" if n % 3 == 0 else "train")
        for n in range(60)
    ]
    data = write(tmp_path / "all.csv", rows, header)
    test = write(tmp_path / "test.csv", rows[::3], header)
    both = ("--rc-aug", "--rc-eval") if strand == "both" else ()
    out = tmp_path / "out"
    assert run(hyenadna, tiny_model, out, "--fasta", fasta, *both, data=data).code == 0

    code, _, err = hyenadna(
        "predict",
        "-m",
        out,
        "--data",
        test,
        "--fasta",
        fasta,
        "--strand",
        strand,
        "--device",
        "cpu",
        "--metrics",
        tmp_path / "m.json",
        "-o",
        tmp_path / "p.tsv",
    )

    assert code == 0, err
    found, wanted = (
        json.loads(path.read_text())["values"]["auroc"]["value"]
        for path in (tmp_path / "m.json", out / "metrics.json")
    )
    assert found == pytest.approx(wanted, abs=1e-6)


def test_shards_of_predictions_are_the_rows_of_the_whole(classifier, hyenadna, fasta_file):
    fasta = fasta_file({f"r{i}": "ACGTTGCA" * (2 + i % 9) for i in range(600)}, is_indexed=False)
    asked = ("predict", "-m", classifier, "--fasta", fasta, "--device", "cpu", "-q")

    whole = hyenadna(*asked).out.splitlines()
    parts = [hyenadna(*asked, "--shard", f"{i}/3").out.splitlines() for i in (1, 2, 3)]

    assert parts[0][:1] == whole[:1]
    assert [line for part in parts for line in part[1:]] == whole[1:]


def test_regions_and_their_strands_are_predicted(classifier, hyenadna, fasta_file, bed_file):
    fasta = fasta_file({"chr1": "ACGTTGCAGG" * 30})
    bed = bed_file("chr1 10 70 a 0 +", "chr1 10 70 b 0 -")

    code, out, err = hyenadna("predict", "-m", classifier, "--fasta", fasta, "--bed", bed)

    rows = tsv(out)
    assert code == 0, err
    assert [(r["start"], r["strand"], r["status"]) for r in rows] == [
        ("10", "+", "OK"),
        ("10", "-", "OK"),
    ]
    assert rows[0]["p_island"] != rows[1]["p_island"]


def test_a_sequence_longer_than_the_model_is_read_in_windows(classifier, hyenadna, fasta_file):
    fasta = fasta_file({"long": "ACGTTGCAGG" * 60}, is_indexed=False)

    _, out, _ = hyenadna("predict", "-m", classifier, "--fasta", fasta)
    too_long = hyenadna("predict", "-m", classifier, "--fasta", fasta, "--window", "1k")

    assert tsv(out)[0]["n_windows"] == "3"
    assert too_long.code == 4


@pytest.mark.parametrize("command", ["embed", "perplexity"])
def test_a_fine_tuned_directory_is_a_plain_model_to_other_commands(
    classifier, hyenadna, fasta_file, command
):
    fasta = fasta_file({"a": "ACGTTGCA" * 8}, is_indexed=False)

    code, out, err = hyenadna(command, "--fasta", fasta, "-m", classifier, "--device", "cpu")

    assert code == 0, err
    assert len(tsv(out)) == 1


def test_a_fine_tuned_directory_scores_variants(classifier, hyenadna, fasta_file, vcf_file):
    fasta = fasta_file({"chr1": "ACGTTGCA" * 60})
    vcf = vcf_file("chr1 101 . T C")

    code, out, err = hyenadna(
        "score-variants", vcf, "--fasta", fasta, "-m", classifier, "--window", "200", "-O", "t"
    )

    assert code == 0, err
    assert tsv(out)[0]["status"] == "OK"


def test_a_model_without_a_head_predicts_nothing(tiny_model, hyenadna):
    code, _, err = hyenadna("predict", "-m", tiny_model, "--data", TABLE)

    assert code == 4
    assert "without a head" in err


def run(hyenadna, tiny_model, out, *more, data=TABLE):
    return hyenadna(
        "finetune",
        "--data",
        data,
        "-m",
        tiny_model,
        "-o",
        out,
        "--compare",
        "none",
        "--no-version",
        *FAST,
        *more,
    )


def test_one_seed_gives_one_model_and_another_seed_another(hyenadna, tiny_model, tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        assert run(hyenadna, tiny_model, tmp_path / name, "--seed", seed).code == 0

    assert_same_tensors(tensors(tmp_path / "a"), tensors(tmp_path / "b"))
    assert (tmp_path / "a" / "metrics.json").read_bytes() == (
        tmp_path / "b" / "metrics.json"
    ).read_bytes()
    assert not torch.equal(
        tensors(tmp_path / "a")["head.weight"], tensors(tmp_path / "c")["head.weight"]
    )


def test_a_run_that_was_stopped_goes_on_to_the_bit(hyenadna, tiny_model, tmp_path):
    """Law: resume. Three stops by the clock, at whatever step."""
    assert run(hyenadna, tiny_model, tmp_path / "straight").code == 0
    codes = []
    for _ in range(3):
        codes.append(
            run(
                hyenadna, tiny_model, tmp_path / "broken", "--resume", "--max-time", "00:00:00"
            ).code
        )
    assert run(hyenadna, tiny_model, tmp_path / "broken", "--resume").code == 0

    assert codes == [143, 143, 143]
    assert_same_tensors(tensors(tmp_path / "broken"), tensors(tmp_path / "straight"))
    assert (tmp_path / "broken" / "predictions.tsv").read_bytes() == (
        tmp_path / "straight" / "predictions.tsv"
    ).read_bytes()


@pytest.mark.parametrize("stop", [("--max-time", "00:00:00"), ()], ids=["stopped", "finished"])
def test_a_run_goes_on_with_its_own_model_only(hyenadna, tiny_model, tmp_path, stop):
    other = tmp_path / "other"
    model, _ = checkpoint.load(tiny_model)
    with torch.no_grad():
        model.backbone.ln_f.weight *= 2
    other.mkdir()
    checkpoint.save(model, other)
    out = tmp_path / "run"
    assert run(hyenadna, tiny_model, out, *stop).code == (143 if stop else 0)

    refused = run(hyenadna, other, out, "--resume")

    assert refused.code == 2
    assert "model was SHA-256" in refused.err
    assert run(hyenadna, tiny_model, out, "--resume").code == 0


def test_a_frozen_backbone_does_not_move(hyenadna, tiny_model, tmp_path):
    assert run(hyenadna, tiny_model, tmp_path / "all", "--freeze", "all").code == 0
    assert run(hyenadna, tiny_model, tmp_path / "one", "--freeze", "1").code == 0

    before = tensors(tiny_model)
    after_all, after_one = tensors(tmp_path / "all"), tensors(tmp_path / "one")
    for name, value in before.items():
        assert torch.equal(after_all[name], value), name
        is_frozen = "embeddings" in name or "layers.0." in name
        assert torch.equal(after_one[name], value) == is_frozen, name


def test_the_head_starts_as_the_probe(hyenadna, tiny_model, tmp_path):
    """With steps of almost no size, the result is the probe's; from a random head it is not."""
    assert run(hyenadna, tiny_model, tmp_path / "probe", "--probe").code == 0
    for start in ("probe", "random"):
        more = ("--lr", "1e-12", "--head-init", start)
        assert run(hyenadna, tiny_model, tmp_path / f"from_{start}", *more).code == 0

    wanted = tensors(tmp_path / "probe")
    torch.testing.assert_close(tensors(tmp_path / "from_probe"), wanted, rtol=1e-5, atol=1e-7)
    found = tensors(tmp_path / "from_random")["head.weight"]
    assert not torch.allclose(found, wanted["head.weight"], rtol=0.1)


def test_several_seeds_have_a_mean_and_the_best_is_the_model(hyenadna, tiny_model, tmp_path):
    out = tmp_path / "seeds"
    assert run(hyenadna, tiny_model, out, "--seeds", 2).code == 0

    rows = [row for row in tsv(out / "comparison.tsv") if row["metric"] == "auroc"]
    values = [float(row["value"]) for row in rows]
    assert [row["seed"] for row in rows] == ["0", "1", "mean"]
    assert values[2] == pytest.approx((values[0] + values[1]) / 2, abs=1e-8)
    scores = [
        json.loads((out / f"seed{seed}" / "metrics.json").read_text())["validation"]
        for seed in (0, 1)
    ]
    best = out / f"seed{int(scores[1] > scores[0])}"
    assert_same_tensors(tensors(out), tensors(best))
    predictions = [(out / f"seed{seed}" / "predictions.tsv").read_bytes() for seed in (0, 1)]
    assert predictions[0] != predictions[1]
    assert (out / "predictions.tsv").read_bytes() == (best / "predictions.tsv").read_bytes()


def write(path, rows, header="sequence,label"):
    path.write_text("\n".join([header, *rows, ""]))
    return path


def sequences(n, seed=0):
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGT"), 40)) for _ in range(n)]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([f"{s},yes" for s in sequences(20)], "needs two or more"),
        ([f"{s},{'yes' if i % 2 else ''}" for i, s in enumerate(sequences(20))], "missing"),
        ([f"{s},{i / 7 if i != 3 else 'nan'}" for i, s in enumerate(sequences(20))], "missing"),
        (
            [f"{s},{i / 7 if i != 3 else 'inf'}" for i, s in enumerate(sequences(20))],
            "'inf' is not",
        ),
        ([f"{s},{'ab'[i]}" for i, s in enumerate(sequences(2))], "left to train on have one class"),
        ([], "the train split is empty"),
    ],
    ids=["one-class", "label-missing", "nan-target", "infinite", "too-few", "empty"],
)
def test_labels_that_teach_nothing_are_refused(hyenadna, tiny_model, tmp_path, rows, problem):
    data = write(tmp_path / "data.csv", rows)

    code, _, err = run(hyenadna, tiny_model, tmp_path / "out", data=data)

    assert code == 3
    assert problem in err
    assert not (tmp_path / "out").exists()


def test_a_target_that_never_differs_is_the_fault_of_the_file(hyenadna, tiny_model, tmp_path):
    data = write(tmp_path / "data.csv", [f"{s},0.5" for s in sequences(20)])

    code, _, err = run(hyenadna, tiny_model, tmp_path / "out", data=data)

    assert code == 3
    assert f"{data}: a regression target is the same in every training row" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--freeze", "99"), "--freeze 99: the model has 2 blocks"),
        (("--select", "nonsense"), "--select nonsense: binary has"),
        (("--dropout", "2"), "dropout must be in [0, 1)"),
        (("--lr", "inf"), "learning_rate must be a finite number"),
        (("--max-length", "0"), "1 base or more"),
        (("--valid-fraction", "0"), "there are no rows to judge on"),
        (("--test", TABLE, "--test-contigs", "chr1"), "--test and --test-contigs both say"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_settings_that_cannot_be_are_refused_before_anything_is_done(
    hyenadna, tiny_model, tmp_path, options, problem
):
    data = write(tmp_path / "d.csv", [f"{s},{i % 2}" for i, s in enumerate(sequences(30))])

    code, _, err = run(hyenadna, tiny_model, tmp_path / "out", "--dry-run", *options, data=data)

    assert code == 2
    assert problem in err
    assert not (tmp_path / "out").exists()


def test_validation_rows_of_one_class_end_nothing_and_are_remarked(hyenadna, tiny_model, tmp_path):
    rows = [f"{s},{i % 2}" for i, s in enumerate(sequences(40))]
    data, test = write(tmp_path / "d.csv", rows[:30]), write(tmp_path / "t.csv", rows[30:])
    valid = write(tmp_path / "v.csv", [f"{s},1" for s in sequences(5, seed=1)])

    code, _, err = hyenadna(
        "finetune",
        "--data",
        data,
        "--valid",
        valid,
        "--test",
        test,
        "-m",
        tiny_model,
        "-o",
        tmp_path / "out",
        "--compare",
        "none",
        "--patience",
        "1",
        *FAST[:-1],
    )

    assert code == 0
    assert "the validation rows have one class" in err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["steps"], metrics["best_step"]) == (6, None)


def test_the_smallest_error_chooses_the_weights(hyenadna, tiny_model, tmp_path):
    data = write(
        tmp_path / "d.csv", [f"{s},{s.count('G') / 40}" for s in sequences(60)], "sequence,label"
    )

    assert run(hyenadna, tiny_model, tmp_path / "out", "--select", "rmse", data=data).code == 0

    rows = list(csv.DictReader((tmp_path / "out" / "metrics.csv").read_text().splitlines()))
    scores = {int(row["step"]): float(row["valid_score"]) for row in rows if row["valid_score"]}
    assert all(score < 0 for score in scores.values())
    best = json.loads((tmp_path / "out" / "metrics.json").read_text())["best_step"]
    assert best == max(scores, key=scores.__getitem__)


def test_uracil_is_read_as_thymine_with_a_note(hyenadna, tiny_model, tmp_path):
    rows = [f"{s.replace('T', 'U')},{i % 2}" for i, s in enumerate(sequences(30))]

    code, _, err = hyenadna(
        "finetune",
        "--data",
        write(tmp_path / "d.csv", rows),
        "-m",
        tiny_model,
        "-o",
        tmp_path / "out",
        "--device",
        "cpu",
        "--dry-run",
    )

    assert code == 0
    assert "U were read as T" in err


def test_an_empty_split_is_refused(hyenadna, tiny_model, tmp_path):
    test = write(tmp_path / "empty.csv", [], header="name,split,label,sequence")

    code, _, err = run(
        hyenadna,
        tiny_model,
        tmp_path / "out",
        "--test",
        test,
        data=write(tmp_path / "d.csv", [f"{s},{i % 2}" for i, s in enumerate(sequences(20))]),
    )

    assert code == 3
    assert "empty" in err


def test_a_label_that_training_did_not_have_is_refused(classifier, hyenadna, tmp_path):
    data = write(tmp_path / "data.csv", ["ACGTACGT,bulk", "ACGTACGT,desert"])

    code, _, err = hyenadna(
        "predict", "-m", classifier, "--data", data, "--metrics", tmp_path / "m.json"
    )

    assert code == 3
    assert "'desert' is not one of training" in err


def test_sequences_longer_than_the_model_are_refused_or_cut(hyenadna, tiny_model, tmp_path):
    data = write(
        tmp_path / "d.csv", [f"{s * 8},{'ab'[i % 2]}" for i, s in enumerate(sequences(40))]
    )
    split = ("--test", data, "--epochs", "1")

    refused = run(hyenadna, tiny_model, tmp_path / "no", *split, data=data)
    too_long = run(hyenadna, tiny_model, tmp_path / "no", *split, "--max-length", 999, data=data)
    cut = run(hyenadna, tiny_model, tmp_path / "yes", *split, "--max-length", 200, data=data)

    assert (refused.code, too_long.code, cut.code) == (4, 4, 0)
    assert "320 bases; this model reads at most 258" in refused.err


def test_a_run_directory_is_not_overwritten(hyenadna, tiny_model, classifier):
    code, _, err = run(hyenadna, tiny_model, classifier)

    assert code == 6
    assert "holds a run" in err


def test_a_metric_that_the_task_does_not_have_is_refused(hyenadna, tiny_model, tmp_path):
    code, _, err = run(hyenadna, tiny_model, tmp_path / "out", "--select", "spearman")

    assert code == 2
    assert "--select spearman: binary has" in err


@pytest.mark.parametrize(("options", "is_warned"), [((), True), (("--rc-aug",), False)])
def test_judging_a_strand_that_is_never_learned_is_remarked(
    hyenadna, tiny_model, tmp_path, options, is_warned
):
    code, _, err = hyenadna(
        "finetune",
        "--data",
        TABLE,
        "-m",
        tiny_model,
        "-o",
        tmp_path / "out",
        "--device",
        "cpu",
        "--rc-eval",
        "--dry-run",
        *options,
    )
    assert code == 0
    assert ("the other strand is judged but never learned" in err) == is_warned


def test_a_dry_run_says_what_would_be_done(hyenadna, tiny_model, tmp_path):
    code, out, _ = run(hyenadna, tiny_model, tmp_path / "out", "--dry-run", "--seeds", 2)

    assert code == 0
    assert "binary, 2 classes (bulk, island): train 80" in out
    assert out.count("run: finetune") == 2
    assert "memory: about" in out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "header", "columns"),
    [
        (lambda i, s: f"{s},{s.count('G') / 40:.3f}", "sequence,label", {"label"}),
        (lambda i, s: f"{s},{i % 2},{int('GG' in s)}", "sequence,y_a,y_b", {"p_a", "p_b"}),
        (lambda i, s: f"{s},{'x' * 20}{'o' * 20}", "sequence,label", {"prediction"}),
        (lambda i, s: f"{s},{'abc'[i % 3]}", "sequence,label", {"p_a", "p_b", "p_c"}),
    ],
    ids=["regression", "multilabel", "token", "multiclass"],
)
def test_every_task_trains_probes_and_predicts(
    hyenadna, tiny_model, tmp_path, fasta_file, labels, header, columns
):
    rows = [labels(i, s) for i, s in enumerate(sequences(60))]
    data = write(tmp_path / "train.csv", rows[:40], header)
    test = write(tmp_path / "test.csv", rows[40:], header)
    fasta = fasta_file({"a": sequences(1)[0]}, is_indexed=False)
    for name, more in (("full", ()), ("probe", ("--probe", "--rc-eval"))):
        out = tmp_path / name
        code, _, err = run(
            hyenadna, tiny_model, out, "--test", test, "--epochs", "1", *more, data=data
        )
        assert code == 0, err
        code, text, err = hyenadna("predict", "-m", out, "--fasta", fasta, "--device", "cpu")
        assert code == 0, err
        assert columns <= tsv(text)[0].keys()


def test_leaking_splits_are_reported(hyenadna, tiny_model, tmp_path):
    rows = [f"{s},{'ab'[i % 2]}" for i, s in enumerate(sequences(40))]
    data, test = write(tmp_path / "d.csv", rows), write(tmp_path / "t.csv", rows[:10])
    out = tmp_path / "out"

    code, _, err = hyenadna(
        "finetune",
        "--data",
        data,
        "--test",
        test,
        "-m",
        tiny_model,
        "-o",
        out,
        "--probe",
        "--device",
        "cpu",
        "--compare",
        "none",
    )

    assert code == 0, err
    assert "test against train, of 10 rows" in err
    assert json.loads((out / "leakage.json").read_text())["is_leaking"]


def test_a_preset_reads_a_local_copy_and_prints_the_published_row(hyenadna, tiny_model, tmp_path):
    folder = tmp_path / "human_nontata_promoters"
    folder.mkdir()
    for split, n in (("train", 40), ("test", 20)):
        write(folder / f"{split}.csv", [f"{s},{i % 2}" for i, s in enumerate(sequences(n, n))])

    code, out, err = hyenadna(
        "finetune",
        "--preset",
        "genomic-benchmarks/human_nontata_promoters",
        "--data",
        tmp_path,
        "-m",
        tiny_model,
        "-o",
        tmp_path / "out",
        "--probe",
        "--table",
        "--device",
        "cpu",
    )

    assert code == 0, err
    assert "not comparable with the published rows" in err
    rows = {row["method"]: row for row in tsv(out)}
    assert rows["published HyenaDNA"]["value"] == "0.9660"
    assert {"probe", "kmer", "published CNN"} <= rows.keys()
    assert (rows["probe"]["metric"], rows["probe"]["n"]) == ("accuracy", "20")


@pytest.mark.slow
def test_two_processes_train_as_one(hyenadna, tmp_path):
    """Data parallelism: the processes share each step's batch and each evaluation."""
    config = ModelConfig(d_model=16, n_layer=2, d_inner=64, l_max=258, embed_dropout=0.0)
    (tmp_path / "model").mkdir()
    checkpoint.save(HyenaDNA(config), tmp_path / "model")
    asked = (
        "--dropout",
        "0",
        "--compare",
        "kmer",
        "--data",
        TABLE,
        "-m",
        tmp_path / "model",
        *FAST,
    )
    assert hyenadna("finetune", *asked, "-o", tmp_path / "one").code == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "hyenadna_cli", "finetune", *asked, "-o", tmp_path / "two"]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)

    one, two = (
        [float(row["p_island"]) for row in tsv(tmp_path / name / "predictions.tsv")]
        for name in ("one", "two")
    )
    # The gradients are summed in another order; the difference grows with the steps.
    np.testing.assert_allclose(two, one, atol=0.01)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_bit(hyenadna, tiny_model, tmp_path):
    """kill -9 in the middle of training, twice."""
    assert run(hyenadna, tiny_model, tmp_path / "straight", "--epochs", "20").code == 0
    command = [
        sys.executable,
        "-m",
        "hyenadna_cli",
        "finetune",
        "--data",
        TABLE,
        "-m",
        tiny_model,
        "-o",
        tmp_path / "killed",
        "--compare",
        "none",
        "--no-version",
        *FAST,
        "--epochs",
        "20",
        "--resume",
    ]
    for _ in range(2):
        running = subprocess.Popen([str(part) for part in command])
        while running.poll() is None and not (tmp_path / "killed" / "last").exists():
            time.sleep(0.05)
        time.sleep(0.3)
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert run(hyenadna, tiny_model, tmp_path / "killed", "--epochs", "20", "--resume").code == 0

    assert_same_tensors(tensors(tmp_path / "killed"), tensors(tmp_path / "straight"))
