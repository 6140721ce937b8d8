"""The package's metadata agree with what is tested and with where the project is."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

import gpuopt

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_pythons_that_are_named_are_those_that_ci_runs() -> None:
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    if not workflow.exists():
        pytest.skip(".github is not part of this distribution")
    (matrix,) = re.findall(r"^ +python: (\[.*\])$", workflow.read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = [match[1] for text in PROJECT["classifiers"] if (match := re.fullmatch(r".*:: Python :: (3\.\d+)", text))]
    assert named == json.loads(matrix)
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_every_address_is_in_one_repository() -> None:
    url = PROJECT["urls"]["Homepage"]
    asv = json.loads((ROOT / "asv_bench" / "asv.conf.json").read_text(encoding="utf-8"))
    assert asv["project_url"] == url
    site = PROJECT["urls"]["Documentation"]
    assert asv["frontpage"]["address"] == f"{site}benchmarks"
    addresses = [*PROJECT["urls"].values(), asv["show_commit_url"]]
    addresses.remove(site)
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.yml")]:
        addresses += re.findall(r"https://github\.com/[^\s)>\"]+", page.read_text(encoding="utf-8"))
    assert {address for address in addresses if not f"{address}/".startswith(f"{url}/")} == set()


def test_the_citation_is_of_this_version_and_repository() -> None:
    if not (ROOT / "CITATION.cff").exists():
        pytest.skip("CITATION.cff is not part of this distribution")
    cited = dict(re.findall(r"^([\w-]+): (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert cited["version"] == gpuopt.__version__
    assert cited["license"] == PROJECT["license"]
    assert (cited["repository-code"], cited["url"]) == (PROJECT["urls"]["Homepage"], PROJECT["urls"]["Documentation"])


INSTALLS = re.compile(r"pip install ((?:--?[\w-]+ )*)(\"[^\"]*\"|'[^']*'|[^\s`|]+)")


def installs() -> list[tuple[str, str]]:
    """What pages, workflows and messages say is to be installed, with where they say so."""
    files = [ROOT / ".ci" / "run", *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.yml")]
    files += [*ROOT.glob("gpuopt/**/*.py"), *ROOT.glob("tools/**/*.py"), *ROOT.glob("examples/*.py")]
    found = []
    for file in files:
        for _, what in INSTALLS.findall(file.read_text(encoding="utf-8")):
            found.append((str(file.relative_to(ROOT)), what.strip("'\"")))
    return found


@pytest.mark.parametrize(("file", "what"), installs())
def test_what_is_to_be_installed_exists(file: str, what: str) -> None:
    """The package itself is not on PyPI: it is installed from a clone, with extras that are those of pyproject.toml."""
    assert not re.match(r"gpuopt\b", what), f"{file}: {what} works only for a package on PyPI"
    path, _, extras = what.partition("[")
    if path == ".":
        named = {extra.strip() for extra in extras.removesuffix("]").split(",")} - {""}
        assert named <= PROJECT["optional-dependencies"].keys(), f"{file}: {what}"


def test_commands_to_install_are_seen() -> None:
    seen = {what for file, what in installs() if file == "README.md"}
    assert seen >= {".", ".[cuda13]", ".[cuda12]", ".[numba]", ".[demo]", ".[cuda13,numba,demo]", ".[test]"}
    assert INSTALLS.findall('pip install --quiet --editable ".[test]" x') == [("--quiet --editable ", '".[test]"')]
