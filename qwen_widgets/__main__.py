"""python -m qwen_widgets: serve the embedded service on a port, and doctor."""

from __future__ import annotations

import argparse
import math
import os
import socket
import sys
from collections.abc import Callable, Sequence

from qwen_widgets._version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qwen_widgets", description=__doc__)
    parser.add_argument("--version", action="version", version=f"qwen-widgets {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    doctor = commands.add_parser("doctor", help="say what is set up, and what is missing")
    doctor.set_defaults(run=_doctor)

    serve = commands.add_parser(
        "serve",
        help="serve the embedded service on a port",
        description="Serve the embedded service: the REST contract of the hosted one, with pictures drawn locally.",
    )
    serve.set_defaults(run=_serve)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--port", type=_port, default=8765, help="0 takes any free one (%(default)s)")
    serve.add_argument(
        "--duration",
        type=_seconds,
        default=1.2,
        metavar="SECONDS",
        help="what a prediction takes, ±35 %% (%(default)s)",
    )
    serve.add_argument(
        "--require-key",
        action="store_true",
        # A key on a command line is seen by every user of the machine, and stays in the shell's history.
        help="refuse calls without the key in WAVESPEED_API_KEY",
    )
    serve.add_argument(
        "--per-minute", type=_count, metavar="N", help="predictions started a minute, then 429"
    )
    serve.add_argument("--at-once", type=_count, metavar="N", help="predictions in progress, then 429")
    return parser


def _doctor(_options: argparse.Namespace) -> int:
    from qwen_widgets.doctor import doctor_report  # noqa: PLC0415 - a doctor must come up where the rest doesn't

    report = doctor_report()
    width = max((len(name) for name, _ in report), default=0)
    for name, value in report:
        sys.stdout.write(f"{name:<{width}}  {value}\n")
    return 0


def _serve(options: argparse.Namespace) -> int:
    try:
        import uvicorn  # noqa: PLC0415 - an extra
    except ImportError:
        return _fail('serving on a port needs uvicorn: pip install "qwen-widgets[serve]"')
    from qwen_widgets.offline.service import API_PATH, OfflineService, ServiceSettings  # noqa: PLC0415

    key = os.environ.get("WAVESPEED_API_KEY", "").strip() if options.require_key else None
    if key == "":
        return _fail("--require-key: set WAVESPEED_API_KEY to the key that callers have to carry.")
    settings = ServiceSettings(
        duration=options.duration,
        require_key=key,
        per_minute=options.per_minute,
        at_once=options.at_once,
    )
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        # Listening before the address is printed, so that whoever reads it can connect at once.
        listener = socket.create_server((options.host, options.port), family=family, backlog=2048)
    except OSError as error:
        return _fail(f"can't listen on {options.host} port {options.port}: {error.strerror or error}")

    origin = _origin(options.host, listener.getsockname()[1])
    told = "<the same key>" if key else "offline"
    config = uvicorn.Config(
        OfflineService(settings).app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        date_header=False,  # the service dates its own answers; two dates would be one too many
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    try:
        sys.stdout.write(
            f"the embedded service is at {origin}{API_PATH} (nothing is charged; Ctrl-C ends it)\n"
            f"  QWEN_WIDGETS_BASE_URL={origin}{API_PATH}\n"
            f"  WAVESPEED_API_KEY={told}\n"
            f'  or, with the official client: wavespeed.Client(api_key="{told}", base_url="{origin}")\n'
        )
        sys.stdout.flush()
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        # uvicorn has shut down in order by now, and raises the signal again for whoever is above it.
        sys.stdout.write("\n")
    return 0


def _origin(host: str, port: int) -> str:
    """Return the address that a client on this machine would use."""
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - never bound here
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _fail(message: str) -> int:
    sys.stderr.write(message + "\n")
    return 2


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 to 3600")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 up")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
