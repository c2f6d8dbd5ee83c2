"""The pages that people read: what they say to type is typed, and what they name exists.

A page is worked through from top to bottom, in one copy of a small project in which every stage has
run. Of its blocks,

- ``sh`` is run by bash, and what it prints held against a ``text`` block right below it, in which
  … stands for anything. ``<!-- not run: why -->`` above it leaves it out; above the ``text``,
  ``<!-- not compared: why -->`` does. With ``<!-- fails: why -->`` above it must fail, and what it
  says on stderr counts too;
- ``python`` is run, with the same way out;
- ``diff`` is applied, each part of it wherever the lines that it starts from stand;
- whatever has ``<!-- file: its/path -->`` above it is written there.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import typer
import yaml
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from typer.core import TyperGroup

from tests.miniature import copy, environment
from tests.pages import PAGES, Block, anchors, blocks, links, spans
from tests.people import ROOT
from yololstm.cli import app
from yololstm.params import Params

_MINUTES: Final = 10
_KEY: Final = re.compile(r"([a-z]+\.[a-z0-9_]+)(?:: (.+))?")
_SUFFIXES: Final = (".csv", ".json", ".lock", ".md", ".parquet", ".py", ".txt", ".yaml")
_FILE: Final = re.compile(
    r"(?:benchmarks|crossvalidation|detectors|docs|stages|tests|yololstm)/\S*"
)
_SET: Final = re.compile(r"(?:-S|--set-param)[ =]'?([a-z]+\.[a-z0-9_]+)=")
_LEFT_OUT: Final = re.compile(r"[<>{}*…]")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


# --- what they say to type ---


@pages
def test_page_does_what_it_says(page: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found = blocks(page.read_text(encoding="utf-8"), page.name)
    _check_known(found)
    if any(_is_done(block) for block in found):
        folder = copy(request.getfixturevalue("miniature"), tmp_path / "project")
        _work_through(found, folder)


def _check_known(found: list[Block]) -> None:
    for block in found:
        assert block.remark[0] in ("", "not run", "not compared", "fails", "file"), block.place
        assert not block.remark[0] or block.remark[1], f"{block.place}: no reason is given"
        assert block.language in ("", "sh", "python", "text", "diff", "json", "yaml"), block.place


def _is_done(block: Block) -> bool:
    if block.remarked("file"):
        return True
    return block.language in ("sh", "python", "diff") and not block.remarked("not run")


def _work_through(found: list[Block], folder: Path) -> None:
    printed = None
    for block in found:
        if block.language == "text" and block.follows and printed is not None:
            assert block.remarked("not compared") or _is_like(printed, block.code), (
                f"{block.place}: what was printed is\n{printed}"
            )
        printed = _do(block, folder) if _is_done(block) else None


def _do(block: Block, folder: Path) -> str | None:
    """What it printed."""
    if path := block.remarked("file"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(block.code, encoding="utf-8")
    elif block.language == "diff":
        _apply(block, folder)
    elif block.language == "sh":
        return _run(block, folder, "bash", "-euo", "pipefail", "-c", block.code)
    elif block.language == "python":
        return _run(block, folder, "python", "-c", block.code)
    return None


def _run(block: Block, folder: Path, *command: str) -> str:
    env = {k: v for k, v in environment(folder).items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=60 * _MINUTES
    )
    told = f"{done.stdout}\n{done.stderr}"
    if block.remarked("fails"):
        assert done.returncode, f"{block.place}: it did not fail\n{told}"
        return told
    assert done.returncode == 0, f"{block.place}: it failed\n{told}"
    return done.stdout


def _is_like(printed: str, shown: str) -> bool:
    told, pattern = ("\n".join(map(str.rstrip, t.strip().splitlines())) for t in (printed, shown))
    return re.fullmatch(".*?".join(map(re.escape, pattern.split("…"))), told, re.DOTALL) is not None


def _apply(block: Block, folder: Path) -> None:
    head, *hunks = re.split(r"^@@.*\n", block.code, flags=re.MULTILINE)
    path = folder / head.splitlines()[0].removeprefix("--- ").removeprefix("a/")
    assert path.is_file(), f"{block.place}: there is no {path.relative_to(folder)}"
    assert hunks, f"{block.place}: no part starts with @@"
    text = path.read_text(encoding="utf-8")
    for hunk in hunks:
        lines = [line or " " for line in hunk.splitlines()]
        assert all(line[0] in " +-" for line in lines), f"{block.place}: {lines}"
        before, after = (
            "".join(f"{line[1:]}\n" for line in lines if line[0] in kept) for kept in (" -", " +")
        )
        assert before in text, f"{block.place}: {path.name} has no such lines\n{before}"
        assert before != after, f"{block.place}: it changes nothing"
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")


# --- what they name ---


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page.read_text(encoding="utf-8")):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name}: {link}"
        assert file.resolve().is_relative_to(ROOT), f"{page.name}: {link} leaves the repository"
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"{page.name}: {link}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached = {link.partition("#")[0] for link in links((ROOT / "README.md").read_text("utf-8"))}
    missing = {page.relative_to(ROOT).as_posix() for page in PAGES} - {"README.md"} - reached
    assert not missing


@pages
def test_files_of_the_repository_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    made = {block.remarked("file") for block in blocks(text, page.name)}
    for span in spans(text):
        if _FILE.fullmatch(span) and not _LEFT_OUT.search(span) and span not in made:
            assert (ROOT / span).exists(), f"{page.name}: {span}"


@pages
def test_commands_and_their_options_exist(page: Path) -> None:
    for place, words in _commands(page):
        match words:
            case ["yololstm", *given]:
                _check_ours(place, given)
            case ["dvc", *given]:
                _check_dvc(place, given)
            case ["make", *given]:
                for target in itertools.takewhile(lambda word: "=" not in word, given):
                    assert target in _targets(), f"{place}: make {target}"
            case [option, *_] if option.startswith("--"):
                assert option in _options(), f"{place}: {option}"


def _commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Where each stands, and its words; without what follows a pipe or the like."""
    text = page.read_text(encoding="utf-8")
    lines = [(page.name, span) for span in spans(text)]
    for block in blocks(text, page.name):
        if block.language == "sh":
            joined = block.code.replace("\\\n", " ")
            lines += [(block.place, line.strip()) for line in joined.splitlines()]
    for place, line in lines:
        for part in re.split(r"\s(?:\||&&|\|\||;)\s", line):
            yield place, _words(part)


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command.partition(" #")[0])
    except ValueError:  # a word with an apostrophe in it: no command
        return []
    assigned = itertools.dropwhile(lambda word: re.match(r"[A-Z_]+=", word), words)
    return list(itertools.takewhile(lambda word: word not in (">", ">>", "2>&1"), assigned))


