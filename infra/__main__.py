"""`python -m infra`: the command line where no console script is installed."""

from infra.cli import main

if __name__ == "__main__":  # a worker of the API imports this under another name
    main(prog_name="userflow")
