"""The process of ``anomaly-assets dashboard``: Streamlit, and what first looks need read while it starts."""

import sys
from pathlib import Path
from threading import Thread

from streamlit.web import cli

from anomaly_assets.dashboard.warming import warm
from anomaly_assets.loading import look_seldom

APP = Path(__file__).with_name("app.py")


def main() -> None:
    """Serve the pages with the options of ``streamlit run`` that the command line gives."""
    look_seldom()
    Thread(target=warm, name="warm", daemon=True).start()
    cli.main(["run", str(APP), *sys.argv[1:]], prog_name="streamlit")


if __name__ == "__main__":
    main()