def _check_ours(place: str, given: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    left = list(given)
    while isinstance(command, TyperGroup) and left and not left[0].startswith("-"):
        name = left.pop(0)
        if name == "…":
            return
        assert name in command.commands, f"{place}: yololstm {' '.join(given)}: no {name!r}"
        command = command.commands[name]
    known = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}
    for word in left:
        if word.startswith("-") and word not in ("-", "--"):
            option = word.partition("=")[0]
            assert option in known | {"--help"}, f"{place}: yololstm {' '.join(given)}: no {option}"


def _check_dvc(place: str, given: list[str]) -> None:
    if not given or any(_LEFT_OUT.search(word) for word in given):
        return
    if len(given) == 1:  # only named; it may lack what it would need
        assert given[0] in _subcommands(get_main_parser()), f"{place}: dvc {given[0]}"
        return
    try:
        get_main_parser().parse_args(given)
    except (DvcParserError, SystemExit) as error:
        pytest.fail(f"{place}: dvc {' '.join(given)}: {error!r}")


def _subcommands(parser: Any) -> dict[str, Any]:
    found = (action.choices for action in parser._actions if isinstance(action.choices, dict))
    return {name: command for choices in found for name, command in choices.items()}


@cache
def _targets() -> frozenset[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):(?!=)", makefile, re.MULTILINE))


@cache
def _options() -> frozenset[str]:
    """Of all commands, ours and DVC's."""
    found: set[str] = set()
    commands: list[Any] = [typer.main.get_command(app)]
    for command in commands:
        params = command.params
        found.update(opt for param in params for opt in (*param.opts, *param.secondary_opts))
        commands += command.commands.values() if isinstance(command, TyperGroup) else []
    parsers: list[Any] = [get_main_parser()]
    for parser in parsers:
        found.update(option for action in parser._actions for option in action.option_strings)
        parsers += _subcommands(parser).values()
    return frozenset(found)


