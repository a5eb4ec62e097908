"""The embedding file: two readers, the same bytes, whole or not at all."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest

import hyenadna_cli
from hyenadna_cli.core.io import growing_h5
from hyenadna_cli.core.io.embeddings_h5 import (
    POOLED_FORMAT,
    EmbeddingRow,
    PooledWriter,
    TokenWriter,
)
from hyenadna_cli.core.io.embeddings_reading import opened, read_embeddings, read_tokens
from hyenadna_cli.core.outputs.provenance import InputFile, Provenance
from hyenadna_cli.errors import InputFileError, OutputError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(hyenadna_cli.__file__).parents[1])}

MADE_BY = Provenance(
    version="0.1.0",
    libraries={"python": "3.11.0"},
    command="hyenadna embed --fasta 'my genome.fa'",
    created="2026-11-20T00:00:00Z",
    device="CPU",
    model_name="tiny-1k",
    model_revision="abc123",
    model_sha256="0" * 64,
    settings={"pooling": ["mean", "last"], "window": 1_024, "exclude-n": False, "shift": 0.05},
    inputs=(InputFile("my genome.fa", 8),),
)
D_MODEL = 16
KEYS = ("mean_layer-1", "last_layer-1", "mean_layer0")


@pytest.fixture
def anndata() -> ModuleType:
    """The reader of h5ad files; skips where it is not installed."""
    module = pytest.importorskip("anndata", reason="anndata is not installed")
    assert isinstance(module, ModuleType)
    return module


def a_row(i: int, *, name: str | None = None) -> EmbeddingRow:
    return EmbeddingRow(
        name=name if name is not None else f"región_{i}",
        chrom="chr7",
        start=100 * i,
        end=100 * i + 50,
        strand="+-."[i % 3],
        length=50,
        n_frac=0.02,
        n_windows=2,
        status="OK" if i % 5 else "TOO_SHORT",
        vectors={
            key: np.random.default_rng([i, k]).normal(size=D_MODEL).astype(np.float32)
            for k, key in enumerate(KEYS)
        },
    )


def write(path: Path, rows: Iterable[EmbeddingRow], *, overwrite: bool = False) -> Path:
    with PooledWriter(
        path, keys=KEYS, d_model=D_MODEL, made_by=MADE_BY, overwrite=overwrite
    ) as writer:
        for row in rows:
            writer.append(row)
    return path


def write_tokens(path: Path, *lengths: int, overwrite: bool = False) -> Path:
    with TokenWriter(
        path, d_model=D_MODEL, dtype="float32", made_by=MADE_BY, overwrite=overwrite
    ) as writer:
        for i, length in enumerate(lengths):
            writer.append("gene", "chr7", i, i + length, "-", token_rows(i, length))
    return path


def token_rows(i: int, length: int) -> np.ndarray:
    return np.random.default_rng(i).normal(size=(length, D_MODEL)).astype(np.float32)


def tree(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Each dataset's shape and dtype."""
    found: dict[str, tuple[tuple[int, ...], str]] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            is_text = h5py.check_string_dtype(item.dtype) is not None
            found[name] = (item.shape, "utf8" if is_text else str(item.dtype))

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_the_pooled_layout_is_the_one_specified(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", [a_row(i) for i in range(3)])

    found = tree(path)

    provenance = {name for name in found if name.startswith("uns/hyenadna/")}
    assert {name: found[name] for name in found.keys() - provenance} == {
        "X": ((3, D_MODEL), "float32"),
        "obs/_index": ((3,), "utf8"),
        "obs/chrom": ((3,), "utf8"),
        "obs/start": ((3,), "int64"),
        "obs/end": ((3,), "int64"),
        "obs/strand": ((3,), "utf8"),
        "obs/length": ((3,), "int64"),
        "obs/n_frac": ((3,), "float64"),
        "obs/n_windows": ((3,), "int64"),
        "obs/status": ((3,), "utf8"),
        "var/_index": ((D_MODEL,), "utf8"),
        "obsm/last_layer-1": ((3, D_MODEL), "float32"),
        "obsm/mean_layer0": ((3, D_MODEL), "float32"),
    }
    assert {name.rpartition("/")[2] for name in provenance} == {
        "format",
        "format-version",
        "coordinates",
        "X",
        "repeated",
        "generated-by",
        "version",
        "libraries",
        "command",
        "created",
        "device",
        "model",
        "revision",
        "sha256",
        "inputs",
        "pooling",
        "window",
        "exclude-n",
        "shift",
    }
    with h5py.File(path) as file:
        assert set(file) == {"X", "obs", "var", "obsm", "uns"}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    rows = [a_row(i) for i in range(5_000)]

    read = read_embeddings(write(tmp_path / "x.h5", rows))

    assert read.names == [row.name for row in rows]
    assert list(read.vectors) == ["mean_layer-1", "last_layer-1", "mean_layer0"]
    assert read.X is read.vectors["mean_layer-1"]
    for key in KEYS:
        assert np.array_equal(read.vectors[key], np.stack([row.vectors[key] for row in rows]))
    for column in ("chrom", "start", "end", "strand", "length", "n_frac", "n_windows", "status"):
        assert list(read.obs[column]) == [getattr(row, column) for row in rows]
    assert read.made_by["format"] == "hyenadna-embeddings"
    assert read.made_by["format-version"] == 1
    assert read.made_by["coordinates"] == "0-based half-open"
    assert read.made_by.items() >= MADE_BY.as_attrs().items()


@pytest.mark.parametrize("n_rows", [0, 1, 3_000], ids=["empty", "one", "many"])
def test_anndata_reads_it_in_memory(tmp_path: Path, anndata: ModuleType, n_rows: int) -> None:
    rows = [a_row(i) for i in range(n_rows)]
    path = write(tmp_path / "x.h5ad", rows)

    read = anndata.read_h5ad(path)

    assert read.shape == (n_rows, D_MODEL)
    assert list(read.obs_names) == [row.name for row in rows]
    assert read.obs_names.is_unique
    assert list(read.var_names) == [f"dim_{i}" for i in range(D_MODEL)]
    assert list(read.obs) == [
        "chrom",
        "start",
        "end",
        "strand",
        "length",
        "n_frac",
        "n_windows",
        "status",
    ]
    assert list(read.obs["start"]) == [row.start for row in rows]
    assert list(read.obs["strand"]) == [row.strand for row in rows]
    assert set(read.obsm) == {"last_layer-1", "mean_layer0"}
    assert read.obsm["mean_layer0"].shape == (n_rows, D_MODEL)
    assert read.X.dtype == np.float32
    for i, row in enumerate(rows):
        assert np.array_equal(read.X[i], row.vectors["mean_layer-1"])
        assert np.array_equal(read.obsm["last_layer-1"][i], row.vectors["last_layer-1"])
    assert read.uns["hyenadna"]["model"] == "tiny-1k"
    assert read.uns["hyenadna"]["window"] == 1_024
    assert not read.uns["hyenadna"]["exclude-n"]
    assert read.uns["hyenadna"]["generated-by"] == "hyenadna 0.1.0"


@pytest.mark.parametrize("n_rows", [0, 1, 3_000], ids=["empty", "one", "many"])
def test_anndata_reads_it_backed(tmp_path: Path, anndata: ModuleType, n_rows: int) -> None:
    rows = [a_row(i) for i in range(n_rows)]
    path = write(tmp_path / "x.h5ad", rows)

    read = anndata.read_h5ad(path, backed="r")

    try:
        assert read.isbacked
        assert read.shape == (n_rows, D_MODEL)
        assert list(read.obs_names) == [row.name for row in rows]
        assert set(read.obsm) == {"last_layer-1", "mean_layer0"}
        if rows:
            last = read[n_rows - 1 :].to_memory()
            assert np.array_equal(last.X[0], rows[-1].vectors["mean_layer-1"])
    finally:
        read.file.close()


def test_anndata_reads_each_part_alone(tmp_path: Path, anndata: ModuleType) -> None:
    """Every group and dataset carries the encoding that anndata expects of it."""
    path = write(tmp_path / "x.h5ad", [a_row(i) for i in range(3)])

    with h5py.File(path) as file:
        for part in ("obs", "var", "obsm", "uns", "X", "obs/chrom", "uns/hyenadna/command"):
            assert anndata.io.read_elem(file[part]) is not None
        unmarked = []
        file.visititems(
            lambda name, item: None if "encoding-type" in item.attrs else unmarked.append(name)
        )
        assert unmarked == []


def test_anndata_writes_it_again(tmp_path: Path, anndata: ModuleType) -> None:
    path = write(tmp_path / "x.h5ad", [a_row(i) for i in range(3)])

    anndata.read_h5ad(path).write_h5ad(tmp_path / "again.h5ad")

    again = anndata.read_h5ad(tmp_path / "again.h5ad")
    assert np.array_equal(again.X, read_embeddings(path).X)


def test_columns_with_a_mask_are_read(tmp_path: Path) -> None:
    """As anndata 0.13 writes strings of pandas 3, and numbers some of which are missing."""
    path = write(tmp_path / "x.h5ad", [a_row(i) for i in range(3)])
    with h5py.File(path, "a") as file:
        for name, mask in {
            "_index": [0, 0, 0],
            "strand": [0, 1, 0],
            "n_windows": [0, 0, 1],
        }.items():
            of_all = file[f"obs/{name}"][:]
            del file[f"obs/{name}"]
            file[f"obs/{name}/values"] = of_all
            file[f"obs/{name}/mask"] = np.array(mask, dtype=bool)

    read = read_embeddings(path)

    assert read.names == ["región_0", "región_1", "región_2"]
    assert read.obs["strand"].tolist() == ["+", "", "."]
    assert np.array_equal(read.obs["n_windows"], [2, 2, np.nan], equal_nan=True)


def test_names_are_made_unique_and_can_be_restored(tmp_path: Path) -> None:
    names = ["peak", "peak", "a-1", "peak", "a", "a"]

    read = read_embeddings(
        write(tmp_path / "x.h5", [a_row(i, name=name) for i, name in enumerate(names)])
    )

    assert read.names == ["peak", "peak-1", "a-1", "peak-2", "a", "a-2"]
    assert read.given_names == names


@pytest.mark.slow
def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    """In separate processes, seconds apart, with another hash seed and other memory."""
    code = """
import sys, time
from pathlib import Path
import numpy as np
from hyenadna_cli.core.io.embeddings_h5 import (EmbeddingRow, PooledWriter, TokenWriter)
from hyenadna_cli.core.outputs.provenance import Provenance
garbage = [np.random.default_rng().bytes(1000) for _ in range(int(sys.argv[2]))]
made_by = Provenance(model_name="tiny-1k", settings={"window": 5})
options = dict(d_model=16, made_by=made_by, overwrite=False)
data = np.random.default_rng(0).normal(size=(3000, 16)).astype("float32")
with PooledWriter(Path(sys.argv[1], "x.h5ad"), keys=["mean", "last"], **options) as writer:
    time.sleep(float(sys.argv[3]))
    for i, row in enumerate(data):
        writer.append(EmbeddingRow(f"n{i % 7}", "chr1", i, i + 5, "+", 5, 0.0, 1, "OK",
                                   {"mean": row, "last": -row}))
with TokenWriter(Path(sys.argv[1], "t.h5"), dtype="float16", **options) as writer:
    writer.append("a", "chr1", 0, 3000, "+", data)
"""
    for name, n_garbage, seconds in (("one", 0, 0), ("two", 5_000, 1.1)):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", code, str(tmp_path / name), str(n_garbage), str(seconds)]
        subprocess.run(command, env={**ENVIRONMENT, "PYTHONHASHSEED": str(n_garbage)}, check=True)

    for name in ("x.h5ad", "t.h5"):
        one, two = ((tmp_path / run / name).read_bytes() for run in ("one", "two"))
        assert one == two


def test_many_records_at_once_are_the_bytes_of_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Buffers of 4 vectors and of 32 other values, so that both are full in turn.
    monkeypatch.setattr(growing_h5, "_CHUNK_ROWS", 4)
    monkeypatch.setattr(growing_h5, "_CHUNK_BYTES", 40)
    monkeypatch.setattr(growing_h5, "_CHUNKS_PER_BUFFER", 4)
    rows = [a_row(i, name=f"peak{i % 7}") for i in range(150)]
    single = write(tmp_path / "single.h5ad", rows)
    columns = ("chrom", "start", "end", "strand", "length", "n_frac", "n_windows", "status")

    many = tmp_path / "many.h5ad"
    with PooledWriter(many, keys=KEYS, d_model=D_MODEL, made_by=MADE_BY, overwrite=False) as writer:
        for part in (rows[:1], rows[1:50], rows[50:50], rows[50:]):
            writer.extend(
                [row.name for row in part],
                {name: np.array([getattr(row, name) for row in part], object) for name in columns},
                {
                    key: np.array([row.vectors[key] for row in part]).reshape(-1, D_MODEL)
                    for key in KEYS
                },
            )

    assert many.read_bytes() == single.read_bytes()


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", [a_row(0)])

    with pytest.raises(OutputError, match="--force"):
        write(path, [a_row(1)])
    assert read_embeddings(path).names == ["región_0"]

    write(path, [a_row(1)], overwrite=True)
    assert read_embeddings(path).names == ["región_1"]


@pytest.mark.slow
@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failing_run_leaves_the_old_file(tmp_path: Path, failure: type[BaseException]) -> None:
    path = write(tmp_path / "x.h5", [a_row(0)])
    before = path.read_bytes()

    def rows_that_fail() -> Iterable[EmbeddingRow]:
        yield from (a_row(i) for i in range(3_000))
        raise failure

    with pytest.raises(failure):
        write(path, rows_that_fail(), overwrite=True)

    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["x.h5"]


def test_a_killed_run_leaves_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", [a_row(0)])
    before = path.read_bytes()
    code = """
import os, signal, sys
from pathlib import Path
import numpy as np
from hyenadna_cli.core.io.embeddings_h5 import (TokenWriter)
from hyenadna_cli.core.outputs.provenance import Provenance
with TokenWriter(
    Path(sys.argv[1]), d_model=16, dtype="float32", made_by=Provenance(), overwrite=True
) as writer:
    writer.append("a", "chr1", 0, 50_000, "+", np.ones((50_000, 16), "float32"))
    os.kill(os.getpid(), signal.SIGKILL)
"""

    status = subprocess.run([sys.executable, "-c", code, str(path)], env=ENVIRONMENT, check=False)

    assert status.returncode == -signal.SIGKILL
    assert path.read_bytes() == before


def test_a_full_disk_is_an_output_error(small_disk: Path) -> None:
    with pytest.raises(OutputError, match=r"x\.h5: cannot write: No space left on device"):
        write(small_disk / "x.h5", itertools.repeat(a_row(0), 30_000))

    assert list(small_disk.iterdir()) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from hyenadna_cli.core.io.embeddings_h5 import (EmbeddingRow, PooledWriter)
from hyenadna_cli.core.outputs.provenance import Provenance
vectors = {"mean": np.ones(128, "float32"), "last": np.ones(128, "float32")}
with PooledWriter(
    Path(sys.argv[1]), keys=list(vectors), d_model=128, made_by=Provenance(), overwrite=True
) as writer:
    for i in range(int(sys.argv[2])):
        writer.append(
            EmbeddingRow(f"region_{i}", "chr1", i, i + 5, "+", 5, 0.0, 1, "OK", vectors))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

    def peak_kib(n_records: int) -> int:
        command = [sys.executable, "-c", code, str(tmp_path / "x.h5"), str(n_records)]
        result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True)
        return int(result.stdout)

    assert peak_kib(50_000) < 1.1 * peak_kib(100)


