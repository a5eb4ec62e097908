"""Every file that the hub has sent is compared with the hash that the hub gave for it."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.checkpoints.hub_cache import check_as_downloaded
from hyenadna_cli.errors import CheckpointError


@pytest.fixture
def cached(tiny_model, tmp_path):
    """A model as the hub's client keeps it: the weights by SHA-256, config.json as git does."""
    repository = tmp_path / "models--owner--name"
    snapshot, blobs = repository / "snapshots" / ("0" * 40), repository / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name in ("model.safetensors", "config.json"):
        data = (tiny_model / name).read_bytes()
        by_git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        hashed = by_git if name == "config.json" else hashlib.sha256(data).hexdigest()
        shutil.copy(tiny_model / name, blobs / hashed)
        (snapshot / name).symlink_to(f"../../blobs/{hashed}")
    return snapshot


def test_what_the_hub_sent_loads(cached, tiny_model):
    assert checkpoint.load(cached)[1].sha256 == checkpoint.load(tiny_model)[1].sha256


@pytest.mark.parametrize(
    ("name", "kind"), [("model.safetensors", "SHA-256"), ("config.json", "git hash")]
)
def test_a_changed_file_of_the_cache_is_named(cached, name, kind):
    blob = (cached / name).resolve()
    data = bytearray(blob.read_bytes())
    data[-1] ^= 0x2A  # the line end of config.json becomes a blank
    blob.write_bytes(data)

    with pytest.raises(CheckpointError, match=rf"{name}: is not what the hub sent: its {kind} is"):
        checkpoint.inspect(cached)


def test_git_hashes_are_those_of_git(tmp_path):
    """`printf 'hello\\n' | git hash-object --stdin`."""
    blob = tmp_path / "blobs" / "ce013625030ba8dba906f756967f9e9ca394464a"
    blob.parent.mkdir()
    blob.write_bytes(b"hello\n")

    check_as_downloaded(blob)


def test_a_file_elsewhere_has_no_hash_to_compare(tmp_path):
    file = tmp_path / ("0" * 40)
    file.write_bytes(b"anything")

    check_as_downloaded(file)
