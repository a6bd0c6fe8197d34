"""A Feast repository as text: `features.py` and `feature_store.yaml`, made of the declarations.

No key stands in it: Feast takes it from the environment variable `KEY_VARIABLE`. The same
declarations and addresses give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from features.columns import Column
from serving.feast.declared import ENTITIES, feast_type, log_path, value_type
from serving.online.served import SERVED, ServedView

__all__ = ["KEY_VARIABLE", "Repository", "repository_files"]

KEY_VARIABLE = "USERFLOW_API_KEY"

IMPORTS = '''\
"""Entities, feature views and services over userflow's stores."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Array, Bool, Float64, Int32, Int64, String, UnixTimestamp
'''

STORE = """\
project: userflow
provider: local
registry: data/registry.db
online_store:
  type: remote
  path: {api}
offline_store:
  type: duckdb
# Feast sends `Authorization: Bearer` with what this variable holds: a key with the scope read.
auth:
  type: oidc
  token_env_var: {variable}
entity_key_serialization_version: 3
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """Where things are, the lake as an absolute path or a URI. `is_as_served`: history is joined on
    when a value could be read.
    """

    api: str
    lake: str
    is_as_served: bool = False


def repository_files(repository: Repository) -> Mapping[str, str]:
    """Each file of the repository, by its name."""
    return {
        "feature_store.yaml": STORE.format(
            api=_text(repository.api.rstrip("/")), variable=KEY_VARIABLE
        ),
        "features.py": _definitions(repository),
    }


def _definitions(repository: Repository) -> str:
    parts = [
        IMPORTS,
        *(_entity(column) for column in ENTITIES.values()),
        *(_view(view, repository) for view in SERVED.values()),
    ]
    return "\n".join(parts)


def _entity(column: Column) -> str:
    arguments = {
        "name": _text(column.name),
        "join_keys": f"[{_text(column.name)}]",
        "value_type": f"ValueType.{value_type(column)}",
        "description": _text(column.doc),
    }
    return f"{column.name} = {_call('Entity', arguments)}"


def _view(view: ServedView, repository: Repository) -> str:
    source = _source(view, repository)
    arguments = {
        "name": _text(view.name),
        "entities": f"[{', '.join(view.key)}]",
        # As in our training sets: what was there last counts, however old it is.
        "ttl": "timedelta(0)",
        "schema": _list(map(_field, (*view.entity, *view.features))),
        **({"source": f"{view.name}_log"} if source else {}),
        "description": _text(view.doc),
    }
    service = {"name": _text(view.name), "features": f"[{view.name}]"}
    lines = (
        source,
        f"{view.name} = {_call('FeatureView', arguments)}",
        f"{view.name}_service = {_call('FeatureService', service)}",
    )
    return "".join(lines)


def _source(view: ServedView, repository: Repository) -> str:
    log = log_path(view)
    if log is None:
        return ""
    times = {"timestamp_field": "event_at", "created_timestamp_column": "available_at"}
    if repository.is_as_served:
        times = {"timestamp_field": "available_at"}
    arguments = {
        "name": _text(f"{view.name}_log"),
        "path": _text(f"{_lake(repository.lake)}/{log}"),
        "file_format": "DeltaFormat()",
        **{argument: _text(column) for argument, column in times.items()},
    }
    return f"{view.name}_log = {_call('FileSource', arguments)}"


def _field(column: Column) -> str:
    tags = {"unit": column.unit, "pii": "true" if column.pii else None}
    said = {name: value for name, value in tags.items() if value}
    arguments = {
        "name": _text(column.name),
        "dtype": feast_type(column),
        "description": _text(column.doc),
        **({"tags": json.dumps(said)} if said else {}),
    }
    return f"Field({', '.join(f'{name}={value}' for name, value in arguments.items())})"


def _lake(root: str) -> str:
    """Hadoop says `s3a`, all others `s3`."""
    return root.rstrip("/").replace("s3a://", "s3://", 1)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _call(name: str, arguments: Mapping[str, str]) -> str:
    lines = [f"    {argument}={value},\n" for argument, value in arguments.items()]
    return f"{name}(\n{''.join(lines)})\n"


def _list(items: Iterable[str]) -> str:
    return "[\n" + "".join(f"        {item},\n" for item in items) + "    ]"
