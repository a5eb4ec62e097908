"""What this machine has, as far as it matters here: processor, memory. No torch."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Flag in /proc/cpuinfo -> what people call it.
_X86_FEATURES = {
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512-BF16",
    "amx_bf16": "AMX-BF16",
}
_ARM_FEATURES = {"asimd": "NEON", "sve": "SVE", "bf16": "BF16", "i8mm": "I8MM"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Processor:
    """The CPU and what of it this process may use."""

    name: str
    architecture: str
    n_cpus: int
    """Logical CPUs of the machine."""
    n_usable: int
    """CPUs that this process may run on: affinity, as schedulers and containers set it."""
    features: dict[str, bool] | None
    """Vector and matrix units that matter here; None where the system does not tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Main memory in bytes; None where the system does not tell."""

    total: int | None
    available: int | None
    """What a new program can get without swapping, a container's limit included."""


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> Processor:
    """Ask the system about the CPU."""
    details = _cpuinfo()
    flags = set(details.get("flags", details.get("Features", "")).split())
    known = _ARM_FEATURES if platform.machine() in ("aarch64", "arm64") else _X86_FEATURES
    return Processor(
        name=details.get("model name") or _mac_name() or platform.processor() or "not known",
        architecture=platform.machine(),
        n_cpus=os.cpu_count() or 1,
        n_usable=usable_cpus(),
        features={name: flag in flags for flag, name in known.items()} if flags else None,
    )


def memory() -> Memory:
    """Ask the system about its memory."""
    total = available = None
    with suppress(OSError, ValueError, IndexError):
        sizes = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        total, available = (
            1024 * int(sizes[key].split()[0]) for key in ("MemTotal", "MemAvailable")
        )
    if total is None:
        with suppress(OSError, ValueError, AttributeError):
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _container_limit()
    if limit is not None:
        total = limit if total is None else min(total, limit)
        left = max(0, limit - _container_use())
        available = left if available is None else min(available, left)
    return Memory(total=total, available=available)


def busy_share(seconds: float = 0.5) -> float | None:
    """Share of all CPU time that anybody used during the next `seconds`; None if not told."""
    before = _cpu_times()
    time.sleep(seconds)
    after = _cpu_times()
    if before is None or after is None or after[0] == before[0]:
        return None
    return 1 - (after[1] - before[1]) / (after[0] - before[0])


def _cpu_times() -> tuple[int, int] | None:
    """Ticks of all CPUs since the start: in all, and idle or waiting for a disk."""
    with suppress(OSError, ValueError, IndexError):
        ticks = [int(text) for text in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        return sum(ticks), ticks[3] + ticks[4]
    return None


def _cpuinfo() -> dict[str, str]:
    """The first processor of /proc/cpuinfo, where there is one."""
    entries: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            entries.setdefault(key.strip(), value.strip())
    return entries


def _mac_name() -> str | None:
    if platform.system() != "Darwin":
        return None
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _container_limit() -> int | None:
    # "max" stands for no limit; version 1 of control groups writes a number near 2^63 instead.
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            limit = int(Path(path).read_text())
            return limit if limit < 1 << 60 else None
    return None


def _container_use() -> int:
    for path in ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes"):
        with suppress(OSError, ValueError):
            return int(Path(path).read_text())
    return 0
