"""Start the page: ``python app.py``. ``python app.py --help`` lists the few flags."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from fastapi.middleware import Middleware
from fastapi.middleware.gzip import GZipMiddleware

from clora_core.disk import ASSETS, HOME, home_folder
from clora_core.errors import StudioError
from clora_core.settings.plugins import known_methods
from clora_core.studio.ending import end_as_by_ctrl_c
from clora_core.studio.studio import Studio
from demo.header import LOGO
from demo.hosts import SHARED, OwnHosts
from demo.page import build_demo
from demo.password import VARIABLE, Account, Guard, chosen_account
from demo.sharing import on_a_space, open_to_others, reach_directly, refuse_without_password
from demo.theme import STYLE_SHEET, StudioTheme, head
from demo.tools import refuse_tools_to_others
from demo.uploads import LARGEST_UPLOAD, keep_forgetting

THREADS = 128  # whoever waits for a drawing or an export holds one (`clora_core.jobs.board.MOST_WAITING`)

SESSIONS = 500  # visits that are remembered, half a MB each; one that is not has to reload


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The flags of ``python app.py``."""
    parser = argparse.ArgumentParser(
        description="C-LoRA Studio: teach a picture model new concepts, one after the other."
    )
    parser.add_argument("--home", type=Path, help=f"where timelines and pictures live; default: $CLORA_HOME or {HOME}")
    parser.add_argument(
        "--model", help="folder, .safetensors file or Hub id of a base model; default: the embedded one"
    )
    parser.add_argument("--host", help="address to listen on (0.0.0.0: the whole network); default: this machine")
    parser.add_argument("--port", type=int, help="port to listen on; default: the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="also open a public link through Gradio's relay")
    parser.add_argument("--auth", metavar="NAME:PASSWORD", help="ask visitors for this name and password")
    parser.add_argument(
        "--auth-file",
        type=Path,
        metavar="FILE",
        help=f"the same from the first line of a file, which no other user of this machine sees; or set ${VARIABLE}",
    )
    parser.add_argument(
        "--without-password",
        action="store_true",
        help="let others reach the page (--host, --share) without one: they teach, draw and see all that was learned, "
        "and take nothing away",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="answer to this host name, too, as behind a proxy; numbers and this machine's own name are known",
    )
    parser.add_argument(
        "--method-file",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="Python file with a learning method of your own; may be given again",
    )
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="also offer teaching, drawing and undo as tools to assistants on this machine (Model Context Protocol)",
    )
    parser.add_argument("--device", help="cpu, cuda, mps, ...; default: the best there is")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16", "fp8"), help="number format of the weights")
    return parser.parse_args(argv)


def launch_options(
    home: Path, assets: Path, options: argparse.Namespace, account: Account | None = None
) -> dict[str, Any]:
    """What ``Blocks.launch`` is given: look, address, who is let in, and the only folders that may be read through the
    page."""
    folders = [
        home / "pictures",
        home / "jobs",
        home / "timelines",
        home / "comparisons",
        home / "exports",
        home / "trash",
        assets / "base" / "people",
    ]
    return {
        "server_name": options.host,
        "server_port": options.port,
        "share": options.share,
        "auth": Guard(account).right if account else None,
        "theme": StudioTheme(),
        "css_paths": STYLE_SHEET,
        "head": head(),
        "favicon_path": LOGO,
        "footer_links": [],
        "allowed_paths": [str(folder) for folder in folders],
        "max_file_size": LARGEST_UPLOAD,
        "max_threads": THREADS,
        "state_session_capacity": SESSIONS,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "show_error": True,
        "mcp_server": options.mcp,  # said, or $GRADIO_MCP_SERVER decides
        # Gradio compresses its files, but not the page
        "app_kwargs": {"middleware": [*_own_hosts(options, account), Middleware(GZipMiddleware)]},
    }


def _own_hosts(options: argparse.Namespace, account: Account | None) -> list[Middleware]:
    """The check of names; a Space is reached, and shown inside another page, by Hugging Face's."""
    if on_a_space():
        return []
    names = [*options.allow_host, *([SHARED] if options.share else [])]
    return [Middleware(OwnHosts, names=names, any_host=account is not None)]


def main(argv: list[str] | None = None) -> None:
    """Open the studio, serve the page, load the model meanwhile."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # its import-time remarks are not for users
    options = arguments(argv)
    end_as_by_ctrl_c()
    home = home_folder(options.home)
    host = options.host or os.environ.get("GRADIO_SERVER_NAME", "")
    others = open_to_others(options.share, host, on_a_space())
    try:
        account = chosen_account(options.auth, options.auth_file)
        refuse_without_password(others, account is not None or options.without_password or on_a_space())
        if options.mcp:
            refuse_tools_to_others(others, account is not None)
        methods = known_methods(options.method_file)
        studio = Studio.open(home, options.model, options.device, options.precision, methods=methods)
        reach_directly("localhost", "127.0.0.1", "::1")  # Gradio asks its own page whether it is there
        try:
            keep_forgetting()
            demo = build_demo(studio, may_remove=account is not None or not others, tools=options.mcp)
            demo.launch(**launch_options(home, ASSETS, options, account), prevent_thread_lock=True)
            studio.warm_up()
            demo.block_thread()
        finally:
            studio.close()
    except (StudioError, OSError) as error:  # OSError: a folder or a port that cannot be used
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
