"""The planted mistakes of `tools/mutants` are of the code as it is; that the suite notices them takes minutes, and CI."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tools.mutants import pattern
from tools.mutants.__main__ import chosen
from tools.mutants.mistakes import MISTAKES
from tools.mutants.planting import MisfitError, Mistake, Package, TextMistake, paths_of_tests

ROOT = next(parent for parent in Path(__file__).parents if (parent / "pyproject.toml").exists())


@pytest.fixture(scope="module")
def package() -> Package:
    return Package(ROOT / "gpuopt")


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_each_is_one_of_the_code_as_it_is(mistake: Mistake, package: Package) -> None:
    path, text = package.planted(mistake)
    assert text != (ROOT / "gpuopt" / path).read_text(encoding="utf-8")
    assert paths_of_tests(mistake, ROOT)


def test_each_has_a_name_of_its_own() -> None:
    names = [mistake.name for mistake in MISTAKES]
    assert sorted(set(names)) == sorted(names)


CODE = '''
def spread(values, other, n=1):
    """What it does."""
    total = 0.0
    for value in values:
        total += (
            value
            - other  # as measured
        ) ** 2
    if n > 1 and total:
        total = total / n
        return total
    return print(f"{total} of {n}", values, sep="", end=other)
'''


@pytest.mark.parametrize(
    ("right", "wrong", "now"),
    [
        pytest.param("(_1 - other)**2", "(_1 - other)", "total += (value - other)", id="in any layout"),
        pytest.param("_1 > 1 and _2", "_2 and _1 > 1", "if (total and n > 1):", id="swapped operands"),
        pytest.param("_1 > 1", "_1 >= 1", "if (n >= 1) and total:", id="off by one"),
        pytest.param("_1 = _1 / _2", "pass", "        pass\n        return total", id="a dropped statement"),
        pytest.param("for _1 in _2: __1", "__1", "    total += (value - other) ** 2\n    if n", id="a dropped loop"),
        pytest.param("_1 = 0.0\nfor _2 in _3: __1", "for _2 in _3: __1", '"""\n    for value in values:', id="two statements"),
        pytest.param("_1 = _2\nreturn _1", "return _1\n_1 = _2", "return total\n        total = total / n", id="another order"),
        pytest.param("print(_1, __2, **__3)", "print(__2, **__3)", "print(values, sep='', end=other)", id="one argument less"),
        pytest.param("_1(__2, sep='', end=_3)", "_1(__2, end=_3)", ", values, end=other)", id="one keyword less"),
    ],
)
def test_a_pattern_is_found_and_replaced(right: str, wrong: str, now: str) -> None:
    (text,) = Mistake("a", "spread", right, wrong, "").planted(CODE, ast.parse(CODE))
    assert now in text
    ast.parse(text)


def test_a_wildcard_stands_for_the_same_code_everywhere() -> None:
    tree = ast.parse("a.x - a.x, a.x - b.x")
    assert [ast.unparse(place.bound["_1"]) for place in pattern.find("_1 - _1", tree)] == ["a.x"]
    assert len(pattern.find("_1._2 - _3._2", tree)) == 2


def test_columns_are_counted_in_characters() -> None:
    code = 'x = ["größer", size + 1]'
    (found,) = pattern.find("_1 + 1", ast.parse(code))
    assert pattern.replaced(code, found, "_1") == 'x = ["größer", size]'


@pytest.fixture
def small(tmp_path: Path) -> Package:
    (tmp_path / "wing").mkdir()
    (tmp_path / "wing" / "one.py").write_text("def first(x):\n    return x + 1\n\n\ndef twice(x):\n    return x + 1\n")
    (tmp_path / "two.py").write_text("def twice(x):\n    return x + 1, x + 1, 'if (n  >  0) n -= 1;'\n")
    (tmp_path / "fold.cuh").write_text("__device__ void fold(int n) {\n  if (n > 0)\n    n -= 1;\n}\n")
    return Package(tmp_path)


def test_a_function_is_found_in_whatever_file_it_is(small: Package) -> None:
    for where in ("first", "moved:first"):
        path, text = small.planted(Mistake("a", where, "_1 + 1", "_1", ""))
        assert (path, text.count("x + 1")) == (Path("wing/one.py"), 1)
    path, _ = small.planted(Mistake("a", "wing.one:twice", "_1 + 1", "_1", ""))
    assert path == Path("wing/one.py")


def test_text_in_another_language(small: Package) -> None:
    path, text = small.planted(TextMistake("a", "fold.cuh", "if (n > 0) n -= 1;", "n -= 1;", ""))
    assert (path, text) == (Path("fold.cuh"), "__device__ void fold(int n) {\n  n -= 1;\n}\n")
    path, text = small.planted(TextMistake("a", "two:twice", "if(n>0)", "if (n)", ""))
    assert (path, text.count("'if (n) n -= 1;'")) == (Path("two.py"), 1)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (Mistake("a", "third", "_1 + 1", "_1", ""), "'a': nothing in the package is called third"),
        (Mistake("a", "first", "_1 + 2", "_1", ""), r"'a': first must hold '_1 \+ 2' at one place, not 0 \(in wing/one.py\)"),
        (Mistake("a", "twice", "_1 + 1", "_1", ""), "at one place, not 3"),
        (Mistake("a", "two:twice", "_1 + 1", "_1", ""), r"at one place, not 2 \(in two.py, two.py\)"),
        (TextMistake("a", "first", "x + 1", "x +", ""), "no Python any more"),
    ],
)
def test_what_is_not_of_the_code_is_named(small: Package, mistake: Mistake, message: str) -> None:
    with pytest.raises(MisfitError, match=message):
        small.planted(mistake)


@pytest.mark.parametrize(
    ("tests", "message"),
    [("test_nothing", "there are 0 files test_nothing.py"), ("test_mutants::test_nothing", "has no test_nothing")],
)
def test_tests_that_are_not_there_are_named(tests: str, message: str) -> None:
    with pytest.raises(MisfitError, match=message):
        paths_of_tests(Mistake("a", "first", "_1", "_1", tests), ROOT)


def test_the_parts_have_each_mistake_once() -> None:
    assert sorted(one.name for k in (1, 2, 3) for one in chosen([], f"{k}/3")) == sorted(one.name for one in MISTAKES)
