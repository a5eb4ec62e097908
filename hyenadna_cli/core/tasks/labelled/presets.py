"""Published benchmarks by name: where their data are, how they are judged, what was reported.

    genomic-benchmarks/NAME (9)   nucleotide-transformer/NAME (18)   chromatin

The facts, and settings of our own, are in `presets.toml`. Nothing is downloaded unless `download`
is called.
"""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import huggingface_hub
import huggingface_hub.constants
import huggingface_hub.errors

from hyenadna_cli.core.io.labelled_tables import SPLIT_NAMES
from hyenadna_cli.errors import InputFileError, OutputError, UsageError

_FACTS = Path(__file__).with_name("presets.toml")
_READABLE = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".fa", ".fasta", ".fna", ".parquet")
CHROMATIN = "chromatin"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a dataset on the hub."""

    path: str
    sha256: str | None
    """None: not known to us; then the hub's own digest is checked."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the published row of a model was fitted, as far as that is known."""

    model: str
    """The backbone: a name of the catalogue of models."""
    settings: Mapping[str, Any]
    """Fine-tuning settings."""
    notes: tuple[str, ...]
    """What is not published, or done otherwise here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """What is known of one benchmark."""

    name: str
    """As given on the command line: `genomic-benchmarks/human_enhancers_cohn`."""
    metric: str
    """What the publication reports, and so the table: a name of `metrics.evaluate`."""
    n_labels: int
    """Classes; for chromatin targets."""
    n_sequences: int
    """Of all splits together, as published."""
    median_length: int | None
    """Bases; None where we do not know it."""
    source: str
    """Where the data come from."""
    hub: str | None
    """Dataset repository on the Hugging Face hub, if there is one."""
    folder: str
    """Folder in that repository; empty: all of it."""
    revision: str | None
    """The commit `files` belong to; None: the newest."""
    files: tuple[HubFile, ...]
    """Files of the revision; empty: found by their names."""
    aliases: tuple[str, ...]
    """Other names of the data's folder."""
    settings: Mapping[str, Any]
    """Fine-tuning settings of our own."""
    recipe: Recipe
    """Those that were published."""
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """{metric: {model: reported value, 0 to 1}}; empty where nothing was reported."""

    @property
    def short_name(self) -> str:
        """The name without its suite."""
        return self.name.rsplit("/", 1)[-1]

    def note_on_size(self, n_sequences: int) -> str | None:
        """A warning where the data at hand are not the published set."""
        if n_sequences == self.n_sequences:
            return None
        return (
            f"{self.name}: {n_sequences:,} sequences here, {self.n_sequences:,} in the published "
            "set; results are not comparable with the published rows"
        )


def names() -> list[str]:
    """Every preset, suite by suite."""
    return list(_presets())


def find(name: str) -> Preset:
    """A preset by its name. Raises UsageError naming the nearest ones."""
    preset = _presets().get(name)
    if preset is None:
        near = difflib.get_close_matches(name, _presets(), n=3, cutoff=0.4) or list(_presets())
        raise UsageError(f"no preset {name!r}; there are, among others: {', '.join(near)}")
    return preset


def data_of(
    preset: Preset, data: Sequence[str], cache_dir: Path | None, *, offline: bool
) -> tuple[str]:
    """Where a preset's rows are: a local copy if `data` names one, or the hub's.

    Raises UsageError for more than one directory; InputFileError and OutputError as `local_data`
    and `download` do.
    """
    if not data:
        return (download(preset, cache_dir=cache_dir, offline=offline),)
    if len(data) > 1:
        raise UsageError("with --preset, --data is the one directory that holds its files")
    return (local_data(preset, Path(data[0])),)


def local_data(preset: Preset, directory: Path) -> str:
    """What to read for a preset below a directory that holds it, or a whole suite.

    Raises InputFileError if it is not there, naming what was looked for.
    """
    if not directory.is_dir():
        raise InputFileError(directory, "no such directory: --data is where the preset's data are")
    folders = [
        directory / name
        for base in ("", preset.name.split("/")[0].replace("-", "_"))
        for name in (f"{base}/{short}".strip("/") for short in (preset.short_name, *preset.aliases))
    ]
    for folder in folders:
        if folder.is_dir() or any(folder.parent.glob(f"{folder.name}.t*")):
            return str(folder)
    others = tuple(f"{name.rsplit('/', 1)[-1]}." for name in _presets())
    if any(
        _split_words(entry) and not entry.name.startswith(others) for entry in directory.iterdir()
    ):
        return str(directory)
    looked = ", ".join(dict.fromkeys(folder.name for folder in folders))
    raise InputFileError(
        directory,
        f"holds neither {looked} nor train and test data of its own; the data of {preset.name} "
        f"come from {preset.source}",
    )


