"""Mistakes: each is an edit of one function of the package, which is found by its qualified name, whatever file it is in."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

from tools.mutants import pattern

__all__ = ["MisfitError", "Mistake", "Package", "TextMistake", "paths_of_tests"]


class MisfitError(ValueError):
    """A mistake that is not one of the code as it is."""


@dataclasses.dataclass(frozen=True)
class Mistake:
    """What somebody could get wrong.

    Parameters
    ----------
    name : str
        What is wrong.
    where : str
        The name of a function, a class or a variable, with as many of the names that it lies in as tell it apart; with a
        module before it where there are several of that name, as in ``tree:leaves``.
    right, wrong : str
        A pattern of the code as it is, which matches once in it, and what is written in its place; see `pattern`.
    tests : str
        The test files that notice it, without folder and ending, with a space between them; those that are soonest done first.
        A function of a file may be named, as in ``test_rules::test_a_rule_that_cannot_be``.
    emulated : tuple of str, optional
        Run those of them that need a GPU, on the emulated one, with these variables of the environment.
    """

    name: str
    where: str
    right: str
    wrong: str
    tests: str
    emulated: tuple[str, ...] | None = None

    def planted(self, text: str, node: ast.AST) -> list[str]:
        """The text of a file with the mistake in it, once for each place in `node` where it can be made."""
        # What takes a statement's place is one: `pass` stands for a call that was dropped, not for an argument.
        whole = not isinstance(ast.parse(self.wrong).body[0], ast.Expr)
        return [pattern.replaced(text, found, self.wrong) for found in pattern.find(self.right, node, whole)]


class TextMistake(Mistake):
    """A mistake in code of another language: `right` and `wrong` are text; any white space in it is like any other.

    `where` may be the name of a file, too.
    """

    def planted(self, text: str, node: ast.AST) -> list[str]:
        start, end = (0, len(text)) if isinstance(node, ast.Module) else pattern.span(text, [node])
        changed = pattern.replaced_text(text[start:end], self.right, self.wrong)
        return [text[:start] + part + text[end:] for part in changed]


class Package:
    """The files of a package, and what they define."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        paths = [path for path in sorted(folder.rglob("*")) if path.suffix in {".py", ".cuh"}]
        self._texts = {path: path.read_text(encoding="utf-8") for path in paths}
        self._places: dict[str, list[tuple[Path, ast.AST]]] = {}
        for path, text in self._texts.items():
            tree = ast.parse(text if path.suffix == ".py" else repr(text))
            self._places.setdefault(path.name, []).append((path, tree))
            self._note(path, tree, "")

    def _note(self, path: Path, within: ast.AST, prefix: str) -> None:
        for node in ast.iter_child_nodes(within):
            if isinstance(node, (ast.If, ast.Try)):
                self._note(path, node, prefix)
            for name in _defined(node):
                self._places.setdefault(prefix + name, []).append((path, node))
                self._note(path, node, f"{prefix}{name}.")

    def planted(self, mistake: Mistake) -> tuple[Path, str]:
        """The file in which the mistake is made, by its path in the package, and its text with it.

        Raises
        ------
        MisfitError
            Where the code holds what is right nowhere, or at several places, or would not be Python any more.
        """
        module, _, name = mistake.where.rpartition(":")
        named = [key for key in self._places if f".{key}".endswith(f".{name}")]
        places = [place for key in named for place in self._places[key]]
        if len(places) > 1 and module:
            places = [(path, node) for path, node in places if f".{self._module(path)}".endswith(f".{module}")]
        if not places:
            raise MisfitError(f"{mistake.name!r}: nothing in the package is called {mistake.where}")
        found = [(path, text) for path, node in places for text in mistake.planted(self._texts[path], node)]
        if len(found) != 1:
            files = ", ".join(str(path.relative_to(self._folder)) for path, _ in found or places)
            raise MisfitError(
                f"{mistake.name!r}: {mistake.where} must hold {mistake.right!r} at one place, not {len(found)} (in {files})"
            )
        path, text = found[0]
        if path.suffix == ".py":
            try:
                ast.parse(text)
            except SyntaxError as error:
                raise MisfitError(f"{mistake.name!r}: with {mistake.wrong!r} it is no Python any more ({error})") from error
        return path.relative_to(self._folder), text

    def _module(self, path: Path) -> str:
        return ".".join(path.relative_to(self._folder).with_suffix("").parts).removesuffix(".__init__")


def _defined(node: ast.AST) -> list[str]:
    """The names that a statement gives to something."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets]
    return [ast.unparse(node.target)] if isinstance(node, ast.AnnAssign) else []


def paths_of_tests(mistake: Mistake, root: Path) -> list[str]:
    """The paths, in the tree at `root`, of the tests that are to notice a mistake.

    Raises
    ------
    MisfitError
        Where there are none that are called so.
    """
    found = []
    for name in mistake.tests.split():
        file, _, function = name.partition("::")
        paths = sorted((root / "tests").rglob(f"{file}.py"))
        if len(paths) != 1:
            raise MisfitError(f"{mistake.name!r}: there are {len(paths)} files {file}.py in tests, not one")
        if f"def {function}(" not in paths[0].read_text(encoding="utf-8") and function:
            raise MisfitError(f"{mistake.name!r}: {file}.py has no {function}")
        found.append(paths[0].relative_to(root).as_posix() + (f"::{function}" if function else ""))
    return found
