"""The command line: `python -m devhost start` takes what `func start` takes."""

from __future__ import annotations

import argparse
import asyncio
import errno
import importlib.metadata
import os
import platform
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from devhost.histories.cli import add_commands as add_history_commands
from devhost.logs import STARTUP_CATEGORY, Level
from devhost.settings import SettingsError, read_local_settings

if TYPE_CHECKING:
    from devhost.functions import Function
    from devhost.host import Host

DEFAULT_PORT: Final = 7071
DEFAULT_ADDRESS: Final = "127.0.0.1"
DEFAULT_START_SECONDS: Final = 20
_INTERRUPTED: Final = 130
_SHOWN_PACKAGES: Final = ("azure-functions", "azure-functions-durable")

# Options of `func start` that devhost takes but has no use for, and why.
_WITHOUT_EFFECT: Final = {
    "language_worker": "devhost runs the functions in its own process; attach a debugger to that",
    "runtime": "devhost is the only runtime it has",
    "enable_json_output": "devhost logs as text only",
    "json_output_file": "devhost logs as text only; redirect its output into a file instead",
}
# And those whose absence would change what clients see.
_REFUSED: Final = {
    "useHttps": "devhost serves plain HTTP; leave the option out, or put a proxy with TLS before it",
    "cert": "devhost serves plain HTTP; leave the option out",
    "password": "devhost serves plain HTTP; leave the option out",
}


