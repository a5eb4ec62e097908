"""Seeded damage to the bytes of a file: what disks, editors, transfers and slips of hand do."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_TOKEN = re.compile(rb'[^\s,:;=|/{}\[\]"<>]+')
_STRANGE = (
    *(b"", b".", b"-", b"*", b"-1", b"0", b"1", b"nan", b"inf", b"1e400", b"1e-400", b"8.5", b"NA"),
    *(b"2147483647", b"2147483648", b"4294967296", b"9223372036854775808", b"9" * 40, b"1_000"),
    *(b"chr1", b"chr2", b"PASS", b"N", b"R", b"A" * 300, b"<DEL>", b"G]chr1:5]", b"true", b"null"),
    *(b"\0", b"\x1b[31m", b"\xc3\xa9", b"\xe9", b"\xff", b"\xef\xbc\x91", b'"', b"'", b"[]", b"{}"),
    *(
        b" ",
        b"\t",
        b"\r",
        b"\x0b",
        b"\x0c",
        b"\x1c",
        b"\xc2\x85",
        b"\xe2\x80\xa8",
        b"\\",
        b"%",
        b"#",
    ),
    *(b">", b"@", b"+", b"//", b"LOCUS", b"../x", b"/dev/null", b"[[" * 500, b"{" * 2_000),
)
"""What is put in the place of a token, or between two bytes."""
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Change = Callable[[bytes, random.Random], bytes]


def mutated(data: bytes, rng: random.Random, *, is_text: bool) -> bytes:
    """`data` after one to three changes; never the same bytes, but for data that cannot change."""
    changes = _TEXT_CHANGES if is_text else _BYTE_CHANGES
    before = data
    for _ in range(50):
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            data = rng.choice(changes)(data, rng)
        if data != before:
            break
    return data


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    longest = rng.choice((1, 4, 16, 64, len(data)))
    return start, min(len(data), start + rng.randint(0, longest))


def _flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set_bytes(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    end = min(end, start + rng.choice((1, 2, 8)))
    value = rng.choice((b"\0", b"\xff", bytes([rng.randrange(256)])))
    return data[:start] + value * (end - start) + data[end:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _cut_near_the_end(data: bytes, rng: random.Random) -> bytes:
    return data[: -rng.randint(1, 40)]


def _cut_the_start(data: bytes, rng: random.Random) -> bytes:
    return data[rng.choice((1, 2, 10, rng.randrange(len(data) + 1))) :]


def _delete(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 1, 3)) + data[end:]


def _move(data: bytes, rng: random.Random) -> bytes:
    start, end = _span(data, rng)
    rest = data[:start] + data[end:]
    at = rng.randrange(len(rest) + 1)
    return rest[:at] + data[start:end] + rest[at:]


def _insert(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    what = rng.choice((rng.choice(_STRANGE), rng.randbytes(rng.choice((1, 4, 40)))))
    return data[:at] + what + data[at:]


def _write_number(data: bytes, rng: random.Random) -> bytes:
    size = rng.choice((1, 2, 4, 8))
    at = rng.randrange(len(data) + 1)
    number = rng.choice(_NUMBERS) % (1 << 8 * size)
    return data[:at] + number.to_bytes(size, "little") + data[at + size :]


def _empty(_data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\n", b"\0", b" \n\n"))


def _replace_token(data: bytes, rng: random.Random) -> bytes:
    tokens = list(_TOKEN.finditer(data))
    if not tokens:
        return data
    token = rng.choice(tokens)
    value = rng.choice((*_STRANGE, rng.choice(tokens)[0]))
    return data[: token.start()] + value + data[token.end() :]


def _swap_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if len(lines) > 1:
        one, two = rng.sample(range(len(lines)), 2)
        lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def _repeat_line(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return b"".join(lines)


def _delete_line(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        del lines[rng.randrange(len(lines))]
    return b"".join(lines)


def _change_line_ends(data: bytes, rng: random.Random) -> bytes:
    end = rng.choice((b"\r\n", b"\r\n", b"\r", b"\n\n", b" \n", b"\t\n", b"\x0b\n"))
    if rng.random() < 0.5:
        return data.replace(b"\n", end)
    at = data.find(b"\n", rng.randrange(len(data) + 1))
    return data if at < 0 else data[:at] + end + data[at + 1 :]


def _change_start(data: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"\xef\xbb\xbf", b"\n", b"\n\n \n", b" ", b"#x\n", b"\0")) + data


def _change_separators(data: bytes, rng: random.Random) -> bytes:
    old, new = rng.choice(
        ((b"\t", b" "), (b",", b";"), (b"\t", b"\t\t"), (b" ", b""), (b"\n", b""))
    )
    if rng.random() < 0.5:
        return data.replace(old, new)
    at = data.find(old, rng.randrange(len(data) + 1))
    return data if at < 0 else data[:at] + new + data[at + len(old) :]


def _change_encoding(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("latin-1")
    return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-8")))


_BYTE_CHANGES: tuple[Change, ...] = (
    *(_flip_bits, _flip_bits, _set_bytes, _cut, _cut_near_the_end, _cut_the_start, _delete),
    *(_repeat, _move, _insert, _write_number, _write_number, _empty),
)
_TEXT_CHANGES: tuple[Change, ...] = (
    *(_flip_bits, _set_bytes, _cut, _cut_near_the_end, _cut_the_start, _delete, _repeat, _move),
    *(_insert, _insert, _swap_lines, _repeat_line, _delete_line, _change_line_ends, _change_start),
    *(_change_separators, _change_encoding, _empty, *(_replace_token,) * 6),
)
