"""The default model: whether the providers that are configured in one environment serve what TOKENTAIL_MODEL names."""

from collections.abc import Mapping, Sequence

from tokentail.config.endpoints import load_endpoints
from tokentail.config.local_model import INSTALL, LOCAL_MODEL, missing_packages
from tokentail.config.settings import Settings
from tokentail.errors import SettingsError
from tokentail.jobs.models import ServedModel, model_fault


def require_default_model(
    settings: Settings, environment: Mapping[str, str], missing: Sequence[str] | None = None
) -> None:
    """Raises SettingsError unless a worker in this environment, started by `tokentail up`, serves the default model.

    `missing` are the packages that the local model lacks here.
    """
    missing = missing_packages() if missing is None else missing
    endpoints = load_endpoints(settings, environment)
    names = [name for endpoint in endpoints for name in endpoint.served_names]
    if not (settings.local_url or missing):
        names.append(f"local/{LOCAL_MODEL}")
    served = [ServedModel(name, name.partition("/")[0], "") for name in (*names, "demo")]
    fault = model_fault(settings.model, served)
    if fault and settings.asks_for_local_model and missing and not settings.local_url:
        fault = (
            f"the local model needs {' and '.join(missing)}, which cannot be found here; install it with: {INSTALL}; "
            f"or choose another model; there is: {', '.join(each.name for each in served)}"
        )
    if fault:
        raise SettingsError([f"TOKENTAIL_MODEL: {settings.model}: {fault}"])