def test_a_vector_of_another_size_is_refused(tmp_path: Path) -> None:
    row = a_row(0)
    row.vectors["mean_layer0"] = np.zeros(1, np.float32)

    with pytest.raises(ValueError, match="needs a vector mean_layer0 of 16 numbers"):
        write(tmp_path / "x.h5", [row])


@pytest.mark.parametrize("keys", [[], ["a", "a"], ["a/b"]], ids=["none", "twice", "slash"])
def test_keys_that_cannot_be_names_are_refused(tmp_path: Path, keys: list[str]) -> None:
    with pytest.raises(ValueError, match="keys must be"):
        PooledWriter(tmp_path / "x.h5", keys=keys, d_model=1, made_by=MADE_BY, overwrite=False)


def test_the_token_layout_is_the_one_specified(tmp_path: Path) -> None:
    path = write_tokens(tmp_path / "t.h5", 5, 0, 2_000)

    assert tree(path) == {
        "tokens/data": ((2_005, D_MODEL), "float32"),
        "tokens/offsets": ((4,), "int64"),
        "regions/name": ((3,), "utf8"),
        "regions/chrom": ((3,), "utf8"),
        "regions/start": ((3,), "int64"),
        "regions/end": ((3,), "int64"),
        "regions/strand": ((3,), "utf8"),
    }
    with h5py.File(path) as file:
        assert file.attrs["format"] == "hyenadna-tokens"
        assert file.attrs["command"] == "hyenadna embed --fasta 'my genome.fa'"


