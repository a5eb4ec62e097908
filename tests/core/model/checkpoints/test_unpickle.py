"""Reading torch checkpoints without running what is in them."""

from __future__ import annotations

import io
import os
import pickle
import random
import sys
import time
import types
import zipfile
from collections import OrderedDict, defaultdict
from pathlib import Path

import pytest
import torch

from hyenadna_cli.core.model.checkpoints.restricted_pickle import unpickled
from hyenadna_cli.core.model.checkpoints.unpickle import TorchCheckpoint
from hyenadna_cli.errors import CheckpointError

SHARED = Path(__file__).parents[4].parent / "shared" / "golden"


def saved(path, content, **options):
    torch.save(content, path, **options)
    return path


def with_pickle(path, pickled, *, members=()):
    """A zip that looks like torch's, around any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", pickled)
        for name, data in {"version": b"3\n", **dict(members)}.items():
            archive.writestr(f"weights/{name}", data)
    return path


class Calls:
    """Pickles as a call of `function`, as an attack would."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.fixture
def omegaconf(monkeypatch):
    """Stand-ins with the module names of OmegaConf, so that torch.save pickles them as it does."""
    for name in ("omegaconf", "omegaconf.dictconfig", "omegaconf.base"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

    def make(module, name):
        kind = type(name, (), {"__module__": module})
        setattr(sys.modules[module], name, kind)
        return kind

    return make


def test_a_plain_state_dict_is_read_as_it_was_saved(tmp_path):
    state = {"a": torch.randn(3, 4), "b": torch.arange(5), "c": torch.tensor(1.5)}
    path = saved(tmp_path / "x.ckpt", state)

    opened = TorchCheckpoint.open(path)
    read = opened.read(["a", "b", "c"])

    assert opened.shapes == {"a": (3, 4), "b": (5,), "c": ()}
    assert all(torch.equal(read[name], state[name]) for name in state)


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool]
)
def test_every_common_dtype_is_read(tmp_path, dtype):
    tensor = torch.tensor([0, 1, 1]).to(dtype)
    path = saved(tmp_path / "x.ckpt", {"state_dict": {"a": tensor}})

    read = TorchCheckpoint.open(path).read(["a"])["a"]

    assert read.dtype == dtype
    assert torch.equal(read, tensor)


def test_views_of_one_storage_are_read_as_separate_tensors(tmp_path):
    base = torch.arange(12.0)
    state = {"row": base.view(3, 4)[1], "turned": base.view(3, 4).T, "empty": base[:0]}
    path = saved(tmp_path / "x.ckpt", {"state_dict": state})

    read = TorchCheckpoint.open(path).read(state)

    assert all(torch.equal(read[name], state[name]) for name in state)
    assert read["row"].untyped_storage().nbytes() == 4 * 4


def test_parameters_and_ordered_dicts_are_read(tmp_path):
    parameter = torch.nn.Parameter(torch.ones(2))
    state = OrderedDict(a=parameter)
    state._metadata = {"": {"version": 1}}
    path = saved(tmp_path / "x.ckpt", {"state_dict": state})

    assert torch.equal(TorchCheckpoint.open(path).read(["a"])["a"], torch.ones(2))


def test_lightning_bookkeeping_is_dropped_without_its_packages(tmp_path, omegaconf):
    """OmegaConf objects are never imported nor built: inert stand-ins take what they would hold."""
    config, metadata = (
        omegaconf("omegaconf.dictconfig", "DictConfig"),
        omegaconf("omegaconf.base", "ContainerMetadata"),
    )
    hyper = config()
    hyper.__dict__ = {"_content": {"lr": 6e-4, "path": Path("x")}, "_metadata": metadata()}
    hyper._metadata.__dict__ = {"object_type": dict, "key_type": int, "flags": defaultdict(list)}
    content = {
        "epoch": 3,
        "state_dict": {"a": torch.ones(2)},
        "hyper_parameters": hyper,
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2), "step": 7}}}],
        "callbacks": {"best": torch.tensor(0.5), "sizes": torch.Size([1]), "dtype": torch.float32},
    }
    path = saved(tmp_path / "x.ckpt", content)
    for name in ("omegaconf", "omegaconf.dictconfig", "omegaconf.base"):
        del sys.modules[name]

    opened = TorchCheckpoint.open(path)

    assert opened.shapes == {"a": (2,)}
    assert "omegaconf" not in sys.modules


