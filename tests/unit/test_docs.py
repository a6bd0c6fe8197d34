"""What the documents say is there: links, paths, tests, commands, targets, packages, examples."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import click
import pytest

from infra.cli import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FOLDERS = (
    "airflow",
    "benchmarks",
    "dbt_project",
    "docs",
    "expectations",
    "features",
    "infra",
    "producer",
    "serving",
    "streaming",
    "tests",
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A folder or a file; a table of the lake has neither a slash nor a suffix at its end.
PLACE = re.compile(rf"`((?:{'|'.join(FOLDERS)})/(?:[\w./-]*(?:/|\.\w+))?)(?:::(\w+))?`")
NAME = re.compile(r"^[A-Za-z0-9][\w.-]*")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for language, text in found if language in languages]


def commands(page: Path) -> list[list[str]]:
    """Every command of the page's shell blocks as its words, without comments and prompts."""
    text = "\n".join(blocks(page, "console", "sh")).replace("\\\n", " ")
    parts = [part for line in text.splitlines() for part in re.split(r"&&|\|(?!\S)", line)]
    words = [shlex.split(part.removeprefix("$ "), comments=True) for part in parts]
    return [command for command in words if command]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_file_and_test_that_is_named_exists(page: Path) -> None:
    for place, test in PLACE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / place).exists(), place
        assert not test or f"def {test}(" in (ROOT / place).read_text(encoding="utf-8"), test


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_that_is_shown_is_one(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    for program, *arguments in commands(page):
        if Path(program).name == "userflow":
            parse(main, arguments)
        elif program == "make":
            named = [word for word in arguments if "=" not in word]
            assert set(named) <= set(targets), named


def parse(command: click.Command, arguments: list[str]) -> None:
    """Let click read the words as it would, without running anything."""
    while isinstance(command, click.Group) and not arguments[0].startswith("-"):
        name, *arguments = arguments
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"There is no command {name}."
        command = found
    try:
        command.make_context(command.name, list(arguments))
    except click.exceptions.Exit:
        pass  # --help and --version end here
    except click.UsageError as error:
        pytest.fail(f"userflow {command.name} {' '.join(arguments)}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_python_example_runs(page: Path) -> None:
    """With prompts it runs here; without, it needs the services, and must at least compile."""
    for example in blocks(page, "python"):
        if ">>>" not in example:
            compile(example, page_id(page), "exec")
            continue
        test = doctest.DocTestParser().get_doctest(example, {}, page_id(page), None, 0)
        assert doctest.DocTestRunner().run(test).failed == 0


def test_the_readme_has_examples_of_each_kind() -> None:
    readme = ROOT / "README.md"
    shown = commands(readme)
    assert {"make", "userflow"} <= {program for program, *_ in shown}
    assert any(">>>" in example for example in blocks(readme, "python"))


def reasons(text: str) -> list[str]:
    """The names of a page's tables; each stands before its reason."""
    return [name for name, _ in re.findall(r"^\| `([^`]+)` \| (\S.*) \|$", text, re.MULTILINE)]


def test_every_direct_dependency_has_its_reason() -> None:
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    packages = {found[0] for line in lines if (found := NAME.match(line))}
    ivy = (ROOT / "infra" / "ivy.xml").read_text(encoding="utf-8")
    jars = set(re.findall(r'<dependency org="[^"]+" name="([^"]+)"', ivy))
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    of_packages, _, of_jars = page.partition("\n## Jars\n")
    assert sorted(reasons(of_packages)) == sorted(packages)
    assert sorted(reasons(of_jars)) == sorted(jars)


def test_every_decision_says_its_four_parts() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert len(decisions) >= 7
    for number, page in enumerate(decisions, start=1):
        assert page.name.startswith(f"{number:04d}-")
        headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], page.name
