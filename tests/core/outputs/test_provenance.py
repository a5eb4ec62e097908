"""What made an output is recorded, and can be left out for byte-equal outputs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hyenadna_cli
from hyenadna_cli.core.outputs import provenance
from hyenadna_cli.core.outputs.provenance import Provenance, Setting
from hyenadna_cli.errors import InputFileError, OutputError, UsageError

MODEL = {
    "name": "tiny-1k",
    "revision": "abc123",
    "sha256": "0" * 64,
    "config_sha256": "1" * 64,
}
DIGEST = hashlib.sha256(b">a\nACGT\n").hexdigest()


def collected(
    fasta: Path, *, reproducible: bool = False, settings: dict[str, Setting] | None = None
) -> Provenance:
    return provenance.collect(
        command=["hyenadna", "embed", "--fasta", "my genome.fa"],
        settings=settings or {"pooling": ["mean", "last"], "window": 1024, "exclude-n": False},
        inputs=[fasta, "-"],
        model=MODEL,
        device="CPU, 2 threads",
        reproducible=reproducible,
    )


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "genome.fa"
    path.write_text(">a\nACGT\n")
    return path


def test_a_run_is_described_whole(fasta: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    described = collected(fasta).as_json()

    libraries = described.pop("libraries")
    assert isinstance(libraries, dict)
    assert {"python", "numpy", "h5py"} <= libraries.keys()
    assert described == {
        "version": hyenadna_cli.__version__,
        "command": "hyenadna embed --fasta 'my genome.fa'",
        "created": "2023-11-14T22:13:20Z",
        "device": "CPU, 2 threads",
        "model": MODEL,
        "settings": {"pooling": ["mean", "last"], "window": 1024, "exclude-n": False},
        "inputs": [{"path": str(fasta), "size": 8, "sha256": DIGEST}, {"path": "-"}],
    }


def test_attributes_are_flat(fasta: Path) -> None:
    attrs = collected(fasta).as_attrs()

    assert attrs["generated-by"] == f"hyenadna {hyenadna_cli.__version__}"
    assert attrs["model"] == "tiny-1k"
    assert attrs["revision"] == "abc123"
    assert attrs["pooling"] == "mean,last"
    assert attrs["window"] == 1024
    assert attrs["exclude-n"] is False
    assert json.loads(str(attrs["inputs"])) == [{"path": str(fasta), "size": 8}, {"path": "-"}]
    assert all(isinstance(value, str | int | float | bool) for value in attrs.values())


def test_what_differs_between_equal_runs_can_be_left_out(fasta: Path) -> None:
    made_by = collected(fasta, reproducible=True)

    assert made_by.as_attrs().keys() == {
        "generated-by",
        "model",
        "revision",
        "sha256",
        "config_sha256",
        "inputs",
        "pooling",
        "window",
        "exclude-n",
    }
    assert made_by.as_attrs()["generated-by"] == "hyenadna"
    assert made_by.as_json().keys() == {"model", "settings", "inputs"}
    assert made_by.is_reproducible


def test_the_date_is_now_in_utc_without_a_fixed_one(
    fasta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)

    created = collected(fasta).created

    assert created is not None
    assert created.endswith("Z")
    assert len(created) == len("2023-11-14T22:13:20Z")


def test_a_fixed_date_that_is_no_number_is_a_usage_error(
    fasta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")

    with pytest.raises(UsageError, match="got 'yesterday'"):
        collected(fasta)


def test_absent_values_leave_no_entry(fasta: Path) -> None:
    made_by = provenance.collect(
        command=None,
        settings={"window": None},
        inputs=[fasta],
        model=None,
        device=None,
        reproducible=True,
    )

    inputs = [{"path": str(fasta), "size": 8, "sha256": DIGEST}]
    assert made_by.as_json() == {"settings": {}, "inputs": inputs}
    assert made_by.as_attrs().keys() == {"generated-by", "inputs"}


def test_the_size_of_a_pipe_is_not_recorded(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    made_by = provenance.collect(
        command=None,
        settings={},
        inputs=[tmp_path / "pipe"],
        model=None,
        device=None,
        reproducible=True,
    )

    assert made_by.inputs[0].size is None


def test_a_missing_input_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"missing\.fa: cannot be read"):
        collected(tmp_path / "missing.fa")


def test_a_setting_that_cannot_be_written_fails_at_the_start(fasta: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        collected(fasta, settings={"rate": float("nan")})


def test_a_setting_must_not_hide_an_entry(fasta: Path) -> None:
    with pytest.raises(ValueError, match="may not be called device, model"):
        collected(fasta, settings={"model": "x", "device": "cpu"})


def test_an_unknown_entry_about_the_model_is_refused(fasta: Path) -> None:
    with pytest.raises(ValueError, match="sha-256"):
        provenance.collect(
            command=None,
            settings={},
            inputs=[fasta],
            model={"sha-256": "0"},
            device=None,
            reproducible=True,
        )


def test_versions_are_found_without_importing_torch() -> None:
    code = """
