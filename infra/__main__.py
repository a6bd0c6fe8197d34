"""`python -m infra`: the command line where no console script is installed."""

from infra.cli import main

main(prog_name="userflow")
