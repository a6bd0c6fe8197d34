"""Streamlit in this process, as a program that somebody operates and not as a tool of developers.

It opens no browser, reports nothing to anybody, asks the net for nothing, watches no files and
shows no traceback. SIGTERM and Ctrl-C end it in order.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from streamlit.web import bootstrap

from serving.dashboard.look import THEME
from serving.dashboard.running import reading
from serving.dashboard.sources import Sources

__all__ = ["serve"]

SCRIPT = Path(__file__).with_name("app.py")
OPTIONS: dict[str, Any] = {
    "global_developmentMode": False,
    "browser_gatherUsageStats": False,
    "server_headless": True,
    # A page of somebody else's whose name leads here may not read it.
    "server_allowedHosts": ["127.0.0.1", "localhost"],
    "server_showEmailPrompt": False,
    "server_fileWatcherType": "none",
    "server_enableStaticServing": False,
    "client_toolbarMode": "minimal",
    "client_showErrorDetails": "none",
    "client_showErrorLinks": False,
    "client_allowedOrigins": ["http://127.0.0.1", "http://localhost"],
    "logger_hideWelcomeMessage": True,
    "logger_level": "warning",
    "runner_magicEnabled": False,
    **THEME,
}


def serve(sources: Sources, *, host: str, port: int) -> None:
    """Show these sources at an address until the process is told to end."""
    options = {**OPTIONS, "server_address": host, "server_port": port}
    bootstrap.load_config_options(options)
    logging.getLogger("streamlit").setLevel(logging.WARNING)
    with reading(sources):
        bootstrap.run(str(SCRIPT), False, [], options)