def test_a_path_that_python_3_13_has_pickled_is_dropped(tmp_path):
    """It names another module than the Pythons before and after it."""
    data = pickle.dumps({"state_dict": {"a": 1}, "hyper_parameters": Path("x")}, protocol=2)
    for module in (b"pathlib._local\n", b"pathlib\n"):
        data = data.replace(module, b"MODULE")
    data = data.replace(b"MODULE", b"pathlib._local\n")

    read = unpickled(data, tmp_path / "x.ckpt")

    assert read["state_dict"] == {"a": 1}


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {marker}",), "posix.system"),
        (eval, ("open('{marker}', 'w')",), "eval"),
        (exec, ("open('{marker}', 'w')",), "exec"),
        (getattr, (torch, "load"), "getattr"),
        (torch.load, ("{marker}",), "torch.serialization.load"),
        (types.FunctionType, (), "function"),
    ],
    ids=["system", "eval", "exec", "getattr", "torch.load", "function"],
)
def test_a_pickle_that_tries_to_run_code_is_refused_by_name_and_runs_nothing(
    tmp_path, function, arguments, named
):
    marker = tmp_path / "was_here"
    filled = [a.format(marker=marker) if isinstance(a, str) else a for a in arguments]
    try:
        attack = pickle.dumps({"state_dict": {"a": Calls(function, *filled)}}, protocol=2)
    except (pickle.PicklingError, TypeError):  # a module as an argument, or an unnamed type
        attack = f"c{function.__module__}\n{function.__qualname__}\n(tR.".encode()
    path = with_pickle(tmp_path / "x.ckpt", attack)

    with pytest.raises(CheckpointError, match=f"{named}.*nothing was executed"):
        TorchCheckpoint.open(path)

    assert not marker.exists()


def test_code_hidden_in_the_bookkeeping_is_refused_too(tmp_path):
    marker = tmp_path / "was_here"
    content = {"state_dict": {"a": torch.ones(1)}, "x": Calls(os.system, f"touch {marker}")}
    path = saved(tmp_path / "x.ckpt", content)

    with pytest.raises(CheckpointError, match=r"posix\.system"):
        TorchCheckpoint.open(path)

    assert not marker.exists()


@pytest.mark.parametrize(
    "state",
    [b"}X\x05\x00\x00\x00shapeK\x63s", b"N}X\x05\x00\x00\x00shapeK\x63s\x86"],
    ids=["attributes", "slots"],
)
@pytest.mark.parametrize("target", ["tensor", "function", "storage type"])
def test_what_the_loader_trusts_cannot_be_altered_afterwards(tmp_path, state, target):
    """BUILD sets attributes on whatever is on the stack; what was checked must stay as it was."""
    saved_bytes = io.BytesIO()
    torch.save({"a": torch.ones(2)}, saved_bytes)
    with zipfile.ZipFile(saved_bytes) as archive:
        pickled = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    place = {
        "tensor": pickled.rindex(b"R") + 1,
        "function": pickled.index(b"_rebuild_tensor_v2\n") + len(b"_rebuild_tensor_v2\n"),
        "storage type": pickled.index(b"FloatStorage\n") + len(b"FloatStorage\n"),
    }[target]
    attacked = pickled[:place] + state + b"b" + pickled[place:]
    path = with_pickle(tmp_path / "x.ckpt", attacked, members=[("data/0", b"\0" * 8)])
    whole = with_pickle(tmp_path / "y.ckpt", pickled, members=[("data/0", b"\0" * 8)])

    assert TorchCheckpoint.open(whole).shapes == {"a": (2,)}
    with pytest.raises(CheckpointError, match="attribute"):
        TorchCheckpoint.open(path)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"\x80\x05\x96\xff\xff\xff\xff\x0f\0\0\0.",
        b"\x80\x02\x82\x01.",
    ],
    ids=["memo", "array", "extension"],
)
def test_a_tiny_pickle_cannot_claim_much_memory(tmp_path, pickled):
    path = with_pickle(tmp_path / "x.ckpt", pickled)

    with pytest.raises(CheckpointError, match="damaged"):
        TorchCheckpoint.open(path)


