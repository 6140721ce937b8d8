"""Every file that prose names exists, and what users read is in plain English.

Prose is each page in Markdown, each comment (also of shell, YAML and TOML), each docstring, and each string after a
definition. Three things are looked for in it: links and their anchors, paths, and the names of design documents. In pages,
and in the docstrings and messages of the package, also phrases that a reader must read twice.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())
FOLDERS = ("gpuopt", "tests", "tools", "docs", "examples", "asv_bench", ".github", ".ci")
"""A path that begins with one of these is relative to the repository."""
ENDINGS = ("py", "md", "sh", "cuh", "toml", "yml", "json")
"""A word with such an ending is a path."""
PLACEHOLDERS = {"FOLDER", "FILE", "NAME"}
"""A path with one of these stands for what a user gives: `FOLDER/summary.md`, `--output FILE.json`."""
ELSEWHERE = {
    "asv_bench/html": "made by asv_bench/tools/publish.sh",
    "docs/_build/html": "made by Sphinx",
    "docs/generated/start-*.png": "made by Sphinx",
    "verdicts.json": "made by asv_bench/tools/publish.sh",
    "regressions.json": "made by asv",
}
"""Paths that prose names and that are rightly in no clone, with who makes them."""


def tracked() -> set[PurePosixPath]:
    """The files of the repository, those included that are not yet added to it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return set()
    return {PurePosixPath(name) for name in listed.split("\0") if name and (ROOT / name).is_file()}


FILES = tracked()
if not FILES or not (ROOT / ".git").exists():
    pytest.skip("only a clone can say which files there are", allow_module_level=True)
HERE = {*map(str, FILES), *(str(parent) for file in FILES for parent in file.parents)}
"""The files and folders of the repository."""
TEXTS = [file for file in sorted(FILES) if not file.is_relative_to("asv_bench/results") and file.suffix != ".png"]
PAGES = [file for file in TEXTS if file.suffix == ".md"]
MODULES = [file for file in TEXTS if file.suffix == ".py"]
SCRIPTS = [file for file in TEXTS if file.suffix in (".sh", ".yml", ".yaml", ".toml") or file.parts[0] == ".ci"]
THIS = PurePosixPath(Path(__file__).resolve().relative_to(ROOT.resolve()).as_posix())

Line = tuple[int, str]
"""The number of a line, and its text."""


