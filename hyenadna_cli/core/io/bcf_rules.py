"""What BCF cannot hold: told before anything is encoded, by the line that is wrong.

htslib itself stops at some of it without saying where, and changes the rest: DP=1.5 becomes 1,
QUAL=abc becomes 0, a sample too many is dropped.
"""

from __future__ import annotations

import re

from hyenadna_cli.core.io.bcf import (
    BcfEncoder,
    RefusedHeaderError,
    RefusedLineError,
    states_first_phase,
)
from hyenadna_cli.core.io.vcf import N_FIXED, VcfHeader, VcfRecord

_COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
_LAST_POSITION = 2**31 - 1

# BCF has room for -2,147,483,640 to 2,147,483,647.
_INTEGER = (
    r"-?(?:\d{1,9}|1\d{9}|20\d{8}|21[0-3]\d{7}|214[0-6]\d{6}|2147[0-3]\d{5}|21474[0-7]\d{4}|"
    r"214748[0-2]\d{3}|2147483[0-5]\d{2}|21474836[0-3]\d|2147483640)|214748364[1-7]|\."
)
_FLOAT = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?i:nan|inf|infinity)|\."
_GENOTYPE = r"(?:\d+|\.)(?:[/|](?:\d+|\.))*"
_TEXT = r"[^:\t]+"
_ALLELES = {"Integer": _INTEGER, "Float": _FLOAT}

_IS_INTEGER = re.compile(rf"(?:{_INTEGER})(?:,(?:{_INTEGER}))*")
_IS_FLOAT = re.compile(rf"(?:{_FLOAT})(?:,(?:{_FLOAT}))*")
_IS_QUAL = re.compile(_FLOAT)


class BcfHeaderError(ValueError):
    """A header that BCF cannot hold."""

    def __init__(self, problem: str, line: str | None) -> None:
        super().__init__(problem)
        self.line = line
        """The line that is wrong, if it is a single one."""


def encoder_of(header: VcfHeader) -> BcfEncoder:
    """An encoder for records under this header. Raises BcfHeaderError."""
    if (problem := _problem_of_columns(header.columns.split("\t"))) is not None:
        raise BcfHeaderError(problem, header.columns)
    try:
        return BcfEncoder(header.text(line_end="\n"))
    except RefusedHeaderError as error:
        shown = "a line of the header" if error.line is None else f"the header line {error.line!r}"
        raise BcfHeaderError(f"BCF cannot hold {shown}", error.line) from error


def _problem_of_columns(names: list[str]) -> str | None:
    if names[:N_FIXED] != _COLUMNS:
        return f"the columns {' '.join(names[:N_FIXED])!r} are not exactly those of VCF"
    if len(names) == N_FIXED:
        return None
    format_name, *samples = names[N_FIXED:]
    if format_name != "FORMAT" or "" in samples:
        return "column 9 is not FORMAT, a sample has no name, or the line ends with a tab"
    if not samples:
        return "a FORMAT column without samples, which BCF cannot hold"
    seen: set[str] = set()
    for name in samples:
        if name in seen:
            return f"two samples are called {name!r}, which BCF cannot hold"
        seen.add(name)
    return None


