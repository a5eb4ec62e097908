"""`finetune --preset` without --data: the hub's own client against a hub of this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TABLE = (Path(__file__).parents[2] / "test_data" / "labelled.csv").read_text().splitlines()
REPOSITORY = "katarinagresova/Genomic_Benchmarks_human_enhancers_cohn"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FINETUNE = ("finetune", "--preset", "genomic-benchmarks/human_enhancers_cohn", "--dry-run")


def _files():
    """A train and a test table, cut from one; what else lies in a repository is not fetched."""
    header, *rows = TABLE
    split, sequence, label = (header.split(",").index(n) for n in ("split", "sequence", "label"))
    cells = [row.split(",") for row in rows]
    tables = {}
    for name in ("train", "test"):
        mine = [f"{row[sequence]},{row[label]}" for row in cells if row[split] == name]
        tables[f"{name}.csv"] = "\n".join(["sequence,label", *mine, ""]).encode()
    return {**tables, "README.md": b"not data"}


class Hub:
    """Answers as huggingface.co does about one dataset, and counts what it was asked."""

    def __init__(self):
        self.files = _files()
        self.digests = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items()}
        self.asked = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                path = self.path.partition("?")[0]
                hub.asked.append(path)
                if path.startswith(f"/api/datasets/{REPOSITORY}/tree/"):
                    self.answer(json.dumps(hub.tree()).encode(), {})
                elif path.startswith(f"/api/datasets/{REPOSITORY}"):
                    self.answer(json.dumps(hub.about()).encode(), {})
                elif f"/datasets/{REPOSITORY}/resolve/" in path:
                    name = path.rsplit("/", 1)[-1]
                    etag = {"ETag": f'"{hub.digests[name]}"', "X-Repo-Commit": COMMIT}
                    self.answer(hub.files[name], etag)
                else:
                    self.send_error(404)

            def answer(self, body, headers):
                self.send_response(200)
                for name, value in {**headers, "Content-Length": len(body)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def tree(self):
        return [
            {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
            for name, data in self.files.items()
        ]

    def about(self):
        siblings = [
            {"rfilename": name, "lfs": {"sha256": self.digests[name], "size": 1, "pointerSize": 1}}
            for name in self.files
        ]
        return {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hub():
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def finetune(hub, tmp_path, tiny_model):
    """A process of its own: the hub's client reads where its hub is when it is imported."""

    def run(*more):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_ENDPOINT": f"http://127.0.0.1:{hub.server.server_port}",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
        }
        command = [*FINETUNE, "-m", tiny_model, "--cache-dir", tmp_path / "cache"]
        command += ["--device", "cpu", "--threads", "1", "-o", tmp_path / "run", *more]
        return subprocess.run(
            [sys.executable, "-m", "hyenadna_cli", *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )

    return run


def test_a_set_comes_from_the_hub_and_then_from_the_cache(hub, finetune):
    online = finetune()
    asked = list(hub.asked)
    hub.asked.clear()
    offline = finetune("--offline")

    assert online.returncode == 0, online.stderr
    assert offline.returncode == 0, offline.stderr
    assert any(path.endswith("/train.csv") for path in asked)
    assert not any(path.endswith("README.md") for path in asked)
    assert hub.asked == []
    assert online.stdout.splitlines()[0] == offline.stdout.splitlines()[0]
    assert "27,791 in the published set" in online.stderr
    assert "HTTP Request" not in online.stderr


def test_what_is_not_the_hubs_file_is_refused(hub, finetune):
    hub.digests["train.csv"] = "f" * 64

    done = finetune()

    assert done.returncode == 3, done.stderr
    assert "train.csv: is not the file of genomic-benchmarks/human_enhancers_cohn" in done.stderr


def test_a_hub_without_the_set_and_no_hub_at_all_are_one_line(hub, finetune):
    hub.files.clear()
    offline = finetune("--offline")
    hub.close()
    gone = finetune()

    assert (offline.returncode, gone.returncode) == (3, 3)
    assert "is not in the cache and the network is off" in offline.stderr
    assert offline.stderr.count("\n") == gone.stderr.count("\n") == 1
