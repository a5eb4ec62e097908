"""Whether the tensors of a file make the model that they should; if not, what is the matter."""

from __future__ import annotations

import re
from pathlib import Path

from hyenadna_cli.core.model.checkpoints.config_json import Shapes
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import CheckpointError

HEAD = "lm_head.weight"
POSITIONS = re.compile(r"(.*\.)(pos_emb\.z|pos_emb\.t|modulation\.deltas)")

_TABLE_ROWS = 12


def check_fit(path: Path, found: Shapes, model: HyenaDNA) -> None:
    """Compare names and shapes; CheckpointError with one clear line and a table if they differ."""
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    optional = {
        name: tuple(tensor.shape) for name, tensor in model.named_buffers(remove_duplicate=False)
    }
    optional[HEAD] = expected.pop(HEAD)
    rows = [("missing", name, "") for name in sorted(expected.keys() - found.keys())]
    rows += [
        ("unexpected", name, str(list(found[name])))
        for name in sorted(found.keys() - expected.keys() - optional.keys())
    ]
    rows += [
        ("wrong shape", name, f"{list(found[name])}, should be {list(shape)}")
        for name, shape in sorted((expected | optional).items())
        if found.get(name, shape) != shape
    ]
    if rows:
        raise CheckpointError(_describe_misfit(path, rows, n_expected=len(expected)))


def _describe_misfit(path: Path, rows: list[tuple[str, str, str]], *, n_expected: int) -> str:
    kinds = [kind for kind, _, _ in rows]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    lines = [
        f"{path}: its tensors do not make a HyenaDNA model of {n_expected} tensors ({counts}); "
        f"likely cause: {_likely_cause(rows)}"
    ]
    lines += [
        f"  {kind:<12} {name}  {detail}".rstrip() for kind, name, detail in rows[:_TABLE_ROWS]
    ]
    if len(rows) > _TABLE_ROWS:
        lines.append(f"  ... and {len(rows) - _TABLE_ROWS} more")
    return "\n".join(lines)


def _likely_cause(rows: list[tuple[str, str, str]]) -> str:
    by_kind = {kind: [name for k, name, _ in rows if k == kind] for kind, _, _ in rows}
    missing, unexpected = by_kind.get("missing", []), by_kind.get("unexpected", [])
    wrong = by_kind.get("wrong shape", [])
    if any("Wqkv" in name or "position_embeddings" in name for name in unexpected):
        return "an attention baseline, not a Hyena model"
    if any(POSITIONS.fullmatch(name) for name in wrong):
        return "layers made for different l_max, or a config.json of another model"
    if HEAD in wrong:
        return "a head for another vocabulary than the embedding's"
    if any(given.endswith(f".{name}") for name in missing for given in unexpected):
        return "an unknown prefix in front of the names"
    if missing and not unexpected and not wrong:
        return "the file holds only a part of the model"
    return "another architecture, or a version of it that is not known here"
