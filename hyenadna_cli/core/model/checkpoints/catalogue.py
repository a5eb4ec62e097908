"""The released HyenaDNA models: names, shapes, pinned revisions, hashes, and where to get them."""

from __future__ import annotations

import errno
import fcntl
import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import huggingface_hub.constants
import huggingface_hub.errors

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.errors import CheckpointError, OutputError, UsageError

log = logging.getLogger(__name__)

BUILTIN = "builtin"
CLINVAR_AUROC = {BUILTIN: "0.49 for HD_LLR of SNVs, P/LP against B/LB; 0.5 is chance"}
"""How well scores tell harmful variants from harmless ones, by model (docs/variant-scoring.md)."""
_SCORING_WINDOWS = {BUILTIN: 1_024, "tiny-1k": 1_024}
_SCORING_WINDOW = 8_192
BUILTIN_DIRECTORY = Path(__file__).parents[3] / "models" / BUILTIN

WEIGHTS = ("model.safetensors", "weights.ckpt")
"""Weights files, the one to prefer first."""

_FILES = (*WEIGHTS, "config.json", "known_answer.json", "training.json")
_CACHE_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedModel:
    """What is known of one released model without downloading it."""

    name: str
    repo_id: str
    """Repository on the Hugging Face hub, in the official -hf layout."""
    revision: str
    """The commit that this version was written for."""
    d_model: int
    n_layer: int
    l_max: int
    """Longest input in tokens: the pretraining length in bases, plus two special tokens."""
    n_parameters: int
    """Trained numbers; the LM head is tied to the embedding and counted once."""
    sha256: str | None
    """Of model.safetensors at `revision`, as independent public code pins it; None: not known."""
    gpus: str | None
    """The authors' suggestion for pretraining, fine-tuning and inference; None: none was given."""

    @property
    def config(self) -> ModelConfig:
        """The shape, as in every release: MLPs four times the width, filters 64 wide, order 2."""
        return ModelConfig(
            d_model=self.d_model,
            n_layer=self.n_layer,
            d_inner=4 * self.d_model,
            l_max=self.l_max,
        )

    @property
    def n_bytes(self) -> int:
        """Size of model.safetensors, to within the 25 kB of its header.

        An untied copy of the LM head and every layer's positional features are stored as well.
        """
        head = self.config.padded_vocab_size * self.d_model
        positions = self.n_layer * (6 * self.l_max + self.d_model)
        return 4 * (self.n_parameters + head + positions)


LICENCE = "BSD-3-Clause"
"""Of the weights, by their model cards. The original code, of which none is used, is Apache-2.0."""

TRAINED_ON = "human reference genome GRCh38 (hg38), next-nucleotide prediction"

_SMALL_GPUS = "T4 16 GB / T4 16 GB / T4 16 GB"
_MEDIUM_GPUS = "A100 40 GB / A100 40 GB / T4 16 GB"

