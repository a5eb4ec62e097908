"""What made an output: version, command, model, settings, inputs; and the manifest beside it.

`X.manifest.json` lies beside the output `X` and is written last:

    format           "hyenadna-manifest"
    format-version   1
    version          of hyenadna                                                   (1)
    libraries        {name: version}, python among them                            (1)
    command          the command line, quoted for a shell                          (1)
    created          UTC, ISO 8601; from SOURCE_DATE_EPOCH where that is set       (1)
    device           in words                                                      (1)
    model            {name, revision, sha256 of the weights file, config_sha256 of config.json};
                     no model, no entry
    settings         {name: value}, resolved, nothing left at "auto"
    inputs           [{path, size, sha256}], size in bytes; pipes have a path only, and files above
                     64 MiB sampled_sha256 and modified (`input_files`) in place of sha256
    output           {path (name only), size (bytes), sha256}
    rows             {status: number of records}
    shard            "3/16", absent without --shard
    seconds          wall-clock time                                               (1)

(1) absent with --no-version, which makes the outputs of two runs equal in every byte.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hyenadna_cli._version import __version__
from hyenadna_cli.core.config.small_files import read_small
from hyenadna_cli.core.outputs.atomic import check_output, write_text
from hyenadna_cli.core.outputs.input_files import InputFile, read_input
from hyenadna_cli.errors import InputFileError, OutputError, UsageError

Scalar = str | int | float | bool
Setting = Scalar | list[str] | list[int] | list[float] | None

MANIFEST_FORMAT = "hyenadna-manifest"
MANIFEST_VERSION = 1

_RESERVED = frozenset(
    {"generated-by", "version", "command", "created", "device", "model", "revision", "sha256"}
    | {"inputs", "libraries", "config_sha256"}
)
_MODEL = frozenset({"name", "revision", "sha256", "config_sha256"})

# The libraries whose version can change a number or a byte of an output.
_LIBRARIES = (
    "torch",
    "triton",
    "numba",
    "numpy",
    "h5py",
    "pysam",
    "cyvcf2",
    "biopython",
    "safetensors",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What made an output. What differs between two equal runs may be None or empty."""

    version: str | None = None
    """Of hyenadna."""
    libraries: dict[str, str] = field(default_factory=dict)
    """Version of python and of each library that can change an output."""
    command: str | None = None
    """The command line, quoted for a shell."""
    created: str | None = None
    """UTC, ISO 8601."""
    device: str | None = None
    """In words."""
    model_name: str | None = None
    """As asked for: a registry name, a Hugging Face id or a directory."""
    model_revision: str | None = None
    """Of the model's repository."""
    model_sha256: str | None = None
    """Of the weights file."""
    model_config_sha256: str | None = None
    """Of config.json."""
    settings: dict[str, Setting] = field(default_factory=dict)
    """Resolved options that shaped the output."""
    inputs: tuple[InputFile, ...] = ()
    """Files read."""

    def __post_init__(self) -> None:
        if clashing := sorted(self.settings.keys() & _RESERVED):
            raise ValueError(f"settings may not be called {', '.join(clashing)}")
        # A setting JSON cannot hold should fail here, not after hours of work.
        json.dumps(self.as_json(), allow_nan=False)

    @property
    def generated_by(self) -> str:
        """`hyenadna 0.1.0`, or `hyenadna` when reproducible."""
        return "hyenadna" if self.version is None else f"hyenadna {self.version}"

    @property
    def is_reproducible(self) -> bool:
        """Whether everything that differs between two equal runs was left out."""
        return self.created is None

    def as_attrs(self) -> dict[str, Scalar]:
        """Flat, for HDF5: lists are joined by commas, `inputs` and `libraries` are JSON text."""
        attrs: dict[str, Scalar | None] = {
            "generated-by": self.generated_by,
            "version": self.version,
            "command": self.command,
            "created": self.created,
            "device": self.device,
            "model": self.model_name,
            "revision": self.model_revision,
            "sha256": self.model_sha256,
            "config_sha256": self.model_config_sha256,
            "inputs": json.dumps([_path_and_size(file) for file in self.inputs]),
            "libraries": json.dumps(self.libraries) if self.libraries else None,
        }
        for name, value in self.settings.items():
            attrs[name] = ",".join(map(str, value)) if isinstance(value, list) else value
        return {name: _as_utf8(value) for name, value in attrs.items() if value is not None}

    def as_json(self) -> dict[str, object]:
        """The entries of the manifest that are known before the output is."""
        model = {
            "name": self.model_name,
            "revision": self.model_revision,
            "sha256": self.model_sha256,
            "config_sha256": self.model_config_sha256,
        }
        entries: dict[str, object] = {
            "version": self.version,
            "libraries": self.libraries or None,
            "command": self.command,
            "created": self.created,
            "device": self.device,
            "model": _without_none(model) or None,
            "settings": _without_none(self.settings),
            "inputs": [file.as_json() for file in self.inputs],
        }
        return _without_none(entries)


