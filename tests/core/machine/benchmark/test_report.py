"""What measurements are said to mean."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.machine.benchmark import report as benchmark_report
from hyenadna_cli.core.machine.benchmark.cases import Variant, Workload
from hyenadna_cli.core.machine.benchmark.expectations import bytes_moved, expected_bytes
from hyenadna_cli.core.machine.benchmark.measuring import Floor, Row
from hyenadna_cli.errors import OutputError

PLAIN = Variant(implementation="plain", dtype="fp32")
OURS = Variant(implementation="hyenadna", dtype="fp32")
HALF = Variant(implementation="hyenadna", dtype="bf16")
ATTENTION = Variant(implementation="attention", dtype="fp32")
FLOOR = Floor(
    device="cpu",
    device_name="cpu, 1 threads",
    matmul_flops={"fp32": 1e11, "bf16": 1e12},
    copy_bytes=1e10,
)


def work(length, **changes):
    return Workload(**{"d_model": 128, "n_layer": 2, "length": length, "batch": 1, **changes})


def row(variant, length, seconds, *, peak_bytes=100_000_000, **changes):
    return Row(
        workload=work(length, **changes),
        variant=variant,
        status="OK",
        n_passes=5,
        seconds=seconds,
        seconds_min=seconds,
        seconds_max=seconds,
        peak_bytes=peak_bytes,
        floor_seconds=FLOOR.seconds(work(length, **changes), variant.dtype),
    )


def cells(rows):
    return [
        dict(zip(benchmark_report.COLUMNS, values, strict=True))
        for values in benchmark_report.table(rows, FLOOR)
    ]


def test_ratios_are_against_the_same_workload():
    rows = [
        row(PLAIN, 1_000, 1.0, peak_bytes=400_000_000),
        row(OURS, 1_000, 0.25),
        row(HALF, 1_000, 0.125),
        row(PLAIN, 2_000, 9.0),
        row(ATTENTION, 1_000, 0.5),
    ]

    plain, ours, half, *_ = cells(rows)

    assert plain["times_faster_than_plain"] == 1.0
    assert (ours["times_faster_than_plain"], ours["memory_of_plain"]) == (4.0, 0.25)
    assert ours["times_faster_than_attention"] == 2.0
    # bf16 is compared with the plain formulation in float32, and with no attention in float32.
    assert (half["times_faster_than_plain"], half["times_faster_than_attention"]) == (8.0, None)


def test_rates_are_shares_of_what_the_machine_reached():
    (only,) = cells([row(OURS, 1_000, 0.01)])

    assert only["bases_per_second"] == pytest.approx(100_000)
    assert only["share_of_floor"] == pytest.approx(FLOOR.seconds(work(1_000), "fp32") / 0.01)
    assert only["share_of_bandwidth"] == pytest.approx(bytes_moved(work(1_000)) / 0.01 / 1e10)


def test_a_case_that_was_not_measured_keeps_its_reason():
    skipped = Row(workload=work(10), variant=PLAIN, status="SKIPPED", note="needs about 90 GB")

    (only,) = cells([skipped])

    assert (only["status"], only["seconds"], only["note"]) == ("SKIPPED", None, "needs about 90 GB")


def test_times_cross_between_the_lengths_where_the_order_changes():
    rows = [
        row(variant, length, seconds)
        for variant, times in ((OURS, (1.0, 4.0, 16.0)), (ATTENTION, (0.5, 8.0, 128.0)))
        for length, seconds in zip((1_000, 4_000, 16_000), times, strict=True)
    ]

    (crossing,) = benchmark_report.crossings(rows)

    # The ratio goes from 1/2 to 2 on a log-log line: half-way.
    assert crossing.length == pytest.approx(2_000)
    assert crossing.describe() == "hyenadna auto fp32 is as fast as attention fp32 at 2,000 bases"


@pytest.mark.parametrize(("seconds", "expected"), [(9.0, [1_000]), (0.1, [])])
def test_one_that_is_always_faster_crosses_at_the_shortest_and_one_that_never_is_nowhere(
    seconds, expected
):
    rows = [row(OURS, n, 1.0) for n in (1_000, 2_000)]
    rows += [row(ATTENTION, n, seconds) for n in (1_000, 2_000)]

    found = benchmark_report.crossings(rows)

    assert [crossing.length for crossing in found] == pytest.approx(expected)
    # No word of "as fast as", nor a line in the picture, where one is faster everywhere.
    assert [crossing.describe() for crossing in found] == [
        "hyenadna auto fp32 is faster than attention fp32 at all lengths, from 1,000 bases on"
        for _ in expected
    ]


def test_attention_is_carried_on_along_its_parabola_and_the_others_in_proportion():
    rows = [row(ATTENTION, n, 1e-6 * n + 1e-9 * n**2) for n in (1_000, 10_000, 20_000)]
    rows += [row(OURS, n, 1e-5 * n) for n in (10_000, 20_000)]

    attention, ours = benchmark_report.extrapolated(rows, 1_000_000)

    assert attention.seconds == pytest.approx(1.0 + 1_000)
    assert ours.seconds == pytest.approx(10.0)
    assert "x L^2, through L = 10,000 and 20,000" in attention.note
    assert (attention.status, ours.status) == ("EXTRAPOLATED", "EXTRAPOLATED")
    assert cells([*rows, attention, ours])[-1]["times_faster_than_attention"] == pytest.approx(
        100.1
    )


def test_memory_of_others_is_carried_on_along_a_line():
    rows = [row(PLAIN, n, 1.0, peak_bytes=200_000_000 + 1_000 * n) for n in (1_000, 4_000)]

    (longer,) = benchmark_report.extrapolated(rows, 1_000_000)

    assert longer.peak_bytes == 1_200_000_000


def test_nothing_is_carried_on_from_one_length_or_to_a_length_that_was_measured():
    rows = [row(OURS, 10, 1.0), row(PLAIN, 10, 1.0), row(PLAIN, 20, 1.0)]

    assert benchmark_report.extrapolated(rows, 20) == []


@pytest.mark.slow
def test_the_picture_appears_and_is_not_overwritten_unasked(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "figure.svg"
    rows = [row(OURS, n, n / 1e3) for n in (1_000, 2_000)]
    rows += [row(ATTENTION, n, n * n / 1e6) for n in (1_000, 2_000)]

    benchmark_report.draw(
        [*rows, *benchmark_report.extrapolated(rows, 100_000)], picture, overwrite=False
    )

    assert picture.read_text().count("<svg") == 1
    with pytest.raises(OutputError):
        benchmark_report.draw(rows, picture, overwrite=False)


def test_memory_of_ours_is_carried_on_by_the_plan():
    """Beyond some length gates and spectra are made for some channels at a time."""
    rows = [
        row(OURS, length, 1.0, peak_bytes=expected_bytes(work(length), OURS) + 50_000_000)
        for length in (32_768, 160_000)
    ]

    (carried,) = benchmark_report.extrapolated(rows, 1_000_000)

    assert carried.peak_bytes == expected_bytes(work(1_000_000), OURS) + 50_000_000
