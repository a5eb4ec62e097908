"""Break runs of the real commands in every way this machine allows, and count what is left.

    python workflows/faults/fault_table.py --kills 20 > docs/fault-table.md

After each fault an output must be absent or whole (byte-equal to that of an undisturbed run), the
exit code the documented one, and the same command with `--resume` must end in the same bytes.
Exits 1 if anything else was found. Data and a tiny model are made on the spot.

Each run is a process of its own, forked from this one, which has the libraries loaded already: so
the moments of the kills fall into the work and not into the loading of libraries. What is about
environments and pipes starts `python -m hyenadna_cli` instead.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from hyenadna_cli import cli
from hyenadna_cli.core import checkpoint
from hyenadna_cli.core.config import ModelConfig
from hyenadna_cli.core.model import HyenaDNA

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Case:
    """A command with everything but its output."""

    arguments: tuple[str, ...]
    output: str

    @property
    def name(self) -> str:
        """`embed (.h5ad)`."""
        return f"{self.arguments[0]} ({''.join(Path(self.output).suffixes)})"


@dataclass
class Row:
    """One line of the table."""

    fault: str
    command: str
    runs: int = 0
    left: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    note: str = ""

    def text(self) -> str:
        """As Markdown."""
        codes = ", ".join(f"{code} x {n}" for code, n in sorted(self.codes.items()))
        left = ", ".join(f"{n} {what}" for what, n in sorted(self.left.items()))
        verdict = "; ".join(self.problems) if self.problems else (self.note or "ok")
        return f"| {self.fault} | {self.command} | {self.runs} | {codes} | {left} | {verdict} |"


class Bench:
    """A folder with data, a model, the commands, and what undisturbed runs write."""

    def __init__(self, folder: Path, *, n_records: int, seed: int) -> None:
        self.folder = folder
        self.random = random.Random(seed)  # noqa: S311
        self.model = folder / "model"
        self._make_model()
        self._make_data(n_records)
        model = ("-m", str(self.model), "--device", "cpu", "--threads", "1", "--no-version")
        fasta = ("--fasta", str(folder / "genome.fa"))
        regions = (*fasta, "--bed", str(folder / "regions.bed"), *model)
        alleles = (*fasta, *model, "--window", "64")
        vcf = str(folder / "variants.vcf.gz")
        # Regions of up to 32,768 bases are kept as a whole.
        spots = [f"--region=chr1:{start}-{start + 80}" for start in range(1_001, 4_001, 100)]
        self.cases = [
            Case(("embed", *regions), "x.tsv"),
            Case(("embed", *regions, "--pool", "mean,last"), "x.h5ad"),
            Case(("embed", *regions, "--pool", "token"), "x.h5"),
            Case(("perplexity", *regions), "x.tsv.gz"),
            Case(("score-variants", vcf, *alleles, "-W"), "x.vcf.gz"),
            Case(("score-variants", vcf, *alleles), "x.bcf"),
            Case(("mutagenize", *alleles, *spots), "x.tsv"),
            Case(("mutagenize", *alleles, *spots, "--full"), "x.bedgraph"),
        ]

    def _make_model(self) -> None:
        self.model.mkdir()
        torch.manual_seed(1)
        shape = ModelConfig(d_model=16, n_layer=2, d_inner=64, l_max=258)
        checkpoint.save(HyenaDNA(shape).eval(), self.model)

    def _make_data(self, n_records: int) -> None:
        bases = "".join(self.random.choices("ACGT", k=100_000))
        (self.folder / "genome.fa").write_text(f">chr1\n{bases}\n")
        (self.folder / "genome.fa.fai").write_text("chr1\t100000\t6\t100000\t100001\n")
        starts = sorted(self.random.randrange(200, 99_000) for _ in range(n_records))
        regions = "".join(f"chr1\t{s}\t{s + 60}\tr{i % 97}\n" for i, s in enumerate(starts))
        (self.folder / "regions.bed").write_text(regions)
        (self.folder / "empty.bed").write_text("")
        header = "##fileformat=VCFv4.2\n##contig=<ID=chr1,length=100000>\n"
        header += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        records = "".join(
            f"chr1\t{s + 1}\tv{i}\t{bases[s]}\t{'G' if bases[s] == 'A' else 'A'}\t.\t.\t.\n"
            for i, s in enumerate(starts)
        )
        (self.folder / "empty.vcf").write_text(header)
        (self.folder / "empty.fa").write_text("")
        from Bio import bgzf

        with bgzf.open(str(self.folder / "variants.vcf.gz"), "w") as file:
            file.write(header + records)

    @contextmanager
    def output_folder(self) -> Iterator[Path]:
        """An empty folder for outputs, removed afterwards."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            yield Path(name)

    def start(self, case: Case, output: Path, *more: str) -> int:
        """Fork a run; returns its process id."""
        return self.fork([*case.arguments, "-o", str(output), *more])

    def fork(self, arguments: list[str]) -> int:
        """Fork a run of the program; stderr goes to a file, as nobody watches."""
        process = os.fork()
        if process:
            return process
        code = 99
        try:
            with (self.folder / "stderr").open("ab") as log:
                os.dup2(log.fileno(), 2)
            cli.main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            os._exit(code)

    def shell(
        self, command: str, *, env: dict[str, str] | None = None, **options: bool
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a shell command in which `hyenadna` is the program."""
        program = f'hyenadna() {{ "{sys.executable}" -m hyenadna_cli "$@"; }}\n'
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)} if env is None else env
        return subprocess.run(  # noqa: S603
            ["/bin/bash", "-c", program + command], capture_output=True, env=environment,
            cwd=self.folder, stdin=subprocess.DEVNULL, check=False, **options,
        )  # fmt: skip

    def line(self, case: Case, *more: str) -> str:
        """`case` for `shell`."""
        return " ".join(["hyenadna", *case.arguments, *more])


def ended(process: int) -> int:
    """Wait; the exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def contents(folder: Path, *, final_only: bool = True) -> dict[str, bytes]:
    """The files of a folder by name; journals and unfinished files are not final."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not final_only or not (".tmp." in path.name or path.name.endswith(".journal"))
    }


def undisturbed(bench: Bench, case: Case) -> tuple[dict[str, bytes], float]:
    """What a run writes that nobody disturbs, and its seconds."""
    with bench.output_folder() as folder:
        started = time.monotonic()
        code = ended(bench.start(case, folder / case.output))
        assert code == 0, (bench.folder / "stderr").read_text()
        return contents(folder), time.monotonic() - started


def judge(row: Row, folder: Path, whole: dict[str, bytes], output: str) -> None:
    """Say what is left after a fault: every final file must be whole, the index before its data."""
    found = contents(folder)
    for name, data in found.items():
        if data != whole.get(name):
            row.problems.append(f"{name} is not whole")
    if output in found and len(whole) == 3 and f"{output}.csi" not in found:
        row.problems.append("the output is there without its index")
    row.left["whole outputs" if output in found else "without output"] += 1


def signals(bench: Bench, case: Case, n: int, number: signal.Signals, codes: set[int]) -> Row:
    """Interrupt runs at random moments; go on with --resume until each output is there."""
    whole, seconds = undisturbed(bench, case)
    row = Row(f"{number.name} at a random moment", case.name)
    while row.runs < n:
        with bench.output_folder() as folder:
            for attempt in range(50):
                if row.runs >= n and attempt:
                    break
                process = bench.start(case, folder / case.output, "--resume")
                time.sleep(bench.random.uniform(0, 1.1 * seconds))
                os.kill(process, number)
                code = ended(process)
                if code == 0 and attempt == 0:
                    break  # it was faster: not a fault
                if code == 0:
                    break
                row.runs += 1
                row.codes[code] += 1
                if code not in codes:
                    row.problems.append(f"exit {code}")
                judge(row, folder, whole, case.output)
            code = ended(bench.start(case, folder / case.output, "--resume"))
            if code != 0 or contents(folder) != whole:
                row.problems.append(f"--resume ended with {code} and other bytes")
            left = contents(folder, final_only=False).keys() - whole.keys()
            if left:
                row.problems.append(f"left behind: {', '.join(left)}")
    row.note = "resumed to the same bytes"
    return row


def merge_case(bench: Bench, folder: Path, count: int) -> tuple[Case, Path]:
    """A merge of `count` shards made from one that is copied, and where they lie."""
    shards = folder / "shards"
    shards.mkdir()
    one = shards / "1.h5ad"
    small = bench.folder / "small.bed"
    lines = (bench.folder / "regions.bed").read_text().splitlines(keepends=True)
    small.write_text("".join(lines[:50]))
    arguments = [a.replace("regions.bed", "small.bed") for a in bench.cases[1].arguments]
    assert ended(bench.start(Case(tuple(arguments), ""), one, "--shard", "1/1")) == 0
    manifest = Path(f"{one}.manifest.json").read_text()
    for i in range(1, count + 1):
        if i > 1:
            os.link(one, shards / f"{i}.h5ad")
        text = manifest.replace('"shard": "1/1"', f'"shard": "{i}/{count}"')
        Path(f"{shards / str(i)}.h5ad.manifest.json").write_text(text)
    files = [str(path) for path in shards.glob("*.h5ad")]
    return Case(("merge", *files, "--no-version"), "merged.h5ad"), shards


def merges(bench: Bench, n: int) -> Iterator[Row]:
    """A merge of 1,000 shards, undisturbed, killed and stopped."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as name:
        case, _ = merge_case(bench, Path(name), 1_000)
        whole, seconds = undisturbed(bench, case)
        size = f"{len(whole[case.output]) / 1e6:.0f} MB in {seconds:.1f} s"
        yield Row("1,000 shards", "merge (.h5ad)", 1, Counter({"whole outputs": 1}),
                  Counter({0: 1}), note=size)  # fmt: skip
        for number, codes in ((signal.SIGKILL, {-9}), (signal.SIGTERM, {143})):
            row = Row(f"{number.name} at a random moment", "merge (.h5ad)")
            while row.runs < n:
                with bench.output_folder() as folder:
                    process = bench.start(case, folder / case.output)
                    time.sleep(bench.random.uniform(0.05, seconds))
                    os.kill(process, number)
                    code = ended(process)
                    row.runs += 1
                    row.codes[code] += 1
                    if code not in codes | {0}:
                        row.problems.append(f"exit {code}")
                    judge(row, folder, whole, case.output)
            yield row


def two_runs(bench: Bench, case: Case) -> Row:
    """Two runs of one output at the same time."""
    whole, _ = undisturbed(bench, case)
    row = Row("two runs, one output", case.name)
    for _ in range(5):
        with bench.output_folder() as folder:
            both = [bench.start(case, folder / case.output) for _ in range(2)]
            codes = sorted(ended(process) for process in both)
            row.runs += 1
            row.codes.update(codes)
            if codes not in ([0, 6], [0, 0]):
                row.problems.append(f"exits {codes}")
            judge(row, folder, whole, case.output)
    return row


def file_system(bench: Bench, case: Case, options: str, fault: str, *, old: bool) -> Row:
    """An output on a file system that is full or read-only; exit 6 and what was there stays."""
    row = Row(fault, case.name)
    with bench.output_folder() as folder:
        mounted = subprocess.run(  # noqa: S603
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],  # noqa: S607
            capture_output=True, check=False,
        )  # fmt: skip
        if mounted.returncode:
            row.note = f"not run: {mounted.stderr.decode().strip()}"
            return row
        try:
            if old:
                (folder / case.output).write_bytes(b"old")
                filler = folder / "filler"
                filler.write_bytes(b"x" * (int(shutil.disk_usage(folder).free) - 8_192))
            before = contents(folder, final_only=False)
            code = ended(bench.start(case, folder / case.output, "--force"))
            row.runs, row.codes = 1, Counter({code: 1})
            after = contents(folder)
            if code != 6:
                row.problems.append(f"exit {code}")
            if after != before:
                row.problems.append("the old output has changed")
            row.left["old output kept" if old else "without output"] += 1
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607
    return row


