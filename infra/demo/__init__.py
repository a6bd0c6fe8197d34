"""The demo: the whole pipeline on simulated input, and the proof that the stores hold it.

`load` says what is sent, `child` runs the stream, `stores` reads what came out, `proof` compares,
`report` shows it, and `run` puts them in order.
"""

from infra.demo.run import run_demo

__all__ = ["run_demo"]