import sys
from hyenadna_cli.core.outputs import provenance
made_by = provenance.collect(
    command=None, settings={}, inputs=[], model=None, device=None, reproducible=False)
print("torch" in sys.modules, "numpy" in made_by.libraries)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(hyenadna_cli.__file__).parents[1])}

    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert result.stdout == "False True\n"


def test_the_manifest_describes_its_output(fasta: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.h5ad"
    output.write_bytes(b"vectors")
    made_by = collected(fasta)

    path = provenance.write_manifest(
        output, made_by, rows={"OK": 9, "TOO_SHORT": 1}, shard="3/16", seconds=1.23456
    )

    assert path == tmp_path / "out.h5ad.manifest.json"
    assert json.loads(path.read_text()) == {
        "format": "hyenadna-manifest",
        "format-version": 1,
        **made_by.as_json(),
        "output": {
            "path": "out.h5ad",
            "size": 7,
            "sha256": hashlib.sha256(b"vectors").hexdigest(),
        },
        "rows": {"OK": 9, "TOO_SHORT": 1},
        "shard": "3/16",
        "seconds": 1.235,
    }


def test_a_reproducible_manifest_is_equal_in_every_byte(fasta: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.h5ad"
    output.write_bytes(b"vectors")

    manifests = [
        provenance.write_manifest(
            output, collected(fasta, reproducible=True), rows={"OK": 9}, shard=None, seconds=seconds
        ).read_bytes()
        for seconds in (1.0, 2.0)
    ]

    assert manifests[0] == manifests[1]
    assert json.loads(manifests[0]).keys() == {
        "format",
        "format-version",
        "model",
        "settings",
        "inputs",
        "output",
        "rows",
    }


def test_a_manifest_without_its_output_is_an_output_error(fasta: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"gone\.tsv: cannot read it back"):
        provenance.write_manifest(
            tmp_path / "gone.tsv", collected(fasta), rows={}, shard=None, seconds=1.0
        )


def test_a_manifest_is_read_as_it_was_written(fasta: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"
    output.write_bytes(b"rows")
    made_by = collected(fasta)
    provenance.write_manifest(output, made_by, rows={"OK": 9}, shard="3/16", seconds=1.0)

    manifest = provenance.read_manifest(output)

    assert manifest.made_by == made_by
    assert (manifest.rows, manifest.shard) == ({"OK": 9}, "3/16")
    provenance.check_manifest(output, overwrite=False)


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("rows", {"OK": "9"}),
        ("shard", 3),
        ("model", ["m"]),
        ("model", {"sha256": 5}),
        ("inputs", [{"path": 5}]),
        ("inputs", [{"path": "a", "size": "5"}]),
        ("output", {"sha256": None, "path": []}),
        ("format-version", "1"),
    ],
)
def test_a_manifest_with_odd_entries_is_refused(
    fasta: Path, tmp_path: Path, entry: str, value: object
) -> None:
    output = tmp_path / "out.tsv"
    output.write_bytes(b"rows")
    path = provenance.write_manifest(output, collected(fasta), rows={}, shard=None, seconds=1.0)
    path.write_text(json.dumps(json.loads(path.read_text()) | {entry: value}))

    with pytest.raises(InputFileError, match="is not a manifest of hyenadna"):
        provenance.read_manifest(output)


def test_a_file_that_only_has_the_name_of_a_manifest_is_kept(tmp_path: Path) -> None:
    output, own = tmp_path / "x.tsv", tmp_path / "x.tsv.manifest.json"
    for content in ('{"name": "my app"}', "[]", "notes", "[" * 100_000, ""):
        own.write_text(content)
        with pytest.raises(OutputError, match="not a manifest of hyenadna; --force"):
            provenance.check_manifest(output, overwrite=False)
        provenance.check_manifest(output, overwrite=True)
    own.unlink()
    os.mkfifo(own)
    with pytest.raises(OutputError, match="not a manifest"):
        provenance.check_manifest(output, overwrite=False)
    with pytest.raises(OutputError, match="not a regular file"):
        provenance.check_manifest(output, overwrite=True)
