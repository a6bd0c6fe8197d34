"""What `make setup` relies on: machine checks, pins, stamps, and one list of dependencies."""

from __future__ import annotations

import configparser
import hashlib
import re
from pathlib import Path

import pytest

from infra import bootstrap, doctor, jars
from infra.errors import SetupError

ROOT = Path(__file__).parents[3]
TO_INSTALL_WITH = {"setuptools", "wheel"}
BY_DESIGN = [
    "pyspark",
    "delta-spark",
    "kafka-python",
    "psycopg2-binary",
    "great-expectations",
    "dbt-postgres",
    "apache-airflow",
    "redis",
    "pytest",
]


def fake_java(folder: Path, version: str) -> str:
    java = folder / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    java.chmod(0o755)
    return str(java)


def requirements(text: str) -> set[str]:
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return {line for line in lines if line}


def name_of(requirement: str) -> str:
    return re.split(r"[<>=\[;]", requirement)[0].strip()


@pytest.mark.parametrize(
    ("version", "says"), [("1.8.0_402", "is Java 8"), ("11.0.2", "is Java 11"), ("?", "not run")]
)
def test_a_java_that_is_too_old_gets_a_sentence(tmp_path: Path, version: str, says: str) -> None:
    problem = doctor.java_problem(fake_java(tmp_path, version))
    assert problem is not None
    assert says in problem
    assert "install a Java 17+ runtime" in problem


def test_java_17_and_newer_are_fine(tmp_path: Path) -> None:
    java = fake_java(tmp_path, "21.0.4")
    assert doctor.java_problem(java) is None
    assert doctor.find_java(tmp_path) == java
    assert "No java was found" in str(doctor.java_problem(None))


def test_only_python_3_11_and_3_12_are_fine() -> None:
    assert [v for v in range(8, 16) if doctor.python_problem((3, v)) is None] == [11, 12]


def test_the_jars_for_spark_never_shadow_those_of_pyspark() -> None:
    shipped = {jar_name(jar.name) for jar in jars.pyspark_jars_dir().glob("*.jar")}
    added = {jar_name(n.split("/")[1]) for n in jars.read_pins() if n.startswith("spark/")}
    assert added & shipped == set()
    assert "delta-spark_4.2_2.13" in added


def jar_name(file: str) -> str:
    return re.split(r"-\d", file)[0]


def test_both_sides_speak_to_kafka_with_one_client_version() -> None:
    assert {"spark/kafka-clients-4.1.1.jar", "broker/kafka-clients-4.1.1.jar"} <= set(
        jars.read_pins()
    )


def test_a_jar_that_is_not_the_pinned_one_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "spark").mkdir()
    (tmp_path / "spark" / "a-1.jar").write_bytes(b"good")
    pins = {"spark/a-1.jar": hashlib.sha256(b"good").hexdigest()}
    jars.verify(tmp_path, pins)
    (tmp_path / "spark" / "a-1.jar").write_bytes(b"evil")
    with pytest.raises(SetupError, match=r"spark/a-1.jar has sha256 .* expects"):
        jars.verify(tmp_path, pins)
    (tmp_path / "spark" / "a-1.jar").unlink()
    with pytest.raises(SetupError, match=r"spark/a-1.jar has sha256 none \(missing\)"):
        jars.verify(tmp_path, pins)


def test_the_metadata_and_the_requirements_name_the_same_packages() -> None:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = metadata["options.extras_require"].values()
    declared = requirements("\n".join([metadata["options"]["install_requires"], *extras]))
    wanted = requirements((ROOT / "requirements.in").read_text(encoding="utf-8"))
    assert {r for r in wanted if name_of(r) not in TO_INSTALL_WITH} == declared
    assert set(BY_DESIGN) <= {name_of(requirement) for requirement in declared}


def test_every_locked_package_has_a_version_and_a_hash() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^([A-Za-z0-9].*?)(?=^[A-Za-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) > 100
    assert all("==" in e.splitlines()[0] and "--hash=sha256:" in e for e in entries)
    assert "://" not in text
    locked = {name_of(entry) for entry in entries}
    wanted = requirements((ROOT / "requirements.in").read_text(encoding="utf-8"))
    assert {name_of(requirement) for requirement in wanted} <= locked


def test_a_step_is_due_until_it_ran_with_the_files_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / "lock")
    (tmp_path / "lock").write_text("a==1")
    step = bootstrap.Step("packages", "Installing", [tmp_path / "lock"], [["true"]])
    assert not step.is_done()
    step.run()
    assert step.is_done()
    (tmp_path / "lock").write_text("a==2")
    assert not bootstrap.Step("packages", "Installing", [tmp_path / "lock"], []).is_done()