class _CommandError(Exception):
    """What the user has to change; the text says it all."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code: 0 after a stop, 1 for what the user has to change."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = build_parser().parse_args(given)
    for stream in (sys.stdout, sys.stderr):
        # Lines appear at once, also in a pipe; a character that the console can't show must not end the host.
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        return int(options.run(options, given))
    except (_CommandError, SettingsError) as error:
        return _give_up(str(error))
    except OSError as error:
        return _give_up(f"The host can't start: {error}")
    except KeyboardInterrupt:
        return _INTERRUPTED


def _start(options: argparse.Namespace, given: Sequence[str]) -> int:
    refusal = next((name for name in _REFUSED if getattr(options, name)), None)
    if refusal is not None:
        return _give_up(f"{_option(refusal)} is not supported: {_REFUSED[refusal]}.")
    for name, reason in _WITHOUT_EFFECT.items():
        if getattr(options, name):
            print(f"{_option(name)} has no effect: {reason}.")
    app_dir = _app_folder(options.app)
    if options.reload:
        from devhost.reload import supervise  # noqa: PLC0415 - only with this option

        return supervise([each for each in given if each != "--reload"], app_dir, print)
    return _run(options, app_dir)


def build_parser() -> argparse.ArgumentParser:
    """The parser; option names are those of `func start`, `--app`, `--state` and `--reload` are devhost's own."""
    parser = argparse.ArgumentParser(
        prog="python -m devhost",
        description="A local host for Azure Functions apps in Python (v2 model, Durable Functions included).",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    start = commands.add_parser(
        "start",
        help="run the app of a folder",
        description="Run the Functions app of a folder. Ctrl-C stops it.",
    )
    start.set_defaults(run=_start)
    add_history_commands(commands)
    add = start.add_argument
    add("-p", "--port", type=_port, help=f"port to listen on (default {DEFAULT_PORT})")
    add("--address", help=f"address to listen on (default {DEFAULT_ADDRESS}; 0.0.0.0 for all)")
    add("--app", default=".", metavar="DIR", help="folder of the app (default: this one)")
    add("--state", metavar="DIR", help="folder for instances, timers and keys (default <app>/.devhost), "
        "or :memory: to keep nothing")  # fmt: skip
    add("--enableAuth", action="store_true", help="ask for keys, as Azure does")
    add("--functions", nargs="+", metavar="NAME", default=[], help="run these functions only")
    add("--cors", help="origins that browsers may call from, separated by commas; * for all")
    add("--cors-credentials", action="store_true", help="let browsers send cookies along")
    add("-t", "--timeout", type=int, default=DEFAULT_START_SECONDS, metavar="SECONDS",
        help=f"give up when the start takes longer (default {DEFAULT_START_SECONDS})")  # fmt: skip
    add("--verbose", action="store_true", help="show the log of the host itself, too")
    add("--user-log-level", type=_level, metavar="LEVEL", help="least level shown of what functions log")
    add("--reload", action="store_true", help="start again when a .py file or a setting of the app changes")
    add("--strict", action="store_true", help="fail an instance that would wait for ever, such as for an activity "
        "that does not exist; Azure leaves it Running")  # fmt: skip
    add("--no-build", action="store_true", help=argparse.SUPPRESS)
    for name in ("--useHttps", "--enable-json-output"):
        add(name, action="store_true", help=argparse.SUPPRESS)
    for name in ("--cert", "--password", "--language-worker", "--json-output-file", "--runtime"):
        add(name, help=argparse.SUPPRESS)
    return parser


def function_list(functions: Sequence[Function], url: str, prefix: str) -> str:
    """The start-up list: HTTP functions with their addresses, then the others, then the disabled ones."""
    from devhost.http.routing import full_route, is_http  # noqa: PLC0415 - see `_run`

    running = [each for each in functions if each.runs]
    lines = []
    for each in (each for each in running if is_http(each)):
        methods = each.trigger.get("methods")
        shown = f"[{','.join(methods)}]" if methods else ""
        lines.append(f"\t{each.name}: {shown} {url}/{full_route(each, prefix)}\n")
    lines += [f"\t{each.name}: {each.trigger_type}\n" for each in running if not is_http(each)]
    lines += [f"Function {each.name} is disabled." for each in functions if each.disabled]
    return "\n".join(lines)


def _app_folder(text: str) -> Path:
    app_dir = Path(text).resolve()
    if not (app_dir / "host.json").is_file():
        raise _CommandError(
            f"Unable to find project root. Expecting to find host.json in {app_dir}. "
            "Start in the folder of the app, or name it with --app."
        )
    return app_dir


def _run(options: argparse.Namespace, app_dir: Path) -> int:
    # Not at the top, so that --help is answered at once.
    from devhost.durable.state_folder import StateError  # noqa: PLC0415
    from devhost.http.keys import KeyFileError  # noqa: PLC0415

    try:
        host = _host(options, app_dir)
        if not _is_free(host.address, host.port):
            raise _CommandError(
                f"Port {host.port} is unavailable. Close the process using that port, "
                "or specify another port using --port [-p]."
            )
        os.chdir(app_dir)  # as in Azure
        code = asyncio.run(_serve(host, options.timeout))
    except (StateError, KeyFileError) as error:
        raise _CommandError(str(error)) from error
    except TimeoutError:
        raise _CommandError(f"The host did not start within {options.timeout} seconds; see --timeout.") from None
    if host.invoker.on_threads():
        # Python would wait for these threads at its end, for ever if need be.
        sys.stdout.flush()
        os._exit(code)
    return code


async def _serve(host: Host, start_seconds: int) -> int:
    console = sys.stdout  # what the app prints goes to the log from now on
    async with asyncio.timeout(start_seconds):
        await host.start()
    try:
        if host.error is None and not host.index.functions:
            return 1  # the log has the reason
        _greet(host, console)
        await _stop_asked_for()
    finally:
        await host.stop()
    return 0


def _host(options: argparse.Namespace, app_dir: Path) -> Host:
    from devhost.host import Host  # noqa: PLC0415 - see `_run`

    local: dict[str, Any] = read_local_settings(app_dir / "local.settings.json").get("Host") or {}
    cors = options.cors if options.cors is not None else local.get("CORS") or ""
    return Host(
        app_dir,
        port=options.port if options.port is not None else _local_port(local.get("LocalHttpPort")),
        address=options.address or local.get("LocalHttpAddress") or DEFAULT_ADDRESS,
        state=options.state,
        enable_auth=options.enableAuth,
        functions=options.functions,
        cors=str(cors).split(",") if cors else (),
        cors_credentials=options.cors_credentials or bool(local.get("CORSCredentials")),
        verbose=options.verbose,
        user_log_level=options.user_log_level,
        capture_print=True,
        strict=options.strict,
    )


def _greet(host: Host, console: TextIO) -> None:
    versions = [f"{each} {importlib.metadata.version(each)}" for each in _SHOWN_PACKAGES]
    print(f"devhost, Python {platform.python_version()}, {', '.join(versions)}\n", file=console)
    if host.error is not None:
        print(f"The host is in state Error and answers every request with 503:\n{host.error}", file=console)
        return
    prefix = str(host.settings.get("extensions.http.routePrefix", "api"))
    print("Functions:\n", file=console)
    print(function_list(host.index.functions, host.url, prefix), file=console)
    if not host.log.is_enabled(STARTUP_CATEGORY, Level.INFORMATION):
        print("For detailed output, run devhost with --verbose flag.", file=console)
    host.log.show(STARTUP_CATEGORY, Level.INFORMATION, "Worker process started and initialized.")
    instance = uuid.uuid4().hex.upper()
    host.log.show(STARTUP_CATEGORY, Level.INFORMATION, f"Host lock lease acquired by instance ID '{instance}'.")


async def _stop_asked_for() -> None:
    """Return at Ctrl-C or SIGTERM. A second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def asked() -> None:
        if stop.is_set():
            os._exit(_INTERRUPTED)
        stop.set()

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is None:
            continue
        try:
            loop.add_signal_handler(number, asked)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(asked))
    await stop.wait()


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name == "posix":  # a port in TIME_WAIT is free; on Windows the option means something else
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise _CommandError(f"Can't listen on {address}: {error.strerror}. See --address.") from error
    return True


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def _local_port(value: Any) -> int:
    try:
        return _port(str(value)) if value else DEFAULT_PORT
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"local.settings.json: Host.LocalHttpPort: {error}.") from None


def _level(text: str) -> Level:
    try:
        return Level.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _give_up(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1