def streams(bench: Bench) -> Iterator[Row]:
    """Pipes, truncated inputs, and environments."""
    score, embed = bench.cases[4], bench.cases[0]
    vcf = score.arguments[1]
    plain = Case(tuple(a for a in score.arguments if a != "-W"), "x.vcf")
    whole = bench.shell(bench.line(plain, "-q")).stdout
    table = bench.shell(bench.line(embed, "-q")).stdout

    def row(fault: str, case: Case, command: str, check: Callable[..., str | None]) -> Row:
        done = bench.shell(command)
        found = Row(fault, case.name, 1, codes=Counter({done.returncode: 1}))
        if (problem := check(done)) is not None:
            found.problems.append(f"{problem}: {done.stderr.decode()[-300:]}")
        return found

    def same(expected: bytes) -> Callable[..., str | None]:
        return lambda done: None if (done.returncode, done.stdout) == (0, expected) else "differs"

    def quiet_head(done: subprocess.CompletedProcess[bytes]) -> str | None:
        return None if done.returncode == 0 and b"Traceback" not in done.stderr else "not quiet"

    def refused(done: subprocess.CompletedProcess[bytes]) -> str | None:
        left = [path for path in bench.folder.iterdir() if path.name.startswith("cut")]
        is_right = done.returncode == 3 and done.stderr.count(b"\n") == 1 and not left
        return None if is_right else f"exit {done.returncode}, left {left}"

    for case, expected in ((plain, whole), (embed, table)):
        fifo = f"mkfifo f; {bench.line(case, '-q -o f')} & cat f; rc=$?; wait $! || rc=$?; rm f; "
        yield row("output on a FIFO", case, f"{fifo} exit $rc", same(expected))
        head = f"set -o pipefail; {bench.line(case)} | head -n 1"
        yield row("| head -n 1", case, head, quiet_head)
    half = f"head -c $(( $(stat -c %s {vcf}) / 2 )) {vcf}"
    rest = " ".join(plain.arguments[2:])
    yield row("input truncated while reading (pipe)", plain,
              f"{half} | hyenadna score-variants - {rest} -q -o cut.vcf", refused)  # fmt: skip
    yield row("input truncated (file)", plain,
              f"{half} > half.vcf.gz; hyenadna score-variants half.vcf.gz {rest} -q -o cut.vcf",
              refused)  # fmt: skip
    prefix = {
        "LANG=C, LC_ALL=C": "export LANG=C LC_ALL=C;",
        "HOME unset": "unset HOME;",
        "HOME cannot be written": "export HOME=/proc;",
        "no TTY, a session of its own": "exec setsid -w",
    }
    for fault, setting in prefix.items():
        line = bench.line(embed, "-q").replace("hyenadna", f'"{sys.executable}" -m hyenadna_cli', 1)
        yield row(fault, embed, f"{setting} {line}", same(table))


