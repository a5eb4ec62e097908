"""The registry of released models, and finding a model on this machine or on the hub."""

from __future__ import annotations

import errno
import multiprocessing
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.checkpoints import catalogue
from hyenadna_cli.core.model.checkpoints.catalogue import PUBLISHED, locate
from hyenadna_cli.errors import CheckpointError, OutputError, UsageError

SMALL = PUBLISHED["small-32k"]


@pytest.fixture(autouse=True)
def online(monkeypatch):
    """The tests say themselves whether the network is off, whatever the environment says."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub behind huggingface_hub.snapshot_download: repositories by id, and what was asked."""

    class Hub:
        def __init__(self):
            self.files = {}
            self.calls = []
            self.cache = tmp_path / "cache"
            self.failure = None

        def snapshot_download(
            self, repo_id, *, revision, allow_patterns, local_files_only, cache_dir
        ):
            self.calls.append((repo_id, revision, local_files_only))
            commit = revision if revision and len(revision) == 40 else "0" * 40
            folder = f"models--{repo_id.replace('/', '--')}"
            snapshot = Path(cache_dir or self.cache) / folder / "snapshots" / commit
            if local_files_only:
                if not snapshot.is_dir():
                    raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
                return str(snapshot)
            if self.failure is not None:
                raise self.failure
            snapshot.mkdir(parents=True, exist_ok=True)
            for name in self.files.get(repo_id, ()):
                if name in allow_patterns:
                    (snapshot / name).write_text("x")
            return str(snapshot)

    fake = Hub()
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fake.snapshot_download)
    return fake


@pytest.fixture
def cached_small(tmp_path):
    """A hub cache on disk with small-32k at its pinned revision, as the hub's client writes it."""
    cache = tmp_path / "cache"
    repository = cache / "models--LongSafari--hyenadna-small-32k-seqlen-hf"
    snapshot = repository / "snapshots" / SMALL.revision
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for name in ("config.json", "model.safetensors"):
        (repository / "blobs" / name).write_text("x")
        (snapshot / name).symlink_to(repository / "blobs" / name)
    return cache


def http_error(kind, status):
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return kind(f"{status} Client Error", response=response)


def test_the_registry_holds_the_seven_released_models():
    assert list(PUBLISHED) == [
        "tiny-1k",
        "tiny-1k-d256",
        "tiny-16k",
        "small-32k",
        "medium-160k",
        "medium-450k",
        "large-1m",
    ]
    assert all(len(model.revision) == 40 for model in PUBLISHED.values())
    assert all(model.sha256 is None or len(model.sha256) == 64 for model in PUBLISHED.values())


@pytest.mark.parametrize("model", PUBLISHED.values(), ids=lambda model: model.name)
def test_the_parameter_counts_follow_from_the_shapes(model):
    """12 d^2 + 90 d + 8768 a layer, and 18 d for the embedding and the final norm."""
    d = model.d_model

    assert model.n_parameters == model.n_layer * (12 * d * d + 90 * d + 8_768) + 18 * d
    assert model.config == ModelConfig(
        d_model=d, n_layer=model.n_layer, d_inner=4 * d, l_max=model.l_max
    )


@pytest.mark.parametrize(
    ("name", "n_bytes"), [("medium-160k", 56_971_992), ("large-1m", 218_252_304)]
)
def test_the_predicted_download_is_the_observed_one_but_for_its_header(name, n_bytes):
    assert 0 < n_bytes - PUBLISHED[name].n_bytes < 26_000


def test_a_model_is_found_by_its_name_and_by_its_repository():
    assert catalogue.find("small-32k") is SMALL
    assert catalogue.find(SMALL.repo_id) is SMALL
    assert catalogue.find("small-33k") is None


def test_a_hash_is_expected_at_the_pinned_revision_only():
    assert catalogue.expected_sha256("small-32k", SMALL.revision) == SMALL.sha256
    assert catalogue.expected_sha256("small-32k", "main") is None
    assert catalogue.expected_sha256("small-32k", None) is None
    assert catalogue.expected_sha256("mine", SMALL.revision) is None