PUBLISHED: dict[str, PublishedModel] = {
    model.name: model
    for model in (
        PublishedModel(
            name="tiny-1k",
            repo_id="LongSafari/hyenadna-tiny-1k-seqlen-hf",
            revision="e8c1effa8673814e257e627d2e1eda9ea5a373f6",
            d_model=128,
            n_layer=2,
            l_max=1_026,
            n_parameters=436_096,
            sha256="5ce2146c21e9c4baa6bddc4998fd3d029903ae84a563bf80218644082194a12d",
            gpus=_SMALL_GPUS,
        ),
        PublishedModel(
            name="tiny-1k-d256",
            repo_id="LongSafari/hyenadna-tiny-1k-seqlen-d256-hf",
            revision="6036d4e144922b44470294f510cbfd2539ba3b7e",
            d_model=256,
            n_layer=2,
            l_max=1_026,
            n_parameters=1_641_088,
            sha256="81c15c4042d5fae646f00b429b76c65644cdbe88aa7e98b61aa781c84ff09031",
            gpus=None,
        ),
        PublishedModel(
            name="tiny-16k",
            repo_id="LongSafari/hyenadna-tiny-16k-seqlen-d128-hf",
            revision="d79fa37e2cd62dd338103c630f95be8f90812d46",
            d_model=128,
            n_layer=2,
            l_max=16_386,
            n_parameters=436_096,
            sha256="9b30dba3d2d801c305d96cc4ac6229f1d6ce61567871e0b58754633ad764bca8",
            gpus=None,
        ),
        PublishedModel(
            name="small-32k",
            repo_id="LongSafari/hyenadna-small-32k-seqlen-hf",
            revision="8fe770c78eb13fe33bf81501612faeddf4d6f331",
            d_model=256,
            n_layer=4,
            l_max=32_770,
            n_parameters=3_277_568,
            sha256="b7a1c9479248edf27691b189bb6657256f1705e560cadc64d6431633932cafa1",
            gpus="A100 40 GB / T4 16 GB / T4 16 GB",
        ),
        PublishedModel(
            name="medium-160k",
            repo_id="LongSafari/hyenadna-medium-160k-seqlen-hf",
            revision="7ebf71773d22c0ede2cc55cb2be15ee8c289e1ce",
            d_model=256,
            n_layer=8,
            l_max=160_002,
            n_parameters=6_550_528,
            sha256="16685b36caf5d144da391f1b540ed47e89d79b3efd38899325492f174b8e852a",
            gpus=_MEDIUM_GPUS,
        ),
        PublishedModel(
            name="medium-450k",
            repo_id="LongSafari/hyenadna-medium-450k-seqlen-hf",
            revision="42dedd4d374eac0fb8168549e546a3472fbd27ae",
            d_model=256,
            n_layer=8,
            l_max=450_002,
            n_parameters=6_550_528,
            sha256=None,
            gpus=_MEDIUM_GPUS,
        ),
        PublishedModel(
            name="large-1m",
            repo_id="LongSafari/hyenadna-large-1m-seqlen-hf",
            revision="0a629abf9c7f85b4ec9aa6a1aefa3adcf1907446",
            d_model=256,
            n_layer=8,
            l_max=1_000_002,
            n_parameters=6_550_528,
            sha256="deafb53209bfafb314d14bd81108546a34d473c07ed7ab7a355674376b56ad12",
            gpus="A100 80 GB / A100 80 GB / A100 40 GB",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Location:
    """A model on this machine."""

    directory: Path
    name: str
    revision: str | None


def find(name: str) -> PublishedModel | None:
    """The released model of that registry name or repository id."""
    by_repo = {model.repo_id: model for model in PUBLISHED.values()}
    return PUBLISHED.get(name) or by_repo.get(name)


def expected_sha256(name: str, revision: str | None) -> str | None:
    """The hash that the weights of `name` at `revision` must have, where one is known."""
    model = find(name)
    return model.sha256 if model is not None and model.revision == revision else None


def locate(
    name_or_dir: str,
    *,
    revision: str | None = None,
    offline: bool = False,
    cache_dir: Path | None = None,
) -> Location:
    """The directory of a model: `builtin`, a registry name, a local directory or a hub id.

    Registry names and hub ids are downloaded unless they are in the cache. Registry names pin a
    revision; other hub ids mean the newest one unless `revision` is given. A name wins over a
    directory of the same name, which can be written as ./NAME.

    Raises CheckpointError if there is no such model, or it is neither cached nor reachable;
    UsageError if `revision` is given for a model that is not on the hub; OutputError if the cache
    cannot be written.
    """
    published = find(name_or_dir)
    if name_or_dir != BUILTIN and published is None:
        if name_or_dir and Path(name_or_dir).is_dir():
            _refuse_revision(name_or_dir, revision)
            directory = Path(name_or_dir)
            return Location(directory, directory.resolve().name, None)
        if not _HUB_ID.fullmatch(name_or_dir) or name_or_dir.startswith((".", "/")):
            raise CheckpointError(_no_such_model(name_or_dir))
    elif Path(name_or_dir).is_dir():
        log.warning(
            "%s is read as a model's name; write ./%s for the directory", name_or_dir, name_or_dir
        )
    if name_or_dir == BUILTIN:
        _refuse_revision(name_or_dir, revision)
        if not (BUILTIN_DIRECTORY / "config.json").is_file():
            raise CheckpointError("this installation holds no built-in model; choose one with -m")
        return Location(BUILTIN_DIRECTORY, BUILTIN, None)
    if published is None:
        return _download(name_or_dir, name_or_dir, revision, offline, cache_dir)
    commit = revision or published.revision
    return _download(published.name, published.repo_id, commit, offline, cache_dir)


def scoring_window(name: str, *, l_max: int) -> int:
    """Bases around a variant that a model reads unless asked otherwise, by its name.

    More context costs time, and was not found to help these models to tell variants apart
    (docs/variant-scoring.md).
    """
    return min(l_max, _SCORING_WINDOWS.get(name, _SCORING_WINDOW))


def cached_weights(model: PublishedModel, *, cache_dir: Path | None = None) -> Path | None:
    """The cached model.safetensors of a released model at its pinned revision, if there is one."""
    path = huggingface_hub.try_to_load_from_cache(
        model.repo_id, "model.safetensors", cache_dir=cache_dir, revision=model.revision
    )
    return Path(path) if isinstance(path, str) else None


def _refuse_revision(name: str, revision: str | None) -> None:
    if revision is not None:
        raise UsageError(f"--revision {revision}: {name} is not a model on the hub")


def _no_such_model(name: str) -> str:
    if Path(name).is_file():
        return (
            f"{name} is a file; give the directory that holds it and its config.json, "
            f"or run `hyenadna models convert {name} -o DIR` first"
        )
    return (
        f"no model {name!r}: not a directory, not {BUILTIN}, not a Hugging Face id (owner/name), "
        f"and not one of {', '.join(PUBLISHED)}"
    )


def _download(
    name: str, repo_id: str, revision: str | None, offline: bool, cache_dir: Path | None
) -> Location:
    label = name if name == repo_id else f"{name} ({repo_id})"
    label += f" at revision {revision}" if revision is not None else ""
    is_offline = offline or huggingface_hub.constants.HF_HUB_OFFLINE
    # A commit never changes, so a cached one needs no network: compute nodes rarely have any, and
    # the hub's client tries for half a minute before it says so.
    is_commit = revision is not None and _COMMIT.fullmatch(revision) is not None
    directory = None
    if is_offline or is_commit:
        directory = _snapshot(label, repo_id, revision, cache_dir, local_files_only=True)
    if directory is None and is_offline:
        cache = cache_dir or huggingface_hub.constants.HF_HUB_CACHE
        raise CheckpointError(
            f"{label} is not in the cache {cache} as a whole, and the network is off; "
            f"run `hyenadna models download {name}` once with a network, "
            "or copy the model here and give its directory with -m"
        )
    if directory is None:
        with _one_at_a_time(repo_id, cache_dir):
            if is_commit:  # another process may have fetched it while this one waited
                directory = _snapshot(label, repo_id, revision, cache_dir, local_files_only=True)
            if directory is None:
                directory = _snapshot(label, repo_id, revision, cache_dir, local_files_only=False)
    if directory is None:
        raise CheckpointError(
            f"{label} does not hold config.json and model.safetensors or weights.ckpt: "
            "not a HyenaDNA model"
        )
    # A snapshot's folder is named after its commit, which says more than "main" does.
    commit = directory.name if _COMMIT.fullmatch(directory.name) else revision
    return Location(directory, name, commit)


@contextmanager
def _one_at_a_time(repo_id: str, cache_dir: Path | None) -> Iterator[None]:
    """Hold a lock in the cache, so that the jobs of an array download a model once."""
    cache = cache_dir or Path(huggingface_hub.constants.HF_HUB_CACHE)
    with ExitStack() as stack:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            lock = cache / f".hyenadna-{repo_id.replace('/', '--')}.lock"
            fcntl.flock(stack.enter_context(lock.open("w")), fcntl.LOCK_EX)
        except OSError as error:
            # The download says it better if the cache cannot be written; else two may download.
            log.info("%s: no lock in the model cache (%s)", repo_id, error.strerror)
        yield


def _snapshot(
    label: str,
    repo_id: str,
    revision: str | None,
    cache_dir: Path | None,
    *,
    local_files_only: bool,
) -> Path | None:
    """The snapshot directory; None if it lacks files, or is not cached and may not be fetched."""
    try:
        directory = Path(
            huggingface_hub.snapshot_download(
                repo_id,
                revision=revision,
                allow_patterns=list(_FILES),
                local_files_only=local_files_only,
                cache_dir=cache_dir,
            )
        )
    except huggingface_hub.errors.LocalEntryNotFoundError as error:
        if local_files_only:
            return None
        raise CheckpointError(
            f"{label} is not in the cache, and the hub cannot be reached ({_cause(error)}); "
            "a directory on this machine can be given with -m"
        ) from error
    except huggingface_hub.errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{repo_id} has no revision {revision!r}") from error
    except huggingface_hub.errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"the hub has no model {repo_id}, or it is private and no valid token is set"
        ) from error
    except huggingface_hub.errors.HFValidationError as error:
        raise CheckpointError(f"not a Hugging Face id: {repo_id}") from error
    except OSError as error:
        if error.errno in _CACHE_UNWRITABLE:
            raise OutputError(f"cannot write the model cache: {error}") from error
        raise CheckpointError(f"could not download {label}: {_cause(error)}") from error
    except huggingface_hub.errors.HTTPError as error:  # type: ignore[attr-defined]
        # The base class of the hub's HTTP client, whichever that is: proxies, broken connections.
        raise CheckpointError(f"could not download {label}: {_cause(error)}") from error
    has_weights = any((directory / name).is_file() for name in WEIGHTS)
    return directory if has_weights and (directory / "config.json").is_file() else None


def _cause(error: BaseException) -> str:
    """The first line of what originally went wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
