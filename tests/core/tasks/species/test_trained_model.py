"""What a trained species classifier says of itself."""

from __future__ import annotations

from hyenadna_cli.core.tasks.species.trained_model import trained_length


def test_a_directory_that_does_not_say_has_no_trained_length(tmp_path):
    assert trained_length(tmp_path) is None
    (tmp_path / "training.json").write_text('{"classifier": {"length": 4096}}')
    assert trained_length(tmp_path) == 4_096