def nested(n_levels):
    """The pickle of a tuple of twice the same tuple of twice ..., whose hash takes 2^n steps."""
    return b"K\x01" + b"\x86".join([b"2"] * n_levels) + b"\x86"


def number(value):
    data = value.to_bytes(16, "little")
    return b"\x8a" + bytes([len(data)]) + data


COLLIDING = b"".join(number(n * ((1 << 61) - 1)) + b"N" for n in range(1, 60_000))
LARGE = b"".join(number(n << 100) for n in range(1, 60_000))


@pytest.mark.parametrize(
    ("pickled", "problem"),
    [
        (b"}" + nested(60) + b"Ns.", "keys that no checkpoint has"),
        (b"}(" + nested(60) + b"Nu.", "keys that no checkpoint has"),
        (b"(" + nested(60) + b"Nd.", "keys that no checkpoint has"),
        (b"}(" + COLLIDING + b"u.", "keys that no checkpoint has"),
        (b"\x8f(" + nested(60) + b"\x90.", "opcode EMPTY_SET"),
        (b"ccollections\nOrderedDict\n(" + nested(60) + b"N\x86l\x85R.", "argument"),
        (
            b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
            b"X\x01\0\0\x000X\x03\0\0\0cpuK\x02tQK\0(" + LARGE + b"t(" + LARGE + b"ttR.",
            "counts",
        ),
        (b"cargparse\nNamespace\nN}X\x01\0\0\0aNs\x86b.", "attributes of a class"),
    ],
    ids=["key", "keys", "dict", "collisions", "set", "ordered", "shape", "class"],
)
def test_a_small_pickle_cannot_take_long(tmp_path, pickled, problem):
    path = with_pickle(tmp_path / "x.ckpt", b"\x80\x02" + pickled)

    started = time.process_time()
    with pytest.raises(CheckpointError, match=problem):
        TorchCheckpoint.open(path)
    assert time.process_time() - started < 20


def test_numbers_and_tuples_may_be_keys_where_they_are_few(tmp_path):
    content = {
        "state_dict": {"a": torch.ones(2)},
        "seen": {10**6: 1, -1: 2, 1.5: 3, ("fold", 2): 4, None: 5},
    }

    assert TorchCheckpoint.open(saved(tmp_path / "x.ckpt", content)).shapes == {"a": (2,)}


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [((10**12,), (0,), 0), ((4,), (1,), 0), ((2,), (1,), 1), ((1,), (1,), -1), ((-1,), (1,), 0)],
    ids=["huge", "too-long", "past-the-end", "negative-offset", "negative-size"],
)
def test_a_tensor_that_does_not_lie_inside_its_storage_is_refused(tmp_path, size, stride, offset):
    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return ("storage", torch.FloatStorage, "0", "cpu", 2) if item is storage else None

    storage = object()
    made = Calls(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, {})
    pickled = io.BytesIO()
    Pickler(pickled, protocol=2).dump({"a": made})
    path = with_pickle(tmp_path / "x.ckpt", pickled.getvalue(), members=[("data/0", b"\0" * 8)])

    with pytest.raises(CheckpointError, match="damaged"):
        TorchCheckpoint.open(path)


def test_a_small_file_cannot_claim_a_large_storage(tmp_path):
    class Claiming(pickle.Pickler):
        def persistent_id(self, obj):
            is_storage = isinstance(obj, torch.UntypedStorage)
            return ("storage", torch.FloatStorage, "0", "cpu", 10**9) if is_storage else None

    storage = torch.UntypedStorage(4)
    claimed = Calls(torch._utils._rebuild_tensor_v2, storage, 0, (10**9,), (1,), False, {})
    buffer = io.BytesIO()
    Claiming(buffer, protocol=2).dump({"state_dict": {"a": claimed}})
    path = with_pickle(tmp_path / "x.ckpt", buffer.getvalue(), members=[("data/0", b"1234")])

    with pytest.raises(CheckpointError, match="claims 4,000,000,000 bytes of tensors, more than"):
        TorchCheckpoint.open(path)


