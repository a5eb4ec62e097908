"""Write Galaxy tools of embed and score-variants, with the options that a Galaxy user may choose.

    python packaging/galaxy/make_tools.py DIR     # the .xml files, and test-data beside them

Options, types, choices and defaults are those of the Nextflow schema. What is about files and the
machine is Galaxy's part: outputs, threads, restarts, shards.
"""

from __future__ import annotations

import shutil
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY / folder) for folder in ("docs", "workflows/nextflow", ".")]
import make_schema  # noqa: E402
from make_reference import cli  # noqa: E402

from hyenadna_cli import __version__  # noqa: E402

FILES = {
    "fasta": ("fasta", "Genome or sequences", "genome.fa"),
    "vcf": ("vcf,vcf_bgzip,bcf", "Alleles", "alleles"),
    "bed": ("bed", "Regions", "regions.bed"),
    "gtf": ("gtf", "Genes", "genes.gtf"),
    "rename_chrs": ("tabular", "Other names of contigs", "names.tsv"),
    "background": ("h5", "Background of random SNVs", "background.h5"),
}
"""Formats, label, and the name in the job's folder: some are read by their suffix."""

OUTPUTS = {
    "embed": {"h5ad": "h5ad", "h5": "h5", "tsv": "tabular"},
    "score-variants": {"vcf.gz": "vcf_bgzip", "vcf": "vcf", "bcf": "bcf", "tsv": "tabular"},
}
"""Suffix and Galaxy's name of what is written; the first is the default."""

TESTS = {
    "embed": ({"fasta": "tiny.fa", "bed": "regions.bed"}, "e159"),
    "score-variants": ({"vcf": "variants.vcf", "fasta": "tiny.fa"}, "llr"),
}
"""The data of a tool's test, and a word of its answer."""

_INPUTS = {"embed": ("fasta", "bed", "vcf"), "score-variants": ("vcf", "fasta")}
_REQUIRED = {"embed": {"fasta"}, "score-variants": {"fasta", "vcf"}}
_KINDS = {"integer": "integer", "number": "float", "boolean": "boolean"}


def tool(name: str) -> ET.Element:
    """A command's tool."""
    command: Any = typer.main.get_command(cli.app).commands[name]  # type: ignore[attr-defined]
    paragraphs = [" ".join(text.split()) for text, _ in command.paragraphs() if text]
    prefix = name.replace("-", "_")
    options = {
        key.removeprefix(f"{prefix}_"): entry
        for key, entry in make_schema.schema()["$defs"][prefix]["properties"].items()
    }
    files = [*_INPUTS[name], *(option for option in options if option in FILES)]

    version = f"{__version__}+galaxy0"
    root = ET.Element(
        "tool", id=f"hyenadna_{prefix}", name=f"hyenadna {name}", version=version, profile="24.0"
    )
    ET.SubElement(root, "description").text = paragraphs[0].rstrip(".")
    requirements = ET.SubElement(root, "requirements")
    for package, of in (("hyenadna", __version__), ("samtools", "1.21")):
        ET.SubElement(requirements, "requirement", type="package", version=of).text = package
    template = ET.SubElement(root, "command", detect_errors="exit_code")
    ET.SubElement(root, "version_command").text = "hyenadna --version"
    inputs = ET.SubElement(root, "inputs")
    for file in files:
        attributes = {"name": file, "type": "data", "format": FILES[file][0]}
        optional = str(file not in _REQUIRED[name]).lower()
        ET.SubElement(inputs, "param", attributes, label=FILES[file][1], optional=optional)
    ET.SubElement(inputs, "param", name="model", type="text", value="builtin", label="Model")
    section = ET.SubElement(inputs, "section", name="more", title="Options")
    given = [
        line
        for option, entry in options.items()
        if option not in FILES
        for line in _param(section, option, entry)
    ]
    suffixes = ET.SubElement(inputs, "param", name="suffix", type="select", label="Format")
    for suffix in OUTPUTS[name]:
        ET.SubElement(suffixes, "option", value=suffix).text = suffix
    template.text = "\n".join([*_files(name, files), *given, "-o out.$suffix"])
    template.text += "\n&& mv out.$suffix '$output'"
    _outputs_and_test(root, name)
    ET.SubElement(root, "help", format="markdown").text = "\n\n".join(paragraphs)
    citations = ET.SubElement(root, "citations")
    ET.SubElement(citations, "citation", type="doi").text = "10.48550/arXiv.2306.15794"
    return root


def _param(section: ET.Element, option: str, entry: dict[str, Any]) -> Iterator[str]:
    """Add an option's parameter, and yield its lines of the command."""
    flag, variable = f"--{option.replace('_', '-')}", f"$more.{option}"
    kind = "select" if "enum" in entry else _KINDS.get(entry["type"], "text")
    param = ET.SubElement(section, "param", name=option, type=kind, label=flag)
    param.set("help", entry["description"])
    default = entry.get("default")
    if kind == "boolean":
        param.attrib |= {"truevalue": flag, "falsevalue": ""}
        yield variable
        return
    param.set("optional", "true")
    if default is not None and kind != "select":
        param.set("value", str(default))
    for choice in entry.get("enum", ()):
        selected = {"selected": "true"} if choice == default else {}
        ET.SubElement(param, "option", selected, value=choice).text = choice
    # A choice that was not made is None, a text that was not written is empty.
    yield from (f"#if str({variable}) not in ('', 'None')", f"{flag} '{variable}'", "#end if")


def _files(name: str, files: list[str]) -> Iterator[str]:
    """The lines that give inputs the names that the program knows, and begin the command."""

    def where_given(file: str, line: str) -> list[str]:
        return [line] if file in _REQUIRED[name] else [f"#if ${file}", line, "#end if"]

    for file in files:
        yield from where_given(file, f"ln -s '${file}' {FILES[file][2]} &&")
    yield "samtools faidx genome.fa &&"
    yield f"hyenadna {name} --model '$model' --threads \\${{GALAXY_SLOTS:-1}}"
    for file in files:
        is_argument = (name, file) == ("score-variants", "vcf")
        flag = "" if is_argument else f"--{file.replace('_', '-')} "
        yield from where_given(file, f"{flag}{FILES[file][2]}")


def _outputs_and_test(root: ET.Element, name: str) -> None:
    (_, kind), *others = OUTPUTS[name].items()
    data = ET.SubElement(ET.SubElement(root, "outputs"), "data", name="output", format=kind)
    change = ET.SubElement(data, "change_format")
    for suffix, other in others:
        ET.SubElement(change, "when", input="suffix", value=suffix, format=other)
    test = ET.SubElement(ET.SubElement(root, "tests"), "test", expect_num_outputs="1")
    values, word = TESTS[name]
    for key, value in {**values, "suffix": "tsv"}.items():
        ET.SubElement(test, "param", name=key, value=value)
    answer = ET.SubElement(ET.SubElement(test, "output", name="output"), "assert_contents")
    ET.SubElement(answer, "has_text", text=word)


def main(folder: Path) -> None:
    """Write both tools, and what their tests read."""
    (folder / "test-data").mkdir(parents=True, exist_ok=True)
    for name, (values, _) in TESTS.items():
        root = tool(name)
        ET.indent(root, "    ")
        ET.ElementTree(root).write(folder / f"{root.get('id')}.xml", encoding="utf-8")
        for file in values.values():
            shutil.copy(REPOSITORY / "test_data" / file, folder / "test-data")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