def test_a_directory_is_its_own_location(tmp_path):
    location = locate(str(tmp_path))

    assert location.directory == tmp_path
    assert location.name == tmp_path.name
    assert location.revision is None


def test_a_directory_has_no_revisions(tmp_path):
    with pytest.raises(UsageError, match="--revision main"):
        locate(str(tmp_path), revision="main")


def test_a_name_wins_over_a_directory_of_that_name_and_says_so(hub, tmp_path, monkeypatch, caplog):
    hub.files[SMALL.repo_id] = ("config.json", "model.safetensors")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small-32k").mkdir()

    by_name, by_path = locate("small-32k"), locate("./small-32k")

    assert by_name.revision == SMALL.revision
    assert by_path.directory.resolve() == tmp_path / "small-32k"
    assert "write ./small-32k for the directory" in caplog.text


def test_builtin_is_inside_the_package(monkeypatch, tmp_path):
    monkeypatch.setattr(catalogue, "BUILTIN_DIRECTORY", tmp_path)
    with pytest.raises(CheckpointError, match="no built-in model"):
        locate("builtin")

    (tmp_path / "config.json").write_text("{}")

    assert locate("builtin").directory == tmp_path
    with pytest.raises(UsageError):
        locate("builtin", revision="main")


@pytest.mark.parametrize("name", ["small-33k", "a/b/c", "../missing", "/missing/dir", ""])
def test_what_is_nothing_at_all_is_said_with_what_there_is(name):
    with pytest.raises(CheckpointError, match=r"no model .*tiny-1k, .*large-1m"):
        locate(name)


def test_a_file_is_not_a_model_but_can_be_converted(tmp_path):
    path = tmp_path / "weights.ckpt"
    path.write_text("x")

    with pytest.raises(CheckpointError, match=r"is a file; .*hyenadna models convert"):
        locate(str(path))


