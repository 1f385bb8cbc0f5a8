"""The catalog: which model names can be asked for. Workers publish it with their leases; submissions are held to it."""

import re
from collections.abc import Iterable

import msgspec

from tokentail.errors import Fault, InvalidRequest, NothingServed

_DEMO = re.compile(r"demo(?:\?(?P<options>.*))?", re.DOTALL)
_OPTION = re.compile(r"(tokens|tps)=([0-9]{1,7})", re.ASCII)
_DEMO_MOST = {"tokens": 1_000_000, "tps": 1_000_000}


class ServedModel(msgspec.Struct, frozen=True):
    """A model name that a worker takes. A name that ends in `*` stands for every name with that beginning."""

    name: str
    provider: str
    dialect: str

    def is_named(self, model: str) -> bool:
        return model.startswith(self.name[:-1]) if self.name.endswith("*") else model == self.name


def resolve_model(asked: str | None, models: Iterable[ServedModel], default: str) -> str:
    """The full name of the model that a request means.

    `default` is the setting; without it, the first model served. Raises InvalidRequest, naming what there is,
    or NothingServed.
    """
    served = list(models)
    if not served:
        raise NothingServed(NothingServed.__doc__)
    model = asked or default or served[0].name
    if _DEMO.fullmatch(model) and any(s.provider == "demo" for s in served):
        demo_options(model)
        return model
    if not any(s.is_named(model) and not model.endswith(("/", "*")) for s in served):
        names = ", ".join(dict.fromkeys(s.name for s in served))
        what = f"name one, such as {model[:-1]}…" if model.endswith("*") else "no worker serves this model"
        raise InvalidRequest(Fault("model", f"{what}; there is: {names}"))
    return model


def dialect_of(model: str, models: Iterable[ServedModel]) -> str:
    """The dialect in which a resolved model is asked; "" when nobody serves it any more."""
    name = model.partition("?")[0] if _DEMO.fullmatch(model) else model
    return next((served.dialect for served in models if served.is_named(name)), "")


def demo_options(model: str) -> dict[str, int]:
    """`tokens` and `tps` (tokens per second; 0 is as fast as possible) from a name such as `demo?tokens=200&tps=50`."""
    options = {"tokens": 100, "tps": 20}
    match = _DEMO.fullmatch(model)
    parts = match["options"].split("&") if match and match["options"] else []
    found = [_OPTION.fullmatch(part) for part in parts]
    for option in found:
        if option is not None and int(option[2]) <= _DEMO_MOST[option[1]]:
            options[option[1]] = int(option[2])
        else:
            match = None
    if match is None:
        raise InvalidRequest(Fault("model", "write it like demo?tokens=200&tps=50, both at most 1000000"))
    return options
