"""What people compare runs with: plots drawn without any network, and params with comments.

The walk through experiments itself is docs/experiments.md, which tests/test_docs.py runs.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from tests import miniature as project
from tests.people import ROOT
from yololstm.params import Params

PAGE: Final = ROOT / ".dvc/plots/page.html"
#: build/*.min.js of the npm packages.
PUBLISHED: Final = {
    "vega": "463f3db6a40b20e9747b4ed38f37ed0add508838f9141b1cf8366784b07b30c8",
    "vega-lite": "58c27358e26f2d319cf62f45bc17a4c8362f08645001df2ec8d341eee4097c7f",
    "vega-embed": "12d02acfbe3ec59ef9a37dd4822a2e04e2961b5bbb671bbe661d2221715b99da",
}


class _Drawn(HTMLParser):
    """What a browser made of a page: the ids of divs that hold a chart, and the images."""

    def __init__(self, dom: str) -> None:
        super().__init__()
        self.charts: set[str] = set()
        self.images: list[str] = []
        self.policies: list[str] = []
        self._chart = ""
        self.feed(dom)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "div" and "vega-embed" in given.get("class", "").split():
            self._chart = given["id"]
        elif tag == "canvas" and int(given["width"]) > 100 and int(given["height"]) > 100:
            self.charts.add(self._chart)
        elif tag == "img":
            self.images.append(given["src"])
        elif tag == "meta" and given.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(given["content"])


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
    if found is None:
        pytest.skip("there is no chromium to look at plots with")
    return found


@pytest.fixture
def repository(miniature: Path, tmp_path: Path) -> Path:
    return project.copy(miniature, tmp_path / "project")


def looked_at(page: Path, browser: str, profile: Path) -> tuple[_Drawn, str]:
    """What the page shows where no name leads anywhere, and what the browser complained of."""
    done = subprocess.run(
        [
            *(
                browser,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
            ),
            *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}"),
            *("--virtual-time-budget=10000", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "WARN" not in line]
    return _Drawn(done.stdout), "\n".join(told)


def plots() -> tuple[set[str], set[str]]:
    """Of dvc.yaml: ids of charts as DVC makes them of the names, and files of images."""
    named = [
        next(iter(plot)) if isinstance(plot, dict) else plot
        for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    ]
    images = {name for name in named if name.endswith(".png")}
    return {re.sub(r"\W", "_", name) for name in named if name not in images}, images


def test_every_plot_is_drawn_without_a_network(
    repository: Path, browser: str, tmp_path: Path
) -> None:
    project.run(repository, "dvc", "plots", "show")
    page = repository / "dvc_plots/index.html"
    drawn, complaints = looked_at(page, browser, tmp_path / "profile")
    charts, images = plots()
    assert drawn.charts == charts
    assert complaints == ""
    assert len(drawn.images) == len(images)
    assert all((page.parent / image).stat().st_size > 1000 for image in drawn.images)
    assert "static/workspace_data_reports_plots_timelines.png" in drawn.images
    [policy] = drawn.policies
    assert "http" not in policy and "default-src 'none'" in policy


def test_runs_are_compared_in_the_same_charts(
    repository: Path, browser: str, tmp_path: Path
) -> None:
    curve = repository / "data/reports/plots/roc.csv"
    rows = curve.read_text(encoding="utf-8").splitlines(keepends=True)
    curve.unlink()
    curve.write_text("".join(rows[:-2]), encoding="utf-8")
    # DVC compares with HEAD where git sees a change.
    (repository / "params.yaml").open("a").write("# changed\n")
    project.run(repository, "dvc", "plots", "diff")
    page = repository / "dvc_plots/index.html"
    drawn, complaints = looked_at(page, browser, tmp_path / "profile")
    assert "ROC" in drawn.charts
    assert complaints == ""
    assert drawn.images == [
        f"static/{rev}_data_reports_plots_timelines.png" for rev in ("workspace", "HEAD")
    ]


def test_scripts_of_the_page_are_those_that_were_published() -> None:
    page = PAGE.read_text(encoding="utf-8")
    scripts = dict(re.findall(r'<script id="([a-z-]+)">(.*?)</script>', page, re.DOTALL))
    found = {name: hashlib.sha256(script.encode()).hexdigest() for name, script in scripts.items()}
    assert found == PUBLISHED


def params_with_comments() -> Iterator[tuple[str, str]]:
    """Every key of params.yaml, with the comment above or behind it."""
    section, comment = "", ""
    for line in (ROOT / "params.yaml").read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"  # (.+)", line):
            comment = f"{comment} {found[1]}".strip()
        elif found := re.match(r"(\w+):", line):
            section, comment = found[1], ""
        elif found := re.match(r"  (\w+):[^#]*(?:# (.+))?", line):
            yield f"{section}.{found[1]}", comment or found[2] or ""
            comment = ""
        else:
            comment = ""


def test_every_param_is_explained_where_it_is() -> None:
    explained = dict(params_with_comments())
    assert set(explained) == set(_keys())
    assert not [key for key, comment in explained.items() if not comment]


def test_a_param_of_a_run_changes_one_line(tmp_path: Path) -> None:
    """DVC writes lists anew, without the lines between them and the next key."""
    written = shutil.copy(ROOT / "params.yaml", tmp_path)
    apply_overrides(written, ["segment.length=7"])
    before, after = (
        Path(file).read_text(encoding="utf-8") for file in (ROOT / "params.yaml", written)
    )
    assert after == before.replace("  length: 16\n", "  length: 7\n")


def test_page_of_the_pipeline_says_what_each_stage_reads_and_writes() -> None:
    page = (ROOT / "docs/pipeline.md").read_text(encoding="utf-8")
    told = {}
    for row in re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE):
        told[row[0]] = [set(re.findall(r"`([^`]+)`", cell)) for cell in row[1].split("|")]
    assert told == dict(_stages())


def _stages() -> Iterator[tuple[str, list[set[str]]]]:
    """What stands in dvc.yaml, without the code."""
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    for name, stage in pipeline["stages"].items():
        reads = {dep for dep in stage.get("deps", ()) if not dep.endswith(".py")}
        writes = [*stage.get("outs", ()), *stage.get("metrics", ())]
        names = {next(iter(out)) if isinstance(out, dict) else out for out in writes}
        yield name, [reads, names, set(stage["params"])]


def _keys() -> Iterator[str]:
    for name, field in Params.model_fields.items():
        section: Any = field.annotation
        for key in getattr(section, "model_fields", ()):
            yield f"{name}.{key}"