def test_tokens_are_read_back_record_by_record(tmp_path: Path) -> None:
    lengths = (5, 0, 2_000, 1)

    read = read_tokens(write_tokens(tmp_path / "t.h5", *lengths))

    for i, length in enumerate(lengths):
        assert np.array_equal(read.of(i), token_rows(i, length))
    assert list(read.offsets) == [0, 5, 5, 2_005, 2_006]
    assert list(read.regions["name"]) == ["gene"] * 4
    assert list(read.regions["end"]) == [5, 1, 2_002, 4]
    assert read.made_by.items() >= MADE_BY.as_attrs().items()


def test_a_token_file_without_records_is_valid(tmp_path: Path) -> None:
    read = read_tokens(write_tokens(tmp_path / "t.h5"))

    assert read.data.shape == (0, D_MODEL)
    assert list(read.offsets) == [0]


def test_half_precision_keeps_what_it_can(tmp_path: Path) -> None:
    data = token_rows(0, 100)
    with TokenWriter(
        tmp_path / "t.h5", d_model=D_MODEL, dtype="float16", made_by=MADE_BY, overwrite=False
    ) as writer:
        writer.append("a", "chr1", 0, 100, "+", data)

    read = read_tokens(tmp_path / "t.h5")

    assert np.array_equal(read.data, data.astype(np.float16))


