"""The dbt project: a package only so that its files are installed where `infra.marts` finds them."""