def test_a_registry_name_downloads_its_pinned_revision(hub):
    hub.files[SMALL.repo_id] = ("config.json", "model.safetensors", "pickled_code.py")

    location = locate("small-32k")

    assert (location.name, location.revision) == ("small-32k", SMALL.revision)
    assert sorted(path.name for path in location.directory.iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    assert hub.calls[-1] == (SMALL.repo_id, SMALL.revision, False)


def test_a_pinned_model_in_the_cache_asks_nothing_of_the_network(hub):
    """Compute nodes without a network must not wait for one when everything is there."""
    hub.files[SMALL.repo_id] = ("config.json", "model.safetensors")
    locate("small-32k")
    hub.calls.clear()

    locate("small-32k")

    assert hub.calls == [(SMALL.repo_id, SMALL.revision, True)]


def test_a_revision_can_be_chosen(hub):
    hub.files[SMALL.repo_id] = ("config.json", "model.safetensors")

    location = locate("small-32k", revision="main")

    assert location.revision == "0" * 40
    assert hub.calls == [(SMALL.repo_id, "main", False)]


def test_another_hub_model_is_its_own_name(hub):
    hub.files["someone/my-hyena"] = ("config.json", "weights.ckpt")

    location = locate("someone/my-hyena")

    assert location.name == "someone/my-hyena"
    assert hub.calls == [("someone/my-hyena", None, False)]


def test_a_repository_without_weights_is_no_model(hub):
    hub.files["someone/dataset"] = ("config.json",)

    with pytest.raises(CheckpointError, match="not a HyenaDNA model"):
        locate("someone/dataset")


def test_offline_a_model_that_is_not_cached_says_what_to_do(hub):
    with pytest.raises(
        CheckpointError, match=r"network is off; run `hyenadna models download small"
    ):
        locate("small-32k", offline=True)

    assert [only_local for _, _, only_local in hub.calls] == [True]


def test_hf_hub_offline_is_honoured(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    with pytest.raises(CheckpointError, match="network is off"):
        locate("small-32k")

    assert [only_local for _, _, only_local in hub.calls] == [True]


def test_hf_hub_offline_is_honoured_from_the_environment(tmp_path):
    code = (
        "from hyenadna_cli.core.model.checkpoints.catalogue import locate\n"
        "try: locate('tiny-1k')\n"
        "except Exception as error: print(error)\n"
    )
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    root = Path(__file__).parents[4]

    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True
    )

    assert "network is off" in done.stdout
    assert str(tmp_path) in done.stdout


def test_an_interrupted_download_is_not_taken_for_a_model(hub):
    snapshot = Path(
        hub.snapshot_download(
            SMALL.repo_id,
            revision=SMALL.revision,
            allow_patterns=[],
            local_files_only=False,
            cache_dir=None,
        )
    )
    (snapshot / "config.json").write_text("x")

    with pytest.raises(CheckpointError, match=r"not in the cache .* as a whole"):
        locate("small-32k", offline=True)


def test_the_real_client_finds_a_cached_model_offline(cached_small):
    """No stand-in for the hub's client here: its own cache layout, its own rules."""
    location = locate("small-32k", offline=True, cache_dir=cached_small)

    assert location.directory.name == SMALL.revision
    assert catalogue.cached_weights(SMALL, cache_dir=cached_small) == (
        location.directory / "model.safetensors"
    )


def test_the_real_client_misses_what_is_not_cached(tmp_path):
    with pytest.raises(CheckpointError, match="network is off"):
        locate("small-32k", offline=True, cache_dir=tmp_path)
    with pytest.raises(CheckpointError, match="network is off"):
        locate("someone/else", offline=True, cache_dir=tmp_path)
    assert catalogue.cached_weights(SMALL, cache_dir=tmp_path) is None


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (http_error(huggingface_hub.errors.RevisionNotFoundError, 404), "has no revision 'main'"),
        (http_error(huggingface_hub.errors.RepositoryNotFoundError, 401), "or it is private"),
        (http_error(huggingface_hub.errors.HfHubHTTPError, 503), "could not download .*503"),
        (huggingface_hub.errors.HFValidationError("bad"), "not a Hugging Face id"),
        (huggingface_hub.errors.LocalEntryNotFoundError("no route"), "hub cannot be reached"),
        (huggingface_hub.errors.HTTPError("proxy says no"), "could not download .*proxy says no"),
        (OSError(errno.ECONNRESET, "Connection reset by peer"), "could not download .*reset"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_every_failure_of_the_hub_is_one_clear_line(hub, failure, words):
    hub.failure = failure

    with pytest.raises(CheckpointError, match=words) as error:
        locate("someone/model", revision="main")

    assert "\n" not in str(error.value)


def test_a_full_disk_under_the_cache_is_an_output_error(hub):
    hub.failure = OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="cannot write the model cache"):
        locate("small-32k")


def test_the_registry_never_loads_torch():
    code = (
        "import sys, hyenadna_cli.core.model.checkpoints.catalogue; print('torch' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[4], capture_output=True, text=True
    )

    assert done.stdout.strip() == "False"


def _start_at_once(barrier, cache):
    barrier.wait()
    locate("small-32k", cache_dir=cache)


@pytest.mark.slow
def test_a_hundred_jobs_that_start_at_once_download_a_model_once(tmp_path, monkeypatch):
    cache, downloads = tmp_path / "cache", tmp_path / "downloads"
    folder = "models--LongSafari--hyenadna-small-32k-seqlen-hf"
    snapshot = cache / folder / "snapshots" / SMALL.revision

    def snapshot_download(*_, local_files_only, **__):
        if not local_files_only:
            with downloads.open("a") as file:
                file.write("one\n")
            snapshot.mkdir(parents=True)
            time.sleep(0.2)
            for name in ("config.json", "model.safetensors"):
                (snapshot / name).write_text("x")
        elif not snapshot.is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError("not cached")
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(100)
    jobs = [context.Process(target=_start_at_once, args=(barrier, cache)) for _ in range(100)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()

    assert [job.exitcode for job in jobs] == [0] * 100
    assert downloads.read_text() == "one\n"
