"""Write dbt's documentation of the models: `make dbt-docs`."""

from __future__ import annotations

import click

from infra.dbt_process import Dbt
from infra.endpoints import Endpoints
from infra.settings import load_settings

if __name__ == "__main__":
    home = load_settings().home
    click.echo(Dbt(Endpoints.read(home).postgres, home).document(say=click.echo))