def test_a_number_too_large_for_half_precision_is_an_output_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"value of gene is too large for float16; write float32"),
        TokenWriter(
            tmp_path / "t.h5", d_model=1, dtype="float16", made_by=MADE_BY, overwrite=False
        ) as writer,
    ):
        writer.append("gene", "chr1", 0, 1, "+", np.array([[1e6]], np.float32))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(5,), (5, D_MODEL + 1)], ids=str)
def test_token_rows_of_another_width_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with (
        pytest.raises(ValueError, match="gene needs rows of 16 numbers"),
        TokenWriter(
            tmp_path / "t.h5", d_model=D_MODEL, dtype="float32", made_by=MADE_BY, overwrite=False
        ) as writer,
    ):
        writer.append("gene", "chr1", 0, 5, "+", np.zeros(shape, np.float32))


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"x\.h5: no such file"):
        read_embeddings(tmp_path / "x.h5")


def test_a_file_of_another_kind_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("not HDF5")
    h5py.File(tmp_path / "other.h5", "w").close()
    tokens = write_tokens(tmp_path / "t.h5", 1)
    pooled = write(tmp_path / "x.h5", [a_row(0)])

    with pytest.raises(InputFileError, match="not an HDF5 file"):
        read_embeddings(tmp_path / "text.h5")
    with pytest.raises(InputFileError, match="is not an embedding file"):
        read_embeddings(tmp_path / "other.h5")
    with pytest.raises(InputFileError, match="is a hyenadna-tokens file"):
        read_embeddings(tokens)
    with pytest.raises(InputFileError, match="is a hyenadna-embeddings file"):
        read_tokens(pooled)


