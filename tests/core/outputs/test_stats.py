"""`--stats`: JSON for programs, and the form that MultiQC draws."""

from __future__ import annotations

import json

from hyenadna_cli.core.outputs.stats import write_stats

ENTRIES = {"command": "score-variants", "output": "out/a.vcf.gz", "status": {"OK": 3, "STAR": 1}}


def test_statistics_are_json_with_a_version(tmp_path):
    write_stats(tmp_path / "a.json", ENTRIES)

    assert json.loads((tmp_path / "a.json").read_text()) == {"schema": 1, **ENTRIES}


def test_a_name_that_multiqc_looks_for_gives_what_it_draws(tmp_path):
    write_stats(tmp_path / "a_mqc.json", ENTRIES)

    found = json.loads((tmp_path / "a_mqc.json").read_text())
    assert found["plot_type"] == "bargraph"
    assert found["data"] == {"a.vcf.gz": {"OK": 3, "STAR": 1}}
    assert found["id"] == "hyenadna_score_variants"
