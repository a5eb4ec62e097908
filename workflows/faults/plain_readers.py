"""Second readers of the formats, as plain as can be, to hold against those of the program.

They share no code with it. Each takes the bytes of a whole file and raises ValueError, or whatever
Python raises, where it cannot make sense of them. Sequences are A, C, G, T, N, case kept.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import struct

Sequences = list[tuple[str, str]]
"""Names and bases of the records of a file, in order."""


def text_of(data: bytes, *, errors: str = "strict") -> str:
    """UTF-8 without a byte order mark, its line ends as in Python."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def unpacked(data: bytes) -> bytes:
    """What gzip makes of the bytes of a file that says it is gzip; else these."""
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def bases(letters: str) -> str:
    """The letters as the program gives them: U is T, other IUPAC codes are N."""
    letters = letters.replace("U", "T").replace("u", "t")
    letters = re.sub("[RYSWKMBDHVX]", "N", letters)
    return re.sub("[ryswkmbdhvx]", "n", letters)


def fasta(data: bytes, *, as_samtools: bool = False) -> Sequences:
    """Records of a FASTA; to samtools only LF ends lines, and only ASCII blanks end names."""
    text = text_of(data, errors="surrogateescape")
    if as_samtools:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    records: list[list[str]] = []
    for line in text.split("\n"):
        if line.startswith(">"):
            blanks = " \t\v\f\r" if as_samtools else None
            title = line[1:].lstrip(blanks)
            records.append([re.split(f"[{blanks}]" if blanks else r"\s", title)[0]])
        elif records:
            records[-1].append("".join(line.split()))
        elif line.strip():
            raise ValueError(f"{line!r} stands before the first record")
    return [(name, bases("".join(lines))) for name, *lines in records]


def fastq(data: bytes) -> Sequences:
    """Records of a FASTQ, whose sequences and qualities may take several lines."""
    lines = [line.rstrip() for line in text_of(data).strip("\n").split("\n")]
    records = []
    at = 0
    while at < len(lines):
        if not lines[at].startswith("@"):
            if lines[at]:
                raise ValueError(f"{lines[at]!r} is where a record should start")
            at += 1
            continue
        name, sequence, quality = lines[at][1:].split()[0], "", ""
        at += 1
        while not lines[at].startswith("+"):
            sequence += lines[at]
            at += 1
        at += 1
        while len(quality) < len(sequence) or (not sequence and at < len(lines) and not lines[at]):
            quality += lines[at]
            at += 1
        if len(quality) != len(sequence):
            raise ValueError(f"{name} has {len(sequence)} bases and {len(quality)} qualities")
        records.append((name, bases(sequence)))
    return records


def genbank(data: bytes) -> list[str]:
    """The bases of the records of a GenBank file: what follows ORIGIN, without the numbers."""
    sequences, is_sequence = [], False
    current: list[str] = []
    for line in text_of(data).split("\n"):
        if line.startswith("//"):
            sequences.append(bases("".join(current).upper()))
            current, is_sequence = [], False
        elif is_sequence and (current or line[:12].strip()):  # else ORIGIN goes on
            current += line[10:].split()
        elif line.startswith("ORIGIN"):
            is_sequence = True
    return sequences


def twobit(data: bytes) -> Sequences:
    """Records of a 2bit file: blocks of N, and of lower case, over two bits per base."""
    order = next(o for o in "<>" if struct.unpack(f"{o}I", data[:4])[0] == 0x1A412743)

    def numbers(at: int, count: int) -> tuple[int, ...]:
        return struct.unpack_from(f"{order}{count}I", data, at)

    version, n_records, _ = numbers(4, 3)
    if version:
        raise ValueError(f"version {version}")
    records, at = [], 16
    for _ in range(n_records):
        end = at + 1 + data[at]
        name = data[at + 1 : end].decode()
        (place,) = numbers(end, 1)
        at = end + 4
        (length,) = numbers(place, 1)
        place += 4
        blocks = []
        for _ in ("N", "lower case"):
            (count,) = numbers(place, 1)
            both = numbers(place + 4, 2 * count)
            blocks.append(list(zip(both[:count], both[count:], strict=True)))
            place += 4 + 8 * count
        packed = data[place + 4 : place + 4 + (length + 3) // 4]
        letters = [*"".join("TCAG"[byte >> s & 3] for byte in packed for s in (6, 4, 2, 0))][
            :length
        ]
        if len(letters) < length:
            raise ValueError("the file ends early")
        for start, size in blocks[0]:
            letters[start : start + size] = "N" * len(letters[start : start + size])
        for start, size in blocks[1]:
            letters[start : start + size] = "".join(letters[start : start + size]).lower()
        records.append((name.split()[0], "".join(letters)))
    return records


def bed(data: bytes) -> list[tuple[str, str, int, int, str]]:
    """Contig, name (empty where there is none), start, end and strand of each region."""
    regions = []
    for line in text_of(data).split("\n"):
        words = line.split()
        if not words or words[0] in ("track", "browser") or words[0].startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else words
        name, _, strand = (*cells[3:6], "", "", "")[:3]
        shown = "" if name == "." else name
        regions.append((cells[0], shown, int(cells[1]), int(cells[2]), strand or "."))
    return regions


def gtf_exons(data: bytes) -> list[tuple[str, str, int, int, str]]:
    """Contig, transcript (or else gene), 0-based start, end and strand of each exon line.

    A gene's name that the line does not give is that of the last `gene` line of its gene_id.
    """
    exons, names = [], {}
    for line in text_of(data).split("\n"):
        if not line.strip() or line.startswith(("#", "track ", "browser ")):
            continue
        contig, _, kind, first, last, _, strand, _, attributes = line.split("\t", 8)
        if kind not in ("gene", "exon"):
            continue
        found = re.findall(r'(\w+)\s+(?:"(.*?)"|([^\s;"]+))\s*(?:;|$)', attributes)
        said = {key: quoted or bare for key, quoted, bare in found}
        name = said.get("gene_name") or said.get("gene") or names.get(said["gene_id"])
        if kind == "gene":
            names[said["gene_id"]] = said.get("gene_name") or said.get("gene")
            continue
        name = said.get("transcript_id") or name or said["gene_id"]
        exons.append((contig, name, int(first) - 1, int(last), strand))
    return exons


def vcf(data: bytes) -> list[list[bytes]]:
    """The columns of each record, as they stand."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    first = next(n for n, line in enumerate(lines) if line.startswith(b"#CHROM\t"))
    return [line.removesuffix(b"\r").split(b"\t") for line in lines[first + 1 :] if line.strip()]


def table(data: bytes) -> list[dict[str, str]]:
    """The rows of a CSV (by comma or semicolon) or TSV, in which quotes mean nothing."""
    first = next(line for line in text_of(data).split("\n") if line.strip())
    separator = "\t" if "\t" in first else max(",;", key=first.count)
    if separator == "\t":
        rows = [line.split("\t") for line in text_of(data).split("\n") if line.strip()]
    else:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8")
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator)
            if any(map(str.strip, row))
        ]
    header = [cell.strip().lower() for cell in rows[0]]
    return [dict(zip(header, map(str.strip, row), strict=True)) for row in rows[1:]]


def safetensors(data: bytes) -> dict[str, bytes]:
    """The bytes of each tensor by name."""
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    start = 8 + size
    return {
        name: data[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]]
        for name, entry in header.items()
    }
