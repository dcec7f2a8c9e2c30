"""Start the page: ``python app.py``. ``python app.py --help`` lists the few flags."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from clora_core.errors import StudioError
from clora_core.settings import HOME, home_folder
from clora_core.studio import ASSETS, Studio
from demo.blocks import LOGO, build_demo
from demo.theme import STYLE_SHEET, StudioTheme

LARGEST_UPLOAD = "64mb"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The flags of ``python app.py``."""
    parser = argparse.ArgumentParser(
        description="C-LoRA Studio: teach a picture model new concepts, one after the other."
    )
    parser.add_argument(
        "--home", type=Path, help=f"where timelines and pictures live; default: $CLORA_HOME or {HOME}"
    )
    parser.add_argument(
        "--model", help="folder or Hub id of a Stable Diffusion model; default: the embedded one"
    )
    parser.add_argument(
        "--host", help="address to listen on (0.0.0.0: the whole network); default: this machine"
    )
    parser.add_argument("--port", type=int, help="port to listen on; default: the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="also open a public link through Gradio's relay")
    parser.add_argument("--auth", metavar="NAME:PASSWORD", help="ask visitors for this name and password")
    parser.add_argument("--device", help="cpu, cuda, mps, ...; default: the best there is")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), help="number format for drawing")
    return parser.parse_args(argv)


def launch_options(home: Path, assets: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What ``Blocks.launch`` is given: look, address, and the only folders that may be read through the page."""
    folders = [
        home / "pictures",
        home / "jobs",
        home / "timelines",
        home / "comparisons",
        assets / "concepts",
    ]
    auth = tuple(options.auth.split(":", 1)) if options.auth else None
    return {
        "server_name": options.host,
        "server_port": options.port,
        "share": options.share,
        "auth": auth,
        "theme": StudioTheme(),
        "css_paths": STYLE_SHEET,
        "favicon_path": LOGO,
        "footer_links": [],
        "allowed_paths": [str(folder) for folder in folders],
        "max_file_size": LARGEST_UPLOAD,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "show_error": True,
    }


def main(argv: list[str] | None = None) -> None:
    """Open the studio, serve the page, load the model meanwhile."""
    options = arguments(argv)
    home = home_folder(options.home)
    try:
        studio = Studio.open(home, options.model, options.device, options.precision)
        demo = build_demo(studio, may_undo=bool(options.auth) or not options.share)
    except StudioError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    try:
        demo.launch(**launch_options(home, ASSETS, options), prevent_thread_lock=True)
        studio.warm_up()
        demo.block_thread()
    finally:
        studio.close()


if __name__ == "__main__":
    main()
