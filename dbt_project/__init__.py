"""The dbt project; a package so that its files are installed where they are looked for."""
