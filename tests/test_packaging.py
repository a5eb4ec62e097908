"""Wheel and sdist install into an empty environment and work: by the script of the images."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def test_the_conda_recipe_asks_for_what_the_package_asks_for():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    recipe = (REPOSITORY / "packaging" / "conda" / "meta.yaml").read_text()
    run = set(re.findall(r"^    - (\S+ >=\S+)$", recipe.split("  run:\n")[1], re.MULTILINE))

    wanted = {text.replace(">=", " >=") for text in project["dependencies"]}
    # Under Conda's names.
    wanted = {re.sub("^torch ", "pytorch ", text) for text in wanted}
    wanted = {text.replace("matplotlib ", "matplotlib-base ") for text in wanted}
    assert run == wanted | {"python >=3.11"}


@pytest.fixture
def check_release():
    path = REPOSITORY / "packaging" / "check_release.py"
    spec = importlib.util.spec_from_file_location("check_release", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_release_is_refused_until_all_is_filled_in(check_release, tmp_path):
    def problems(recipe, urls, version, *, is_published):
        (tmp_path / check_release.RECIPE).write_text(recipe)
        (tmp_path / "pyproject.toml").write_text(f"[project]\n{urls}")
        (tmp_path / "CITATION.cff").write_text(f"version: {version}\n")
        return list(check_release.problems(tmp_path, is_published=is_published))

    for name in ("CHANGELOG.md", "hyenadna_cli/_version.py", str(check_release.RECIPE)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    recipe = (REPOSITORY / check_release.RECIPE).read_text()
    empty = re.sub('(set (?:sha256|repository) = )".*"', r'\1"FILL_AT_RELEASE"', recipe)
    filled = recipe.replace("FILL_AT_RELEASE", "filled")
    code = (REPOSITORY / "hyenadna_cli/_version.py").read_text()
    version = re.findall('__version__ = "(.+)"', code)[0]
    urls = 'urls = {Repository = "https://example.org"}'

    before = problems(empty, "", version, is_published=False)
    assert any("set repository" in problem for problem in before)
    assert any("[project.urls]" in problem for problem in before)
    published = problems(empty, "", version, is_published=True)
    assert next(line for line in published if line not in before).count("sha256") == 1
    assert problems(filled, urls, version, is_published=True) == []
    (problem,) = problems(filled, urls, "0.0.0", is_published=True)
    assert problem.startswith("CITATION.cff: is not about version")


def test_every_requirement_has_one_lowest_version():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    script = str(REPOSITORY / "packaging" / "lowest.py")

    pins = subprocess.run(
        [sys.executable, script, *project["optional-dependencies"]],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    names = [pin.partition("==")[0] for pin in pins]
    assert "torch" in names
    assert sorted(names) == sorted(set(names))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Wheel and sdist; skips where the build backend is not installed."""
    pytest.importorskip("hatchling", reason="pip install hatchling")
    folder = tmp_path_factory.mktemp("dist")
    build = "from hatchling import build; import sys; build.{}(sys.argv[1])"
    for kind in ("build_wheel", "build_sdist"):
        command = [sys.executable, "-c", build.format(kind), str(folder)]
        subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    return folder


def test_wheel_and_sdist_hold_the_program_and_its_model_and_nothing_else(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as archive:
        wheel = archive.namelist()
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        sdist = archive.getnames()

    assert "hyenadna_cli/models/builtin/model.safetensors" in wheel
    assert {name.split("/")[0].removesuffix(".dist-info")[:12] for name in wheel} == {
        "hyenadna_cli",
        "hyenadna-0.1",
    }
    assert any(name.endswith("packaging/install.sh") for name in sdist)
    assert any(name.endswith("test_data/tiny.fa") for name in sdist)
    assert [name.partition("/")[2] for name in sdist if name.endswith(".safetensors")] == [
        "hyenadna_cli/models/builtin/model.safetensors"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_a_package_works_in_an_empty_environment(built, tmp_path, kind):
    if os.environ.get("HYENADNA_TEST_INSTALL") is None:
        pytest.skip("installs torch anew; set HYENADNA_TEST_INSTALL=1")
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    path = f"{environment}/bin:/usr/bin:/bin"
    package = next(built.glob(kind))

    done = subprocess.run(
        [str(REPOSITORY / "packaging" / "install.sh"), str(package)],
        check=False,
        env={**os.environ, "PATH": path, "PIP_NO_EXTRA_INDEX": "1", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "12 OK" in done.stderr
    assert "hyenadna 0.1.0" in done.stdout
