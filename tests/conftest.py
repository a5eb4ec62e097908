"""Builders that make a small input file from what the test shows, a tiny model, the program."""

from __future__ import annotations

import gzip
import logging
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pysam
import pytest

from hyenadna_cli import cli
from hyenadna_cli.core.io.streams import Compression

FileBuilder = Callable[..., Path]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tests marked `minutes` are run when they are asked for."""
    parser.addoption("--minutes", action="store_true", help="also run tests that take minutes")


def pytest_configure(config: pytest.Config) -> None:
    """Triton's kernels run in its interpreter; `pytest -m gpu` runs them for real.

    Hypothesis has no deadline: how long an example takes says how busy the machine is.
    """
    hypothesis.settings.register_profile("house", deadline=None)
    hypothesis.settings.load_profile("house")
    is_real = config.getoption("markexpr").strip() == "gpu"
    # Triton reads it when it is imported, which no test module has done yet.
    os.environ.setdefault("TRITON_INTERPRET", "0" if is_real else "1")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that need a GPU are skipped where there is none, and long ones unless asked for."""
    if item.get_closest_marker("minutes") and not item.config.getoption("--minutes"):
        pytest.skip("takes minutes; run with --minutes")
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is visible")
    if os.environ["TRITON_INTERPRET"] != "0":
        pytest.skip("Triton's interpreter is on, so no kernel is compiled: run pytest -m gpu")


class Finished(NamedTuple):
    """How a run of the program ended."""

    code: int
    out: str
    err: str


Program = Callable[..., Finished]


@pytest.fixture
def text_file(tmp_path: Path) -> FileBuilder:
    """`text_file("text", name="x.gz", compression="bgzip")`: none (the default), gzip or bgzip."""

    def build(text: str, *, name: str, compression: Compression = "none") -> Path:
        path = tmp_path / name
        if compression == "bgzip":
            with pysam.BGZFile(str(path), "wb", None) as file:
                file.write(text.encode())
        else:
            path.write_bytes(
                gzip.compress(text.encode()) if compression == "gzip" else text.encode()
            )
        return path

    return build


@pytest.fixture
def fasta_file(text_file: FileBuilder) -> FileBuilder:
    """`fasta_file({"chr1": "ACGT"})`: a FASTA with its index; `compression` as for `text_file`."""

    def build(
        records: Mapping[str, str],
        *,
        name: str = "genome.fa",
        compression: Compression = "none",
        is_indexed: bool = True,
        line_bases: int = 60,
    ) -> Path:
        lines = []
        for title, sequence in records.items():
            lines.append(f">{title}")
            lines += [sequence[i : i + line_bases] for i in range(0, len(sequence), line_bases)]
        path = text_file("\n".join([*lines, ""]), name=name, compression=compression)
        if is_indexed:
            pysam.faidx(str(path))
        return path

    return build


@pytest.fixture
def bed_file(text_file: FileBuilder) -> FileBuilder:
    """`bed_file("chr1 0 4 name 0 +", ...)`: one line each, spaces become tabs."""

    def build(*lines: str, name: str = "regions.bed", compression: Compression = "none") -> Path:
        text = "".join(line.replace(" ", "\t") + "\n" for line in lines)
        return text_file(text, name=name, compression=compression)

    return build


@pytest.fixture
def hyenadna(capsys: pytest.CaptureFixture[str]) -> Iterator[Program]:
    """`hyenadna("embed", "--fasta", path)`: run the program here; gives code, out and err."""

    def run(*arguments: object) -> Finished:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Finished(int(exit_.value.code or 0), captured.out, captured.err)

    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield run
    # The program logs to this test's stderr, which is closed once the test has ended.
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: 16 wide, 2 blocks, l_max 258; random weights in which context matters."""
    import torch

    from hyenadna_cli.core.config.settings import ModelConfig
    from hyenadna_cli.core.model.checkpoints import checkpoint
    from hyenadna_cli.core.model.hyenadna import HyenaDNA

    directory = tmp_path_factory.mktemp("models") / "tiny_model"
    directory.mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = HyenaDNA(ModelConfig(d_model=16, n_layer=2, d_inner=64, l_max=258)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "implicit_filter" not in name:
                parameter *= 10
    checkpoint.save(model, directory)
    return directory


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; skips where mounting one is not permitted."""
    disk = tmp_path / "small_disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting a small tmpfs is not permitted here: {error}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def vcf_file(text_file: FileBuilder) -> FileBuilder:
    """`vcf_file("chr1 5 . A G", ...)`: spaces become tabs, columns left out become ".".

    `header`: further `##` lines; `samples`: their names, the records then bring all columns.
    """

    def build(
        *records: str,
        name: str = "variants.vcf",
        contigs: Mapping[str, int] | None = None,
        header: tuple[str, ...] = (),
        samples: tuple[str, ...] = (),
        compression: Compression = "none",
    ) -> Path:
        declared = [f"##contig=<ID={k},length={v}>" for k, v in (contigs or {}).items()]
        fixed = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
        columns = "\t".join([*fixed, *(["FORMAT", *samples] if samples else [])])
        lines = ["##fileformat=VCFv4.2", *declared, *header, columns]
        for record in records:
            cells = record.split(" ")
            lines.append("\t".join([*cells, *["."] * (8 - len(cells))]))
        return text_file("".join(f"{line}\n" for line in lines), name=name, compression=compression)

    return build
