"""The verb that serves an ensemble: loads it, takes a port, and answers until Ctrl-C. The only door to Uvicorn."""

import errno
import importlib.util
import ipaddress
import logging
import pathlib
import socket

from mlob import predicting
from mlob.errors import InputError
from mlob.progress import is_verbose, say
from mlob.workspace import Workspace

PACKAGES = ("fastapi", "uvicorn", "python_multipart")
CONNECTIONS = 512  # at once; those beyond are answered 503
SECONDS = 10  # for the requests under way, when the server is stopped


def serve(work: Workspace, folder: pathlib.Path | None, host: str, port: int) -> None:
    """Serve an ensemble until Ctrl-C.

    Args:
        work: the suite, for where no folder is named.
        folder: of a suite's runs.
        host: the address to listen at.
        port: likewise; 0 takes any that is free.

    Raises:
        InputError: packages are missing; the port cannot be had; more than photos is read; as `Labeller.load`.
    """
    _check_installed()
    with listening(host, port) as listener:
        if folder is None:
            work = predicting.as_found(work)
            predicting.see_to(work)
            folder = work.runs
        if work.is_dry:
            return say(f"serve: {folder} at {address(listener)}")
        _run(listener, folder, work.weights)


def _check_installed() -> None:
    if not all(map(importlib.util.find_spec, PACKAGES)):
        raise InputError('mlob serve needs packages that are not installed: pip install "mlob[serve]".')


def listening(host: str, port: int) -> socket.socket:
    """Give a socket that has a port, so that no other program gets it while networks are loaded.

    Raises:
        InputError: the port is in use, or may not be had; the host is no address of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=CONNECTIONS)
    except socket.gaierror as error:
        raise InputError(f"--host {host}: {error.strerror}. Expected an address of this machine.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            told = f"Port {port} of {host} is in use: stop what listens there, or name another with --port."
        else:
            told = f"Port {port} of {host} cannot be had ({error.strerror}): name another with --port or --host."
        raise InputError(told) from error


def address(listener: socket.socket) -> str:
    """Give the address of the page, for a browser."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _run(listener: socket.socket, folder: pathlib.Path, weights: str | None) -> None:
    import uvicorn

    from mlob.runs.labeller import Labeller
    from mlob.serving import application

    say(f"serve: loading {folder}")
    labeller = Labeller.load(folder, weights)
    if labeller.beside:
        raise InputError(
            f"The ensemble in {folder} reads what stands beside photos ({', '.join(labeller.beside)}), which the page "
            "cannot give: label them with `mlob predict`."
        )
    if not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        say("serve: whoever reaches this machine can use it: there is no password")
    app = application.create(labeller, labeller.suite)
    options = uvicorn.Config(
        app,
        log_config=None,  # Uvicorn's own closes what other packages log to
        log_level="info" if is_verbose() else "error",
        access_log=is_verbose(),
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=SECONDS,
        server_header=False,
    )
    if is_verbose():
        logging.getLogger("uvicorn.access").addHandler(logging.StreamHandler())
    say(f"serve: {address(listener)} (Ctrl-C stops it)")
    uvicorn.Server(options).run([listener])