def empties(bench: Bench) -> Iterator[Row]:
    """Empty valid inputs: exit 0 and an output that has no rows."""
    swaps = {"regions.bed": "empty.bed", "variants.vcf.gz": "empty.vcf"}
    for case in bench.cases:
        arguments = []
        for argument in case.arguments:
            for old, new in swaps.items():
                argument = argument.replace(old, new)
            if not argument.startswith("--region"):
                arguments.append(argument)
        if case.arguments[0] == "mutagenize":
            arguments += ["--bed", str(bench.folder / "empty.bed")]
        empty = Case(tuple(arguments), case.output)
        row = Row("empty input", case.name)
        with bench.output_folder() as folder:
            code = ended(bench.start(empty, folder / case.output))
            row.runs, row.codes = 1, Counter({code: 1})
            if code != 0 or not (folder / case.output).exists():
                row.problems.append("no valid empty output")
            row.left["valid empty outputs"] += 1
        yield row


def rows(bench: Bench, kills: int) -> Iterator[Row]:
    """The whole table."""
    for case in bench.cases:
        yield signals(bench, case, kills, signal.SIGKILL, {-9})
    for case in bench.cases:
        yield signals(bench, case, max(2, kills // 4), signal.SIGTERM, {143})
    yield from merges(bench, max(2, kills // 2))
    for case in bench.cases:
        yield two_runs(bench, case)
    for case in (bench.cases[1], bench.cases[4]):
        yield file_system(bench, case, "size=256k", "disk full", old=True)
        yield file_system(bench, case, "ro,size=256k", "read-only file system", old=False)
    yield from streams(bench)
    yield from empties(bench)


def main() -> int:
    """Print the table; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="per command")
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = " ".join(["workflows/faults/fault_table.py", *sys.argv[1:]])
    print(f"# Faults\n\nMade by `python {command}`; {options.records:,} records, a tiny model.")
    print("Negative exit codes are signals.\n")
    print("| fault | command | runs | exit codes | left | verdict |\n|---|---|---|---|---|---|")
    n_runs = n_bad = 0
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), n_records=options.records, seed=options.seed)
        for row in rows(bench, options.kills):
            print(row.text(), flush=True)
            n_runs += row.runs
            n_bad += len(row.problems)
    print(f"\n{n_runs} runs, {n_bad} problems.")
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
