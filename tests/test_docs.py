"""The documentation says what is so: the reference is fresh, links lead somewhere, and every name in it exists."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from cnnsvc.errors import Kind
from docs.generator.commands import commands, flags, parameters, variable
from docs.generator.errors import meanings
from docs.generator.markdown import anchor
from docs.generator.metrics import metric_families, name_in_prometheus
from docs.generator.pages import REFERENCE, reference_pages
from docs.generator.proto_comments import comments_of
from tests.deploy.programs import require
from tests.doc_examples import ROOT, documents

PAGES: Final = [*documents(), *sorted(REFERENCE.glob("*.md"))]
_QUERIES: Final = re.compile(r"^\| [^|]+ \| `((?:[^`|]|\\\|)+)`(?: and `([^`]+)`)? \|$", re.MULTILINE)
"""The rows of a table of questions and PromQL."""

_BLOCK: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_PYTHON: Final = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"`[^`\n]*`")
_LINK: Final = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FLAG: Final = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
_OTHER_VARIABLES: Final = {"CNNSVC_REQUIRE_ALL"}
"""Of the tests."""


def test_the_reference_is_fresh() -> None:
    """docs/reference/ holds what the sources say now, and nothing else."""
    committed = {path.name: path.read_text(encoding="utf-8") for path in REFERENCE.iterdir()}
    written = reference_pages()
    assert sorted(committed) == sorted(written)
    stale = [name for name, text in written.items() if committed[name] != text]
    assert not stale, f"{', '.join(stale)} is stale: run make docs"


def test_every_metric_is_seen() -> None:
    """The page of metrics misses none: each has a sample, from which its labels are read, and words of its own."""
    for family in metric_families():
        assert family.samples, family.name
        assert family.documentation, family.name


def test_every_kind_has_a_meaning() -> None:
    """The tree at the head of cnnsvc/errors.py explains every kind once."""
    assert sorted(meanings()) == sorted(Kind)


def test_comments_of_a_proto() -> None:
    """Comments go to the declaration that follows; those of a oneof's fields leave the oneof out of the name."""
    source = """
    // The file.
    package a.b;
    // A message
    // in two lines.
    message M {
      string plain = 1;
      oneof choice {
        // One.
        N one = 2;
      }
      // After.
      repeated int32 after = 3;
    }
    service S {
      // Does.
      rpc Do(M) returns (M);
    }
    """
    assert comments_of(source) == {
        "a.b": "The file.",
        "a.b.M": "A message in two lines.",
        "a.b.M.one": "One.",
        "a.b.M.after": "After.",
        "a.b.S.Do": "Does.",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file or folder of the repository and, after #, a heading of that page."""
    for target in _LINK.findall(_CODE.sub("", _BLOCK.sub("", page.read_text(encoding="utf-8")))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.is_relative_to(ROOT), target
        assert linked.exists(), target
        if fragment:
            assert f"#{fragment}" in _anchors(linked), target


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_flags_and_variables_exist(page: Path) -> None:
    """Every --flag in the prose and every CNNSVC_ variable is one that a command has."""
    text = page.read_text(encoding="utf-8")
    known = [parameter for command in commands() for parameter in parameters(command)]
    prose_flags = set(_FLAG.findall(_BLOCK.sub("", text)))
    assert prose_flags <= {flag for parameter in known for flag in flags(parameter)}
    assert set(re.findall(r"CNNSVC_[A-Z_]+", text)) <= {variable(parameter) for parameter in known} | _OTHER_VARIABLES


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_metrics_exist(page: Path) -> None:
    """Every cnnsvc_ metric that a page names is one that the server has."""
    families = metric_families()
    known = {name_in_prometheus(family) for family in families}
    known |= {
        f"{one.name}_{part}" for one in families if one.type == "histogram" for part in ("bucket", "sum", "count")
    }
    assert set(re.findall(r"cnnsvc_[a-z_]+", page.read_text(encoding="utf-8"))) <= known


def test_the_python_example_is_run() -> None:
    """README.md shows the first example of docs/python_client.md, which tests/test_client_examples.py runs."""
    shown, first = (
        _PYTHON.findall(page.read_text(encoding="utf-8"))
        for page in (ROOT / "README.md", ROOT / "docs" / "python_client.md")
    )
    assert shown == first[:1]


def test_queries_are_promql(tmp_path: Path) -> None:
    """Prometheus' own checker reads every query of operate.md."""
    promtool = require("promtool", "prometheus")
    queries = _queries((ROOT / "docs" / "operate.md").read_text(encoding="utf-8"))
    assert len(queries) > 15
    rules = [{"record": f"example_{index}", "expr": query} for index, query in enumerate(queries)]
    file = tmp_path / "rules.json"  # which YAML contains
    file.write_text(json.dumps({"groups": [{"name": "examples", "rules": rules}]}))
    finished = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert f"{len(queries)} rules found" in finished.stdout


def _queries(text: str) -> list[str]:
    """What stands between backticks in the second column below the heading PromQL."""
    section = text[text.index("| question | PromQL |") :]
    table = section[: section.index("\n\n")]
    return [query.replace("\\|", "|") for row in _QUERIES.findall(table) for query in row if query]


def _anchors(page: Path) -> set[str]:
    headings = _HEADING.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))
    return {anchor(heading.replace("`", "")) for heading in headings}