def _as_utf8(value: Scalar) -> Scalar:
    """For HDF5, which holds UTF-8 only; names of files are any bytes."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def collect(
    *,
    command: Sequence[str] | None,
    settings: Mapping[str, Setting],
    inputs: Sequence[Path | str],
    model: Mapping[str, str | None] | None,
    device: str | None,
    reproducible: bool,
) -> Provenance:
    """Gather the provenance of a run before its work begins.

    `model` has what `ModelSource.identity` gives; `inputs` may hold "-" for standard input.
    `reproducible` (--no-version) leaves the command, the date, the versions and the device out.

    Raises InputFileError if an input is missing, ValueError for a setting that JSON cannot hold,
    UsageError if SOURCE_DATE_EPOCH is not a number.
    """
    model = model or {}
    if unknown := sorted(model.keys() - _MODEL):
        raise ValueError(f"unknown entries about the model: {', '.join(unknown)}")
    files = tuple(read_input(path) for path in inputs)
    record = Provenance(
        model_name=model.get("name"),
        model_revision=model.get("revision"),
        model_sha256=model.get("sha256"),
        model_config_sha256=model.get("config_sha256"),
        settings=dict(settings),
        inputs=files,
    )
    return stamp(record, command=command, device=device, reproducible=reproducible)


def stamp(
    record: Provenance, *, command: Sequence[str] | None, device: str | None, reproducible: bool
) -> Provenance:
    """`record` as made by this process, now; `reproducible` leaves all of that out."""
    return replace(
        record,
        version=None if reproducible else __version__,
        libraries={} if reproducible else library_versions(),
        command=None if reproducible or command is None else shlex.join(command),
        created=None if reproducible else _now(),
        device=None if reproducible else device,
    )


def manifest_path(output: Path) -> Path:
    """Where the manifest of an output lies."""
    return output.with_name(f"{output.name}.manifest.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What the manifest of an output says."""

    made_by: Provenance
    sha256: str
    """Of the output."""
    rows: dict[str, int]
    """Records per status."""
    shard: str | None
    """`3/16`."""


def read_manifest(output: Path) -> Manifest:
    """The manifest of `output`. Raises InputFileError if it is missing or not one."""
    path = manifest_path(output)
    try:
        entries = _own_manifest(path)
        if (version := entries["format-version"]) > MANIFEST_VERSION:
            problem = f"has format version {version}; this hyenadna reads {MANIFEST_VERSION}"
            raise InputFileError(path, problem)
        model, rows, sha256 = entries.get("model", {}), entries["rows"], entries["output"]["sha256"]
        about = [entries.get(name) for name in ("version", "command", "created", "device", "shard")]
        texts = [*about, *(model.get(name) for name in _MODEL)]
        are_counts = all(isinstance(count, int) for count in rows.values())
        are_texts = isinstance(sha256, str) and all(isinstance(x, str | None) for x in texts)
        if not are_counts or not are_texts:
            raise TypeError
        return Manifest(
            made_by=Provenance(
                version=entries.get("version"),
                libraries=entries.get("libraries", {}),
                command=entries.get("command"),
                created=entries.get("created"),
                device=entries.get("device"),
                model_name=model.get("name"),
                model_revision=model.get("revision"),
                model_sha256=model.get("sha256"),
                model_config_sha256=model.get("config_sha256"),
                settings=entries["settings"],
                inputs=tuple(InputFile.from_json(entry) for entry in entries["inputs"]),
            ),
            sha256=sha256,
            rows=rows,
            shard=entries.get("shard"),
        )
    except OSError as error:
        raise InputFileError(path, f"cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputFileError(path, "is not a manifest of hyenadna") from error


def check_manifest(output: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file of this name that is not ours, but for `overwrite`: OutputError."""
    path = manifest_path(output)
    if not overwrite and path.exists():
        try:
            _own_manifest(path)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            problem = "exists already and is not a manifest of hyenadna; --force replaces it"
            raise OutputError(f"{path}: {problem}") from error
    check_output(path, overwrite=True)


def _own_manifest(path: Path) -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(read_small(path))
    if entries["format"] != MANIFEST_FORMAT:
        raise ValueError("the format of something else")
    return entries


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(
    output: Path,
    provenance: Provenance,
    *,
    rows: Mapping[str, int],
    shard: str | None,
    seconds: float,
) -> Path:
    """Write `X.manifest.json` beside the finished output file `X`; returns its path.

    `rows` counts records per status; `seconds` is dropped when the provenance is reproducible.
    A manifest belongs to its output when the SHA-256 agrees. Raises OutputError.
    """
    entries = {
        "format": MANIFEST_FORMAT,
        "format-version": MANIFEST_VERSION,
        **provenance.as_json(),
        "output": {"path": output.name, **_size_and_sha256(output)},
        "rows": dict(rows),
        "shard": shard,
        "seconds": None if provenance.is_reproducible else round(seconds, 3),
    }
    manifest = manifest_path(output)
    write_text(manifest, json.dumps(_without_none(entries), indent=2, ensure_ascii=False) + "\n")
    return manifest


def _without_none(entries: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in entries.items() if value is not None}


def _path_and_size(file: InputFile) -> dict[str, object]:
    return _without_none({"path": file.path, "size": file.size})


def library_versions() -> dict[str, str]:
    """Version of python and of each library that can change an output."""
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            # From the installed metadata: importing torch only to ask would cost seconds.
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _now() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        moment = datetime.now(UTC)
    else:
        try:
            moment = datetime.fromtimestamp(int(epoch), UTC)
        except (ValueError, OverflowError, OSError) as error:
            raise UsageError(
                f"SOURCE_DATE_EPOCH must be seconds since 1970, got {epoch!r}"
            ) from error
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _size_and_sha256(path: Path) -> dict[str, object]:
    try:
        return {"size": path.stat().st_size, "sha256": sha256_of(path)}
    except OSError as error:
        raise OutputError(f"{path}: cannot read it back: {error.strerror}") from error
