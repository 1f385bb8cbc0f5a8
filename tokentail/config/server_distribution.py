"""The distribution tokentail-server, which has `app`, `worker` and their libraries: whether it is the right one."""

from importlib import metadata

from tokentail import __version__

SERVER = "tokentail-server"

_REMEDY = f"pip install '{SERVER}=={__version__}'"


def server_fault() -> str | None:
    """What keeps the server from running in this installation, and the remedy; None when nothing does."""
    try:
        found = metadata.version(SERVER)
    except metadata.PackageNotFoundError:
        return f"{SERVER} is not installed; install it with: {_REMEDY}"
    if found != __version__:
        return f"{SERVER} {found} does not work with tokentail {__version__}; install the same version: {_REMEDY}"
    return None
