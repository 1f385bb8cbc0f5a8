"""Base images for an engine that reaches no registry, made from Debian's packages under the names of the real ones.

They stand in for `python:3.13-slim` (Debian trixie with its Python 3.13 and pip) and `valkey/valkey:9-alpine` (the same
with the Valkey that `tokentail up` runs). Nothing of this machine is in them, its certificates neither.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.compose_check.engine import docker, run
from tests.compose_check.project import BASE
from tests.valkey_server import valkey_binary

_CACHE = Path(sys.prefix) / "compose-check"
_ROOT_FILES = _CACHE / "trixie.tar"
_VALKEY = "valkey/valkey:9-alpine"
_MIRROR = "http://deb.debian.org/debian"
_PACKAGES = "python3,python3-pip,ca-certificates,valkey-tools"
_ENTRYPOINT = """\
#!/bin/sh -e
# As with the official image the server is not root, owns its files, which nobody else can read, and is not protected.
if [ "$1" = valkey-server ] && [ "$(id -u)" = 0 ]; then
    chown -R 999:1000 .
    exec setpriv --reuid=999 --regid=1000 --clear-groups "$0" "$@"
fi
umask 077
[ "$1" != valkey-server ] || set -- "$@" --protected-mode no
exec "$@"
"""
_DOCKERFILE = f"""\
FROM {BASE}
COPY bin/ /usr/local/bin/
COPY --chown=999:1000 data/ /data/
WORKDIR /data
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["valkey-server"]
"""


def make() -> None:
    """Make the files of the first image, unless an earlier run has left them."""
    if _ROOT_FILES.exists():
        return
    _CACHE.mkdir(parents=True, exist_ok=True)
    print("Making a base image from Debian's packages; this takes some minutes, once.", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="tokentail-trixie-") as folder:
        options = ("--variant=minbase", f"--include={_PACKAGES}")
        run(["debootstrap", *options, "trixie", folder, _MIRROR], within_s=1200)
        root = Path(folder)
        for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()
        for compiled in root.glob("usr/lib/python3*/**/*.pyc"):
            compiled.unlink()  # the official image has none, either
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        shutil.rmtree(root / "var/cache/apt/archives")
        unfinished = _CACHE / "trixie.part"
        run(["tar", "--directory", folder, "--create", "--file", str(unfinished), "--exclude=./dev/*", "."])
        unfinished.rename(_ROOT_FILES)


def load() -> None:
    """Give both images to the engine."""
    docker("import", "--change", 'CMD ["python3"]', str(_ROOT_FILES), BASE)
    with tempfile.TemporaryDirectory(prefix="tokentail-valkey-") as folder:
        context = Path(folder)
        (context / "bin").mkdir()
        (context / "data").mkdir()
        shutil.copy(valkey_binary(), context / "bin" / "valkey-server")
        (context / "bin" / "valkey-sentinel").symlink_to("valkey-server")
        entrypoint = context / "bin" / "docker-entrypoint.sh"
        entrypoint.write_text(_ENTRYPOINT)
        entrypoint.chmod(0o755)
        (context / "Dockerfile").write_text(_DOCKERFILE)
        docker("build", "--network=host", "--tag", _VALKEY, folder)