@pages
def test_params_exist_and_take_the_values(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for span in spans(text):
        named = _KEY.fullmatch(span)
        if named and named[1].split(".")[0] in _sections() and not span.endswith(_SUFFIXES):
            _check_key(page.name, named[1])
            if named[2] and not _LEFT_OUT.search(named[2]):
                _check_value(page.name, named[1], named[2])
    for block in blocks(text, page.name):
        for key in _SET.findall(block.code):
            _check_key(block.place, key)


@cache
def _sections() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return {name: values for name, values in content.items() if isinstance(values, dict)}


def _check_key(place: str, key: str) -> None:
    section, name = key.split(".")
    assert name in _sections()[section], f"{place}: params.yaml has no {key}"


def _check_value(place: str, key: str, value: str) -> None:
    section, name = key.split(".")
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    content[section][name] = yaml.safe_load(value)
    try:
        Params.model_validate(content)
    except ValueError as error:
        pytest.fail(f"{place}: {key}: {value}: {error}")


# --- the tests themselves ---


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("```sh\nfalse\n```\n", "p, line 1: it failed"),
        ("\n```sh\nfalse | true\n```\n", "p, line 2: it failed"),
        ("```sh\ntrue\necho $nowhere\n```\n", "nowhere: unbound variable"),
        ("```python\nraise SystemExit(3)\n```\n", "it failed"),
        ("```sh\necho yes\n```\n\n```text\nno\n```\n", "p, line 5: what was printed is"),
        ("```diff\n--- there\n@@\n-lost\n+found\n```\n", "there has no such lines"),
        ("```diff\n--- nowhere\n@@\n-lost\n+found\n```\n", "there is no nowhere"),
        ("<!-- fails: so -->\n```sh\ntrue\n```\n", "it did not fail"),
        ("<!-- not run: -->\n```sh\nfalse\n```\n", "no reason"),
        ("<!-- never run: at all -->\n```sh\nfalse\n```\n", "p, line 2"),
        ("```bash\nfalse\n```\n", "p, line 1"),
    ],
)
def test_page_that_does_not_is_told(page: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("kept\n", encoding="utf-8")
    with pytest.raises(AssertionError) as told:
        found = blocks(page, "p")
        _check_known(found)
        _work_through(found, tmp_path)
    assert problem in str(told.value)


def test_page_that_does(tmp_path: Path) -> None:
    page = """
<!-- file: names/here.txt -->
```text
one
two
one
```
```diff
--- names/here.txt
@@
-one
+three
```
<!-- not run: it would fail -->
```sh
false
```
```text
what it said
```
<!-- fails: there is no such file -->
```sh
cat names/there.txt
```
```text
cat: names/there.txt: …
```
```sh
cat names/here.txt
echo and more
```

```text
three
…
three
and …ore
```
```sh
echo $RANDOM
```
<!-- not compared: it is drawn -->
```text
17
```
```python
print(open("names/here.txt").read(), end="")
```
```text
three
two
three
```
"""
    found = blocks(page, "p")
    _check_known(found)
    _work_through(found, tmp_path)


def test_links_and_code_are_told_from_the_text() -> None:
    text = (
        "See [a](b.md#what-it-is) and `[c](d)`, not\n```sh\n[e](f) `g`\n```\nbut ``h`` or `i\nj`."
    )
    assert links(text) == ["b.md#what-it-is"]
    assert spans(text) == ["[c](d)", "i j"]
    assert anchors("# What it is\n## 1. `x`: y, 절도\n") == {"what-it-is", "1-x-y-절도"}


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("See [there](nowhere.md).", test_links_lead_somewhere),
        ("See `yololstm/nowhere.py`.", test_files_of_the_repository_exist),
        ("Try `yololstm wlak`.", test_commands_and_their_options_exist),
        ("Try `yololstm models fecth`.", test_commands_and_their_options_exist),
        ("```sh\nOMP_NUM_THREADS=1 yololstm run x.mp4 --otu y # so\n```\n", None),
        ("```sh\ntrue && dvc exp rnu\n```\n", None),
        ("```sh\ndvc pull --run-cahce | cat\n```\n", None),
        ("Try `dvc rpero` or `make repro`.", test_commands_and_their_options_exist),
        ("Try `make rpero`.", test_commands_and_their_options_exist),
        ("Give it `--no-such-option`.", test_commands_and_their_options_exist),
        ("Set `train.modle`.", test_params_exist_and_take_the_values),
        ("Set `train.model: gru`.", test_params_exist_and_take_the_values),
        ("```sh\ndvc exp run -S 'train.modle=lstm'\n```\n", test_params_exist_and_take_the_values),
    ],
)
def test_what_is_not_there_is_told(
    text: str, check: Callable[[Path], None] | None, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises((AssertionError, pytest.fail.Exception), match=r"page\.md"):
        (check or test_commands_and_their_options_exist)(page)