def test_the_format_before_torch_1_6_is_refused_with_what_to_do(tmp_path):
    path = saved(tmp_path / "x.ckpt", {"a": torch.ones(1)}, _use_new_zipfile_serialization=False)

    with pytest.raises(CheckpointError, match=r"before version 1\.6.*save it again"):
        TorchCheckpoint.open(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer"),
        (b"PK\x03\x04 and then nothing", "truncated or damaged"),
        (b"<html>not found</html>", "not a weights file"),
    ],
)
def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path, content, words):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match=words):
        TorchCheckpoint.open(path)


def test_a_zip_without_a_pickle_is_no_checkpoint(tmp_path):
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")

    with pytest.raises(CheckpointError, match="not a torch checkpoint"):
        TorchCheckpoint.open(path)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 1}, {"state_dict": {}}, {"state_dict": 3}])
def test_a_checkpoint_without_tensors_is_refused(tmp_path, content):
    path = saved(tmp_path / "x.ckpt", content)

    with pytest.raises(CheckpointError, match="no state_dict"):
        TorchCheckpoint.open(path)


def test_big_endian_checkpoints_are_refused(tmp_path):
    pickled = pickle.dumps({"a": 1}, protocol=2)
    path = with_pickle(tmp_path / "x.ckpt", pickled, members=[("byteorder", b"big")])

    with pytest.raises(CheckpointError, match="big-endian"):
        TorchCheckpoint.open(path)


@pytest.mark.parametrize("version", [b"11\n", b"76\n", b"-1\n", b"3.5\n", b"\xff"])
def test_layouts_that_torch_does_not_know_yet_are_refused(tmp_path, version):
    pickled = pickle.dumps({"a": 1}, protocol=2)
    path = with_pickle(tmp_path / "x.ckpt", pickled, members=[("version", version)])

    with pytest.raises(CheckpointError, match="a later torch"):
        TorchCheckpoint.open(path)


def test_a_zip_that_does_not_say_its_layout_is_damaged(tmp_path):
    path = tmp_path / "x.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", pickle.dumps({"a": 1}, protocol=2))

    with pytest.raises(CheckpointError, match="weights/version is missing"):
        TorchCheckpoint.open(path)


def test_a_missing_file_is_one_clear_line(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        TorchCheckpoint.open(tmp_path / "x.ckpt")


@pytest.mark.parametrize("n_bytes", [10, 200, 700, 1200])
def test_a_truncated_checkpoint_is_refused(tmp_path, n_bytes):
    path = saved(tmp_path / "x.ckpt", {"a": torch.randn(64)})
    path.write_bytes(path.read_bytes()[:n_bytes])

    with pytest.raises(CheckpointError, match="truncated or damaged"):
        TorchCheckpoint.open(path)


def test_damage_anywhere_is_a_clear_error_or_harmless(tmp_path):
    """Whatever byte is flipped, reading ends in CheckpointError or in tensors of the same shape."""
    path = saved(tmp_path / "x.ckpt", {"state_dict": {"a": torch.randn(4), "b": torch.ones(2)}})
    whole = path.read_bytes()
    rng = random.Random(0)
    n_refused = 0

    for _ in range(400):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            opened = TorchCheckpoint.open(path)
            opened.read(opened.tensors)
        except CheckpointError:
            n_refused += 1

    assert n_refused > 50


@pytest.mark.shared
@pytest.mark.parametrize("name", ["lightning-2x128-l1026", "lightning-gradckpt-4x64-l4098"])
def test_an_official_layout_checkpoint_opens_without_omegaconf(name):
    path = SHARED / name / "weights.ckpt"
    if not path.exists():
        pytest.skip(f"{path} is not there")

    opened = TorchCheckpoint.open(path)

    names = [n for n in opened.shapes if "torchmetrics" not in n]
    assert len(names) == {"lightning-2x128-l1026": 60, "lightning-gradckpt-4x64-l4098": 116}[name]
    assert all(tensor.isfinite().all() for tensor in opened.read(opened.tensors).values())