def test_a_truncated_file_is_an_input_error(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", [a_row(i) for i in range(3)])
    path.write_bytes(path.read_bytes()[:5_000])

    with pytest.raises(InputFileError, match="damaged"):
        read_embeddings(path)


def test_a_file_without_its_data_is_an_input_error(tmp_path: Path) -> None:
    path = write_tokens(tmp_path / "t.h5", 1)
    with h5py.File(path, "a") as file:
        del file["tokens/offsets"]

    with pytest.raises(InputFileError, match="is damaged"):
        read_tokens(path)


def test_a_file_with_other_things_in_the_place_of_its_data_is_an_input_error(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "x.h5", [a_row(0)])
    with h5py.File(path, "a") as file:
        del file["obs/chrom"]
        file["obs/chrom"] = np.dtype("int8")

    with pytest.raises(InputFileError, match=r"x\.h5: is damaged"):
        read_embeddings(path)


def test_a_newer_format_is_an_input_error(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", [a_row(0)])
    with h5py.File(path, "a") as file:
        file["uns/hyenadna/format-version"][()] = 2

    with pytest.raises(InputFileError, match="format version 2; this hyenadna reads 1"):
        read_embeddings(path)


def test_a_file_is_read_where_locks_are_refused(tmp_path: Path) -> None:
    """As on some network file systems; a lock held by another process looks the same."""
    path = write(tmp_path / "x.h5", [a_row(0)])
    code = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("locked", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(path)]

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(BlockingIOError):
            h5py.File(path)

        read = read_embeddings(path)
        process.communicate()

    assert read.names == ["región_0"]


def test_a_damaged_length_of_a_text_reserves_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", [a_row(0)])
    with h5py.File(path) as file:
        place = file["uns/hyenadna/format"].id.get_offset()
        chunk = file["obs/_index"].id.get_chunk_info(0).byte_offset
    data = path.read_bytes()

    for offset, name in ((place, "uns/hyenadna/format"), (chunk, "obs/_index")):
        path.write_bytes(data[:offset] + b"\xff\xff\xff\xff" + data[offset + 4 :])
        with pytest.raises(InputFileError, match=rf"is damaged: a text of {name} claims more than"):
            read_embeddings(path)


@pytest.mark.parametrize("chunks", [(1, 1), (1 << 16, 1 << 10)], ids=["shape", "chunk"])
def test_a_dataset_that_the_file_cannot_hold_is_damaged(
    tmp_path: Path, chunks: tuple[int, int]
) -> None:
    path = write(tmp_path / "x.h5", [a_row(0)])
    with h5py.File(path, "a") as file:
        del file["X"]
        shape = (1 << 20, 1 << 12) if chunks == (1, 1) else (1, 1)
        file.create_dataset("X", shape, np.float32, chunks=chunks, maxshape=(None, None))

    with pytest.raises(InputFileError, match=r"is damaged: X claims more than the file can hold"):
        read_embeddings(path)


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("X", [1.0, 2.0], "X is not a dataset of 2 axes"),
        ("obs/start", [1, 2], "obs/start has 2 rows, not 1"),
        ("uns/hyenadna/repeated", [7], "names rows that are not there"),
        ("obs/_index", [1.5], "string"),
    ],
)
def test_what_is_not_as_the_format_says_is_named(
    tmp_path: Path, name: str, data: list[float], problem: str
) -> None:
    path = write(tmp_path / "x.h5", [a_row(0)])
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = np.array(data)

    with pytest.raises(InputFileError, match=rf"x\.h5: is damaged: .*{problem}"):
        read_embeddings(path)


def test_offsets_that_do_not_cut_the_data_are_damaged(tmp_path: Path) -> None:
    path = write_tokens(tmp_path / "t.h5", 2)
    with h5py.File(path, "a") as file:
        file["tokens/offsets"][-1] = 10**9

    with pytest.raises(InputFileError, match="tokens/offsets do not cut tokens/data"):
        read_tokens(path)


def test_an_error_of_who_reads_is_not_taken_for_damage(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5", [a_row(0)])

    with pytest.raises(TypeError, match="mine"), opened(path, POOLED_FORMAT):
        raise TypeError("mine")
