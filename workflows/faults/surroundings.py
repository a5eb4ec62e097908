"""Disks, pipes, environments, twins and empty inputs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

from bench import Bench, Case, contents, ended
from interruptions import judge
from row import Row

Check = Callable[["subprocess.CompletedProcess[bytes]"], str | None]


def two_runs(bench: Bench, case: Case) -> Row:
    """Two runs of one output at the same time."""
    whole, _ = bench.undisturbed(case)
    row = Row("two runs, one output", case.name)
    for _ in range(5):
        with bench.output_folder() as folder:
            both = [bench.start(case, folder / case.output) for _ in range(2)]
            codes = sorted(ended(process) for process in both)
            row.runs += 1
            row.codes.update(codes)
            if codes not in ([0, 6], [0, 0]):
                row.problems.append(f"exits {codes}")
            judge(row, folder, whole, case)
            if contents(folder, final_only=False) != whole:
                row.problems.append("other files than of one run")
    return row


def file_system(bench: Bench, case: Case, options: str, fault: str, *, old: bool) -> Row:
    """An output on a file system that is full or read-only; exit 6 and what was there stays."""
    row = Row(fault, case.name)
    with bench.output_folder() as folder:
        mounted = subprocess.run(  # noqa: S603
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],  # noqa: S607
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            row.note = f"not run: {mounted.stderr.decode().strip()}"
            return row
        try:
            if old:
                if not case.is_training:
                    (folder / case.output).write_bytes(b"old")
                free = int(shutil.disk_usage(folder).free)
                (folder / "filler").write_bytes(b"x" * (free - 8_192))
            before = contents(folder, final_only=False)
            code = ended(bench.start(case, folder / case.output, "--force"))
            row.runs, row.codes = 1, Counter({code: 1})
            if code != 6:
                row.problems.append(f"exit {code}: {bench.said()[-200:]}")
            if case.is_training:
                # A run directory keeps what it has, for --resume.
                if any(name.endswith("training.json") for name in contents(folder)):
                    row.problems.append("a run that was not finished looks finished")
                row.left["without a model"] += 1
            else:
                if contents(folder) != before:
                    row.problems.append("the old output has changed")
                row.left["old output kept" if old else "without output"] += 1
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S603, S607
    return row


def streams(bench: Bench, case: Case) -> Iterator[Row]:
    """Pipes for an output; `case` is one that writes text."""
    line = " ".join(["hyenadna", *(word for word in case.arguments if word != "-W")])
    whole = bench.shell(f"{line} -q").stdout
    fifo = f"mkfifo f; {line} -q -o f & cat f; rc=$?; wait $! || rc=$?; rm f; exit $rc"
    yield _shell_row(bench, "output on a FIFO", case, fifo, _same(whole))
    head = f"set -o pipefail; {line} | head -n 1"
    yield _shell_row(bench, "| head -n 1", case, head, _quiet)


def environments(bench: Bench, case: Case) -> Iterator[Row]:
    """Whatever a batch system may leave out."""
    line = " ".join(case.arguments)
    whole = bench.shell(f"hyenadna {line} -q").stdout
    settings = {
        "LANG=C, LC_ALL=C": "export LANG=C LC_ALL=C;",
        "HOME unset": "unset HOME;",
        "HOME cannot be written": "export HOME=/proc;",
        "no TTY, a session of its own": "exec setsid -w",
    }
    for fault, setting in settings.items():
        command = f'{setting} "{sys.executable}" -m hyenadna_cli {line} -q'
        yield _shell_row(bench, fault, case, command, _same(whole))


def truncated_inputs(bench: Bench) -> Iterator[Row]:
    """A bgzip VCF and a gzip FASTA that end early, as files and while they are read."""
    score = bench.case("score-variants (.vcf.gz)")
    options = " ".join(word for word in score.arguments[2:] if word != "-W")
    model = " ".join(bench.records[0].arguments[5:])
    vcf = score.arguments[1]
    commands = {
        "score-variants (.vcf)": (vcf, f"hyenadna score-variants {{}} {options} -q -o cut.vcf"),
        "embed (.tsv)": ("seqs.fa.gz", f"hyenadna embed --fasta {{}} {model} -q -o cut.tsv"),
        "perplexity (.tsv)": (
            "seqs.fa.gz",
            f"hyenadna perplexity --fasta {{}} {model} -q -o cut.tsv",
        ),
    }
    sequences = "".join(f">s{i}\n{'ACGTTGCA' * 20}{'ACGT'[i % 4]}\n" for i in range(5_000))
    (bench.folder / "seqs.fa").write_text(sequences)
    bench.shell("gzip -kf seqs.fa")

    def refused(done: subprocess.CompletedProcess[bytes]) -> str | None:
        left = [path.name for path in bench.folder.iterdir() if path.name.startswith("cut.")]
        is_right = done.returncode == 3 and done.stderr.count(b"\n") == 1 and not left
        return None if is_right else f"exit {done.returncode}, left {left}"

    for name, (source, command) in commands.items():
        half = f"head -c $(( $(stat -c %s {source}) / 2 )) {source}"
        case = Case((name.split(" ", maxsplit=1)[0],), f"x{name.split('(')[1][:-1]}")
        yield _shell_row(
            bench,
            "input truncated while reading (pipe)",
            case,
            f"{half} | {command.format('-')}",
            refused,
        )
        yield _shell_row(
            bench,
            "input truncated (file)",
            case,
            f"{half} > half.gz; {command.format('half.gz')}",
            refused,
        )


def empty_input(bench: Bench, case: Case) -> Row:
    """An empty valid input: exit 0 and an output that has no rows."""
    swaps = {"regions.bed": "empty.bed", "variants.vcf.gz": "empty.vcf"}
    arguments = []
    for argument in case.arguments:
        for old, new in swaps.items():
            argument = argument.replace(old, new)
        if not argument.startswith("--region"):
            arguments.append(argument)
    if case.arguments[0] == "mutagenize":
        arguments += ["--bed", str(bench.folder / "empty.bed")]
    row = Row("empty input", case.name)
    with bench.output_folder() as folder:
        code = ended(bench.start(Case(tuple(arguments), case.output), folder / case.output))
        row.runs, row.codes = 1, Counter({code: 1})
        if code != 0 or not (folder / case.output).exists():
            row.problems.append(f"no valid empty output: {bench.said()[-200:]}")
        row.left["valid empty outputs"] += 1
    return row


def _shell_row(bench: Bench, fault: str, case: Case, command: str, check: Check) -> Row:
    done = bench.shell(command)
    row = Row(fault, case.name, 1, codes=Counter({done.returncode: 1}))
    if (problem := check(done)) is not None:
        row.problems.append(f"{problem}: {done.stderr.decode()[-300:]}")
    return row


def _same(expected: bytes) -> Check:
    return lambda done: None if (done.returncode, done.stdout) == (0, expected) else "differs"


def _quiet(done: subprocess.CompletedProcess[bytes]) -> str | None:
    return None if done.returncode == 0 and b"Traceback" not in done.stderr else "not quiet"
