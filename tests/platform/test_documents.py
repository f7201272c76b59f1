"""Documents that would lie if nobody looked: interfaces, links, states, the README's commands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.urls import URLPattern, URLResolver, get_resolver

from apps.sessions.engine.states import State
from apps.strategies.engine.registry import parse_config
from quant_platform.api import api

BASE = Path(settings.BASE_DIR)
DOCUMENTS = [BASE / "README.md", BASE / "README.zh.md", *sorted((BASE / "docs").rglob("*.md"))]


def routes(resolver: URLResolver, prefix: str = "/") -> set[str]:
    found: set[str] = set()
    for item in resolver.url_patterns:
        path = prefix + str(item.pattern)
        if isinstance(item, URLPattern):
            found.add(path)
        else:
            found |= routes(item, path)
    return found


def table() -> list[list[str]]:
    text = (BASE / "docs/interfaces.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \|$", text, re.M)
    return [[cell.strip().strip("`") for cell in row.split(" | ")] for row in rows[1:] if not row.startswith("---")]


def test_every_page_of_the_table_exists():
    known = routes(get_resolver())
    missing = [page for _, page, _, _ in table() if page != "–" and page not in known]
    assert not missing


def test_every_endpoint_of_the_table_exists():
    schema = api.get_openapi_schema()["paths"]
    known = {f"{method.upper()} {path}" for path, methods in schema.items() for method in methods}
    missing = [endpoint for _, _, endpoint, _ in table() if endpoint != "–" and endpoint not in known]
    assert not missing, sorted(known)


def test_every_command_of_the_table_exists():
    missing = [command for *_, command in table() if command != "–" and command not in get_commands()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(BASE)))
def test_links_lead_somewhere(document):
    targets = re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (document.parent / target).exists()]
    assert not missing


def test_the_architecture_names_every_state():
    text = (BASE / "docs/architecture.md").read_text(encoding="utf-8")
    assert all(re.search(rf"\b{state}\b", text) for state in State)


def test_the_readme_commands_are_make_targets():
    targets = set(re.findall(r"^([a-z-]+):", (BASE / "Makefile").read_text(encoding="utf-8"), re.M))
    used = set(re.findall(r"^make ([a-z-]+)", (BASE / "README.md").read_text(encoding="utf-8"), re.M))
    assert used
    assert used <= targets


COMMAND = re.compile(r"^python manage\.py (.+?)(?:\s+#.*)?$", re.M)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(BASE)))
def test_the_commands_of_the_documents_exist(document):
    named = {line.split()[0] for line in COMMAND.findall(document.read_text(encoding="utf-8"))}
    assert named <= set(get_commands())


@pytest.mark.parametrize("name", ["examples.md", "examples.zh.md"])
def test_the_worked_examples_can_be_given_as_they_stand(name):
    text = (BASE / "docs" / name).read_text(encoding="utf-8")
    lines = COMMAND.findall(text)
    for line in lines:
        command, *arguments = shlex.split(line)
        parsed = load_command_class(get_commands()[command], command).create_parser("manage.py", command)
        parsed.parse_args(arguments)
    configurations = re.findall(r"^```json (\w+)\n(.+?)^```", text, re.M | re.S)
    made = [parse_config(key, json.loads(body)) for key, body in configurations]
    assert (len(lines), len(made)) == (9, 3)


def outline(document: Path) -> tuple[list[str], list[str]]:
    """Return the levels of the headings and the commands of the fenced blocks, in their order."""
    text = document.read_text(encoding="utf-8")
    fences = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    commands = [line.partition(" #")[0].split() for fence in fences for line in fence.splitlines()]
    return re.findall(r"^#+(?= )", prose, re.M), [" ".join(words[:3]) for words in commands if words]


@pytest.mark.parametrize("name", ["README", "docs/user-guide", "docs/examples"])
def test_the_chinese_document_has_the_parts_and_commands_of_the_english_one(name):
    assert outline(BASE / f"{name}.zh.md") == outline(BASE / f"{name}.md")


def test_ci_runs_the_readme_test_command():
    makefile = (BASE / "Makefile").read_text(encoding="utf-8")
    test, check = (makefile[makefile.index(f"\n{target}:") :].split("\n\n")[0] for target in ("test", "check"))
    assert "$(SUITE)" in test
    assert "$(SUITE)" in check
    assert "make test" in (BASE / "README.md").read_text(encoding="utf-8")
    assert "make --no-print-directory check" in (BASE / ".ci/run").read_text(encoding="utf-8")


def proofs() -> list[tuple[str, list[str]]]:
    """Return each line of the security list with the tests it names, as ``file`` or ``file::test``."""
    lines = (BASE / "docs/security.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if re.match(r"\| \d", line)]
    return [(row, re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", row)) for row in rows]


def test_each_line_of_the_security_list_names_a_test_that_is_there():
    assert len(proofs()) >= 19
    for line, tests in proofs():
        assert tests, f"no test proves: {line}"
        for one in tests:
            file, _, name = one.partition("::")
            text = (BASE / file).read_text(encoding="utf-8") if (BASE / file).is_file() else ""
            assert re.search(rf"^(async )?def {name or 'test_'}", text, re.M), f"{one} is not there: {line}"