def read(file: PurePosixPath) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def prose_of_module(text: str) -> Iterator[Line]:
    """The lines of comments, and of strings that are statements of their own."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield from enumerate(node.value.value.splitlines(), start=node.lineno)


@functools.cache
def prose(file: PurePosixPath) -> list[Line]:
    text = read(file)
    if file.suffix == ".py":
        return list(prose_of_module(text))
    lines = list(enumerate(text.splitlines(), start=1))
    if file.suffix == ".md":
        return lines
    comments = [(number, re.search(r"(?:^|\s)#.*", line)) for number, line in lines]
    return [(number, comment.group()) for number, comment in comments if comment]


IN_FOLDER = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w.*?/-]*")
WITH_ENDING = re.compile(rf"(?<![\w$./-])[\w*][\w.*/-]*\.(?:{'|'.join(ENDINGS)})(?!\w|[(.-]\w)")


def paths(line: str) -> set[str]:
    """The paths in a line: those that begin with a folder of the repository, and those whose ending tells."""
    plain = line.replace("**", "")
    return {path.rstrip("./") for path in (*IN_FOLDER.findall(plain), *WITH_ENDING.findall(plain))}


@functools.cache
def exists(path: str) -> bool:
    """Whether there is such a file or folder; a path from no folder of the repository may be the end of a longer one."""
    pure = PurePosixPath(path)
    if PLACEHOLDERS & {part.partition(".")[0] for part in pure.parts} or path in ELSEWHERE:
        return True
    if path in HERE or pure.parts[0] in FOLDERS:
        return bool(fnmatch.filter(HERE, path))
    return bool(fnmatch.filter(HERE, f"*/{path}"))


def test_every_path_that_is_named_exists() -> None:
    lines = ((file, number, line) for file in (*PAGES, *MODULES, *SCRIPTS) for number, line in prose(file))
    missing = [f"{file}:{number}: {path}" for file, number, line in lines for path in paths(line) if not exists(path)]
    assert not missing


def messages(file: PurePosixPath) -> Iterator[str]:
    """The strings of a module, which a user may get to read."""
    for node in ast.walk(ast.parse(read(file))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_page_that_a_message_names_exists() -> None:
    texts = ((file, text) for file in MODULES if file.parts[0] == "gpuopt" for text in messages(file))
    named = ((file, path.rstrip("./")) for file, text in texts for path in IN_FOLDER.findall(text))
    assert not [f"{file}: {path}" for file, path in named if not exists(path)]


def headings(page: PurePosixPath) -> set[str]:
    """The anchors of a page, as GitHub makes them of its headings."""
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def links(text: str) -> list[str]:
    """What the links of a page lead to, those to other sites left out."""
    code = re.compile(r"^```.*?^```|`[^`\n]*`", flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)\s]+)\)", code.sub("", text))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: PurePosixPath) -> None:
    for target in links(read(page)):
        path, _, anchor = target.partition("#")
        reached = (ROOT / page.parent / path).resolve() if path else (ROOT / page).resolve()
        assert reached.is_relative_to(ROOT.resolve()), target
        inside = PurePosixPath(reached.relative_to(ROOT.resolve()).as_posix())
        assert str(inside) in HERE, target
        assert not anchor or anchor in headings(inside), target


DOCUMENT = re.compile(r"(?<![\w.-])[A-Z][A-Z_-]{2,}\.md\b")


def test_every_design_document_that_is_named_exists() -> None:
    known = {file.name for file in FILES} | {f"{name}.md" for name in PLACEHOLDERS}
    named = ((file, name) for file in TEXTS if file != THIS for name in DOCUMENT.findall(read(file)))
    assert not [f"{file}: {name}" for file, name in named if name not in known]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("see `trace.py`, and rules/base.py.", {"trace.py", "rules/base.py"}),
        ("as docs/gpu.md says.", {"docs/gpu.md"}),
        ("`bash tools/gpu_check.sh FOLDER`, `FOLDER/summary.md`", {"tools/gpu_check.sh", "FOLDER/summary.md"}),
        ("`gpuopt/rules/*_pieces.py`, **tests/support/cuda/**", {"gpuopt/rules/*_pieces.py", "tests/support/cuda"}),
        ("`x.real`, `$TEMP/a.md`, `f.py_func`, https://a.b/docs/c.md, `np.md(x)`", set()),
    ],
)
def test_a_path_is_seen(line: str, found: set[str]) -> None:
    assert paths(line) == found


def test_where_prose_is_found() -> None:
    text = "'a page'\nx = 'no prose'  # a comment\n'after x'\ndef f():\n    '''of f\n    and more'''\n"
    assert sorted(prose_of_module(text)) == [
        (1, "a page"),
        (2, "# a comment"),
        (3, "after x"),
        (5, "of f"),
        (6, "    and more"),
    ]


def test_what_does_not_exist_is_missed() -> None:
    assert exists("pyproject.toml")
    assert exists("tests")
    assert exists("FOLDER/summary.md")
    assert not exists("no_such_module.py")
    assert not exists("gpuopt/no_such_*.py")
    assert not exists("tests/pyproject.toml")
    assert links("[a](b.md#c) [d](https://e.f) `[g](h)`") == ["b.md#c"]
    assert DOCUMENT.findall("as ABSENT.md and docs/absent.md say") == ["ABSENT.md"]


def test_what_is_made_elsewhere_is_named_in_prose_and_not_here() -> None:
    named = {path for file in (*PAGES, *MODULES, *SCRIPTS) for _, line in prose(file) for path in paths(line)}
    assert ELSEWHERE.keys() <= named
    assert not ELSEWHERE.keys() & HERE


PLAIN = {
    r"\bbut for\b": "except",
    r"\bfor one, ": "for example",
    r"\bas ever\b": "as always",
    r"\b(?:is|are|was|were) made of\b(?! software)": "is computed from",
    r"(?:^|[.:;] )Who (?!is|was|has)\w+s\b": "If you …",
    r"\bof one's own\b": "your own",
    r"\banew\b": "again",
    r"\b(?:go|goes|going|went) on\b": "continue",
    r"\b(?:has|have) not(?:[.,:;]| the like\b)": "lacks",
    r"\bcannot be had\b": "is not available",
    r"\b(?:is|are) updated apart\b": "separately",
    r", say[,.)]": "for example",
    r"\bone (?:argument|kernel|parameter|pass) more\b": "one more …",
    r"(?<!there )\b(?:is|are) no (?!larger|less|longer|more|smaller)[a-z]+": "is not a",
}
"""Phrases that sound translated or old, by what to write in their place."""


def unwanted(text: str) -> list[str]:
    """The phrases of a page that are in `PLAIN`, code left out; a phrase may continue on the next line."""
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    words = re.sub(r"\s*\n\s*(?=\S)", " ", re.sub(r"\n\s*\n\s*", ". ", prose))
    return [match.group() for phrase in PLAIN for match in re.finditer(phrase, words, flags=re.IGNORECASE)]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_is_in_plain_english(page: PurePosixPath) -> None:
    assert not unwanted(read(page)), PLAIN


@pytest.mark.parametrize("file", [file for file in MODULES if file.parts[0] == "gpuopt"], ids=str)
def test_strings_and_comments_of_the_package_are_in_plain_english(file: PurePosixPath) -> None:
    texts = (*messages(file), *(line for _, line in prose(file)))
    assert not [(text, found) for text in texts if (found := unwanted(text))], PLAIN


@pytest.mark.parametrize(
    "text",
    [
        "Every rule but\nfor `Rprop`.",
        "Adam, for one, does.",
        "It is, as ever, right.",
        "A number is made of\nall elements.",
        "It ends. Who assigns to it must wait.",
        "A rule of one's own.",
        "Capture anew.",
        "It goes on.",
        "What arrays have not: `//`.",
        "A network, say.",
        "An estimator with one parameter more.",
        "They are no rules.",
    ],
)
def test_a_phrase_is_seen(text: str) -> None:
    assert len(unwanted(text)) == 1


def test_plain_text_has_no_such_phrase() -> None:
    assert not unwanted("There is no `x` yet. Who is it for? There are no GPUs. A GPU made of software.\n```py\nbut for\n```\n")
