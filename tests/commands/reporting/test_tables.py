"""Tables: text for programs, aligned for people, JSON when asked for."""

from __future__ import annotations

import json

from hyenadna_cli.commands.reporting import tables


def test_for_programs_a_table_is_tab_separated(capsys):
    tables.print_table(("a", "b"), [("[x]", None)], as_json=False)

    assert capsys.readouterr().out == "a\tb\n[x]\t.\n"


def test_at_a_terminal_the_table_is_aligned(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    tables.print_table(("a", "b"), [("[x]", None)], as_json=False)

    assert "[x]" in (out := capsys.readouterr().out)
    assert "\t" not in out


def test_json_is_one_object_a_row(capsys):
    tables.print_table(("a", "b"), [(1, None)], as_json=True)

    assert json.loads(capsys.readouterr().out) == [{"a": 1, "b": None}]


def test_names_stay_whole_on_a_narrow_terminal(capsys, monkeypatch):
    """They are what one types next."""
    monkeypatch.setenv("COLUMNS", "30")
    name = "tiny-1k-d256-and-more"

    tables.align(("name", "repository"), [(name, "LongSafari/hyenadna-tiny-1k")], on_stderr=False)

    assert name in capsys.readouterr().out


def test_a_narrow_terminal_gets_fewer_columns_where_that_is_asked_for(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "30")
    columns, rows = ("name", "width", "repository"), [("tiny-1k", 128, "LongSafari/hyenadna-x")]

    tables.print_table(columns, rows, as_json=False, drops_columns=True)

    out = capsys.readouterr().out
    assert "tiny-1k" in out
    assert "LongSafari" not in out
    assert "A wider terminal, or --json, also shows repository." in out
    monkeypatch.setenv("COLUMNS", "60")
    tables.print_table(columns, rows, as_json=False, drops_columns=True)
    assert "LongSafari/hyenadna-x" in capsys.readouterr().out


def test_columns_of_numbers_end_in_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    rows = [("a", "921152", "1.9", "x"), ("b", "36", ".", "7")]

    tables.align(("name", "parameters", "megabytes", "detail"), rows, on_stderr=False)

    lines = capsys.readouterr().out.splitlines()
    first, second = (next(line for line in lines if f" {name} " in line) for name in "ab")
    assert first.index("921152") + 6 == second.index("36") + 2
    assert first.index("1.9") + 3 == second.index(". ") + 1
    assert first.index(" x ") == second.index(" 7 ")