def download(preset: Preset, *, cache_dir: Path | None = None, offline: bool = False) -> str:
    """Fetch a preset's data from the hub, or find them in the cache; returns what to read.

    Every file's SHA-256 is checked. Raises InputFileError if the data are on no hub, not reachable
    or not cached while offline, or differ; OutputError if the cache cannot be written.
    """
    if preset.hub is None:
        raise InputFileError(
            preset.name, f"its data are not on the hub: get them from {preset.source}, then --data"
        )
    is_offline = offline or huggingface_hub.constants.HF_HUB_OFFLINE
    patterns = [file.path for file in preset.files] or _patterns(preset)
    try:
        snapshot = huggingface_hub.snapshot_download(
            preset.hub,
            repo_type="dataset",
            revision=preset.revision,
            allow_patterns=patterns,
            local_files_only=is_offline,
            cache_dir=cache_dir,
        )
        expected = _digests(preset, is_offline)
    except huggingface_hub.errors.LocalEntryNotFoundError as error:
        raise InputFileError(
            preset.name,
            f"{preset.hub} is not in the cache and "
            f"{'the network is off' if is_offline else 'the hub cannot be reached'}; "
            f"copy the data here and give --data DIR (source: {preset.source})",
        ) from error
    except (
        huggingface_hub.errors.RepositoryNotFoundError,
        huggingface_hub.errors.RevisionNotFoundError,
    ) as error:
        raise InputFileError(preset.name, f"the hub has no {preset.hub} any more") from error
    except OSError as error:
        raise OutputError(f"{preset.name}: cannot download: {error}") from error
    except huggingface_hub.errors.HTTPError as error:  # type: ignore[attr-defined]
        # The base class of the hub's HTTP client: proxies, broken connections.
        raise InputFileError(preset.name, f"cannot download {preset.hub}: {error}") from error
    root = Path(snapshot)
    for path, sha256 in expected.items():
        _check(preset, root / path, sha256)
    folder = root / (Path(preset.files[0].path).parent if preset.files else preset.folder)
    if not folder.is_dir():
        raise InputFileError(preset.name, f"{preset.hub} holds no readable data in {folder.name!r}")
    return str(folder)


def _digests(preset: Preset, is_offline: bool) -> dict[str, str]:
    """SHA-256 by path: ours where we know it, else what the hub says it stores."""
    if preset.files or is_offline:
        return {file.path: file.sha256 for file in preset.files if file.sha256}
    assert preset.hub is not None
    info = huggingface_hub.HfApi().dataset_info(
        preset.hub, revision=preset.revision, files_metadata=True
    )
    prefix = f"{preset.folder}/" if preset.folder else ""
    return {
        file.rfilename: file.lfs.sha256
        for file in info.siblings or []
        if file.lfs is not None and file.rfilename.startswith(prefix)
    }


def _check(preset: Preset, path: Path, sha256: str) -> None:
    if not path.exists():
        return
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise InputFileError(path, f"is not the file of {preset.name}: its SHA-256 is {digest}")


def _patterns(preset: Preset) -> list[str]:
    prefix = f"{preset.folder}/" if preset.folder else ""
    return [f"{prefix}*{suffix}" for suffix in _READABLE]


def _split_words(path: Path) -> set[str]:
    words = path.name.lower().replace("-", ".").replace("_", ".").split(".")
    return set(words) & SPLIT_NAMES.keys()


@cache
def _presets() -> dict[str, Preset]:
    facts = tomllib.loads(_FACTS.read_text(encoding="utf-8"))
    return {
        preset.name: preset
        for suite, common in facts.items()
        for short, entry in common["sets"].items()
        for preset in [_preset(suite, short, common, entry)]
    }


def _preset(suite: str, short: str, common: dict[str, Any], entry: dict[str, Any]) -> Preset:
    metric = entry.get("metric", common["metric"])
    groups = entry.get("published_by_group", {})
    reported = {f"{metric}_{group}": row for group, row in groups.items()}
    if "published" in entry:
        reported[metric] = entry["published"]
    hub = common.get("hub")
    recipe = common["recipe"]
    # Classes of one suite are judged by several metrics, and epochs chosen by them.
    selected = {"select": metric} if suite != CHROMATIN else {}
    return Preset(
        name=short if suite == short else f"{suite}/{short}",
        metric=metric,
        n_labels=entry.get("n_classes") or entry["n_targets"],
        n_sequences=entry["n_sequences"],
        median_length=entry.get("median_length"),
        source=common["source"],
        hub=None if hub is None else hub.format(name=short),
        folder=common.get("folder", "").format(name=short),
        revision=entry.get("revision"),
        files=tuple(HubFile(file["path"], file["sha256"]) for file in entry.get("files", [])),
        aliases=tuple(entry.get("aliases", ())),
        settings={**common["settings"], **entry.get("settings", {})},
        recipe=Recipe(recipe["model"], {**recipe["settings"], **selected}, tuple(recipe["notes"])),
        published={
            name: {model: value / 100 for model, value in zip(common["columns"], row, strict=True)}
            for name, row in reported.items()
        },
    )
