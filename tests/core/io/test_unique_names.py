"""No two names are the same, whatever came in."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.io import unique_names
from hyenadna_cli.core.io.unique_names import UniqueNames


def uniqued(*names: str) -> list[str]:
    unique = UniqueNames()
    return [unique.unique(name) for name in names]


def test_a_name_used_once_stays() -> None:
    assert uniqued("b", "a", "a-1", "") == ["b", "a", "a-1", ""]


def test_a_repeated_name_is_numbered_from_one() -> None:
    assert uniqued("a", "a", "b", "a", "a", "a") == ["a", "a-1", "b", "a-2", "a-3", "a-4"]


def test_a_number_that_is_already_a_name_is_not_given_again() -> None:
    assert uniqued("a", "a-1", "a") == ["a", "a-1", "a-2"]
    assert uniqued("a", "a", "a-1") == ["a", "a-1", "a-1-1"]


def test_a_name_of_all_records_is_numbered_without_gaps() -> None:
    assert uniqued(*["."] * 1_000) == [".", *(f".-{i}" for i in range(1, 1_000))]


def test_names_seen_long_ago_are_still_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique_names, "_MOST_RECENT", 10)
    names = [f"n{i}" for i in range(95)]

    again = uniqued(*names, *names, *names)

    assert again == names + [f"{name}-1" for name in names] + [f"{name}-2" for name in names]


def test_numbers_stay_free_of_names_that_come_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique_names, "_MOST_RECENT", 4)
    names = [f"{'ab'[i % 2]}{'-3' if i % 5 == 0 else ''}" for i in range(60)]

    assert len(set(uniqued(*names))) == 60