class BcfRules:
    """Whether records can be encoded under a header, without loss."""

    def __init__(self, header: VcfHeader) -> None:
        self._n_samples = header.n_samples
        self._info = header.types("INFO")
        self._format = header.types("FORMAT")
        self._has_first_phase = states_first_phase(header.text(line_end="\n"))
        self._samples_of: dict[str, re.Pattern[str]] = {}

    def problem(self, columns: tuple[str, ...]) -> str | None:
        """What of a record BCF cannot hold; None if nothing."""
        if int(columns[1]) > _LAST_POSITION:
            return f"POS {columns[1]} is beyond {_LAST_POSITION:,}, the last that BCF can hold"
        if not _IS_QUAL.fullmatch(columns[5]):
            return f"QUAL {columns[5]!r} is not a number"
        if not columns[6]:
            return "FILTER may not be empty"
        if "" in columns[4].split(","):
            return f"ALT {columns[4]!r} has an empty allele"
        return self._problem_of_info(columns[7]) or self._problem_of_samples(columns)

    def _problem_of_info(self, info: str) -> str | None:
        for entry in info.split(";"):
            name, _, value = entry.partition("=")
            declared = self._info.get(name)
            if not value or declared not in ("Integer", "Float"):
                continue
            if not (_IS_INTEGER if declared == "Integer" else _IS_FLOAT).fullmatch(value):
                return f"INFO {entry!r}: BCF cannot hold it as the {declared} of the header"
        return None

    def _problem_of_samples(self, columns: tuple[str, ...]) -> str | None:
        if len(columns) == N_FIXED:
            if not self._n_samples:
                return None
            return f"no FORMAT and samples, where the header names {self._n_samples:,} samples"
        keys, *_ = columns[N_FIXED].split("\t", 1)
        text = columns[N_FIXED][len(keys) :]
        if (n_samples := text.count("\t")) != self._n_samples:
            return f"{n_samples:,} samples, where the header names {self._n_samples:,}"
        pattern = self._samples_of.get(keys)
        if pattern is None:
            pattern = self._samples_of[keys] = self._pattern(keys)
        if not pattern.fullmatch(text):
            return self._first_bad_sample(keys.split(":"), text.split("\t")[1:])
        return None

    def _pattern(self, keys: str) -> re.Pattern[str]:
        """What the samples of a FORMAT look like: values left out at the end are allowed."""
        values = ""
        names = keys.split(":")
        if len(set(names)) != len(names):
            return re.compile(r"(?!)")
        for name in reversed(names):
            value = self._value(name)
            values = value + (f"(?::{values})?" if values else "")
        return re.compile(rf"(?:\t{values})*")

    def _value(self, name: str) -> str:
        if name == "GT":
            return _GENOTYPE
        of_one = _ALLELES.get(self._format.get(name, ""))
        return _TEXT if of_one is None else f"(?:{of_one})(?:,(?:{of_one}))*"

    def _first_bad_sample(self, keys: list[str], samples: list[str]) -> str:
        if len(set(keys)) != len(keys):
            return f"FORMAT {':'.join(keys)} names a key twice"
        for number, sample in enumerate(samples, start=1):
            values = sample.split(":")
            if len(values) > len(keys):
                return f"sample {number}, {sample!r}, has more values than FORMAT {':'.join(keys)}"
            for key, value in zip(keys, values, strict=False):
                if re.fullmatch(self._value(key), value):
                    continue
                if key == "GT" and self._has_first_phase and re.match(r"[/|]", value):
                    return (
                        f"genotype {value!r} of sample {number} states the phase of its first "
                        "allele, which tools lose in BCF"
                    )
                kind = "genotype" if key == "GT" else self._format.get(key, "text")
                return f"sample {number}, {sample!r}: {key} {value!r} is not a valid {kind}"
        return f"the samples do not agree with FORMAT {':'.join(keys)}"


class BcfBatch:
    """Records waiting to be encoded together; who adds them is told which one cannot be."""

    def __init__(self, encoder: BcfEncoder) -> None:
        self._encoder = encoder
        self._records: list[VcfRecord] = []
        self._lines: list[str] = []
        self._n_characters = 0

    @property
    def is_full(self) -> bool:
        """Whether it is time to encode."""
        return len(self._lines) >= 1_000 or self._n_characters >= 1 << 22

    def add(self, record: VcfRecord, line: str) -> None:
        """A record, and what is written of it."""
        self._records.append(record)
        self._lines.append(line.rstrip("\r\n") + "\n")
        self._n_characters += len(line)

    def encode(self) -> bytes:
        """What has been added, as BCF. Raises BcfRecordError."""
        records, lines = self._records, self._lines
        self._records, self._lines, self._n_characters = [], [], 0
        try:
            return self._encoder.encode(lines) if lines else b""
        except RefusedLineError as error:
            raise BcfRecordError(records[error.number]) from error


class BcfRecordError(ValueError):
    """A record that htslib cannot encode, for a reason that it keeps to itself."""

    def __init__(self, record: VcfRecord) -> None:
        super().__init__(record.place)
        self.record = record
