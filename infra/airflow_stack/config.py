"""The files of Airflow's home: `airflow.cfg`, the administrator's password, and our settings.

All of them hold secrets, so only their owner reads them and no environment has any. Whatever could
call somebody outside (metrics, traces, errors) is off by Airflow's own defaults and stays off.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from configparser import ConfigParser
from hashlib import sha256
from io import StringIO
from pathlib import Path

from pydantic import SecretStr

from infra.errors import SetupError
from infra.private_files import write_private
from infra.settings import TOML_FILE, Settings
from infra.stack.credentials import Credentials
from infra.stack.ports import LOOPBACK

__all__ = ["ADMIN", "PASSWORDS", "admin_password", "write_config", "write_settings"]

ADMIN = "admin"
PASSWORDS = "passwords.json"
DAGS = Path(__file__).parents[2] / "airflow" / "dags"
# By name, as in the home's secrets file. The key of Fernet is derived, as it has a form of its own.
KEYS = ("airflow_fernet", "airflow_jwt", "airflow_api")
# Forked at the scheduler's start, and each waits for a task: as many as one machine can do at once.
PARALLEL = 4


def admin_password(credentials: Credentials) -> str:
    """The password of the UI's and the API's only user."""
    return credentials.ensure(["airflow_admin"])["airflow_admin"]


def write_config(folder: Path, *, metadata: str, port: int, credentials: Credentials) -> None:
    """Write what Airflow reads when it starts; `metadata` is the URL of its database."""
    if not DAGS.is_dir():
        raise SetupError(f"There is no {DAGS}: run userflow from its repository.")
    config = ConfigParser(interpolation=None)
    config.read_dict(_sections(folder, metadata=metadata, port=port, credentials=credentials))
    text = StringIO()
    config.write(text)
    # Airflow's own parser takes a percent sign for the start of a reference.
    write_private(folder / "airflow.cfg", text.getvalue().replace("%", "%%"))
    write_private(folder / PASSWORDS, json.dumps({ADMIN: admin_password(credentials)}) + "\n")


def _sections(
    folder: Path, *, metadata: str, port: int, credentials: Credentials
) -> dict[str, dict[str, object]]:
    keys = credentials.ensure(KEYS)
    fernet = urlsafe_b64encode(sha256(keys["airflow_fernet"].encode()).digest()).decode()
    return {
        "core": {
            "dags_folder": DAGS,
            "load_examples": False,
            "executor": "LocalExecutor",
            "parallelism": PARALLEL,
            "dags_are_paused_at_creation": False,
            "fernet_key": fernet,
            "simple_auth_manager_users": f"{ADMIN}:admin",
            "simple_auth_manager_passwords_file": folder / PASSWORDS,
        },
        "database": {
            "sql_alchemy_conn": metadata,
            # Airflow would look for another driver; this one can do both.
            "sql_alchemy_conn_async": metadata,
            "sql_alchemy_pool_size": 2,
        },
        "api": {
            "host": LOOPBACK,
            "port": port,
            "base_url": f"http://{LOOPBACK}:{port}",
            "secret_key": keys["airflow_api"],
        },
        "api_auth": {"jwt_secret": keys["airflow_jwt"]},
        "logging": {
            "base_log_folder": folder / "logs",
            "colored_console_log": False,
            "file_task_handler_new_folder_permissions": "0o700",
            "file_task_handler_new_file_permissions": "0o600",
        },
        "dag_processor": {"refresh_interval": 30, "parsing_processes": 1},
    }


def write_settings(folder: Path, settings: Settings) -> None:
    """The settings of this process as the `userflow.toml` of processes that run in `folder`."""
    given = settings.model_dump(exclude_none=True, exclude_defaults=True)
    given["home"] = settings.home
    lines = [f"{name} = {_toml(value)}" for name, value in given.items()]
    write_private(folder / TOML_FILE, "\n".join(lines) + "\n")


def _toml(value: object) -> str:
    """JSON's texts and numbers are TOML's, as long as nothing is written as surrogates."""
    plain = value.get_secret_value() if isinstance(value, SecretStr) else value
    text = str(plain) if isinstance(plain, Path) else plain
    return json.dumps(text, ensure_ascii=False)
