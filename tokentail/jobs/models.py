"""The catalog: which model names can be asked for. Workers publish it with their leases; submissions are held to it."""

import difflib
import re
from collections.abc import Iterable, Sequence

import msgspec

from tokentail.errors import Fault, InvalidRequest, NothingServed

_DEMO = re.compile(r"demo(?:\?(?P<options>.*))?", re.DOTALL)
_OPTION = re.compile(r"(tokens|tps|reasoning)=([0-9]{1,7})", re.ASCII)
_DEMO_MOST = 1_000_000


class ServedModel(msgspec.Struct, frozen=True):
    """A model name that a worker takes. A name that ends in `*` stands for every name with that beginning."""

    name: str
    provider: str
    dialect: str

    def is_named(self, model: str) -> bool:
        return model.startswith(self.name[:-1]) if self.name.endswith("*") else model == self.name


def resolve_model(asked: str | None, models: Iterable[ServedModel], default: str) -> str:
    """The full name of the model that a request means.

    A provider's bare name, such as `local`, means the first model that is listed for it; a provider that takes any
    name has none. `default` is the setting; without it, the first model served. Raises InvalidRequest, naming what
    there is and the nearest to it, or NothingServed.
    """
    served = list(models)
    if not served:
        raise NothingServed(NothingServed.__doc__)
    model = full_name(asked or default or served[0].name, served)
    if _DEMO.fullmatch(model) and any(s.provider == "demo" for s in served):
        demo_options(model)
        return model
    if not any(s.is_named(model) and not model.endswith(("/", "*")) for s in served):
        raise InvalidRequest(Fault("model", _unserved(model, served)))
    return model


def model_fault(model: str, models: Iterable[ServedModel]) -> str:
    """What is wrong with a default model, given what is served; "" when nothing is, or when none is set."""
    try:
        if model:
            resolve_model(model, models, "")
    except InvalidRequest as error:
        return error.faults[0].message
    return ""


def full_name(model: str, served: Iterable[ServedModel]) -> str:
    """The first model listed for the provider that `model` names; anything else as it is."""
    own = (s.name for s in served if s.name.partition("/")[0] == model and not s.name.endswith("*"))
    return next(own, model)


def listed_name(model: str, served: Sequence[ServedModel]) -> str:
    """The full name that `model` means among the names that are listed; anything else as it is.

    Like `full_name`, and a listed model's own name, such as `gpt-5` for `openai/gpt-5`, means the first one so named.
    """
    full = full_name(model, served)
    if any(s.is_named(full) for s in served):
        return full
    return next((s.name for s in served if s.name.partition("/")[2] == model), model)


def _unserved(model: str, served: Sequence[ServedModel]) -> str:
    names = list(dict.fromkeys(s.name for s in served))
    is_pattern = model in names and model.endswith("*")
    what = f"name one, such as {model[:-1]}…" if is_pattern else "no worker serves this model"
    nearest = "" if is_pattern else _nearest(model, names)
    return f"{what}; there is: {', '.join(names)}" + (f"; did you mean {nearest}?" if nearest else "")


def _nearest(model: str, names: Sequence[str]) -> str:
    """What was probably meant; "" when nothing is near. A pattern is compared as if it had the name that was asked."""
    own_name = model.partition("/")[2].strip("/*")
    meant = {(name[:-1] + own_name if name.endswith("*") else name).lower(): name for name in names}
    meant |= {name.partition("/")[0]: name for name in reversed(names) if not name.endswith("*")}
    near = difflib.get_close_matches(model.partition("?")[0].strip("/* ").lower(), meant, n=1)
    return re.sub(r"\*$", "…", meant[near[0]]) if near else ""


def dialect_of(model: str, models: Iterable[ServedModel]) -> str:
    """The dialect in which a resolved model is asked; "" when no worker serves it any more."""
    name = model.partition("?")[0] if _DEMO.fullmatch(model) else model
    return next((served.dialect for served in models if served.is_named(name)), "")


def demo_options(model: str) -> dict[str, int]:
    """`tokens` and `tps` (tokens per second; 0 is as fast as possible) from a name such as `demo?tokens=200&tps=50`.

    `reasoning`, the pieces of reasoning before the text, is in it only if the name has it.
    """
    options = {"tokens": 100, "tps": 20}
    match = _DEMO.fullmatch(model)
    parts = match["options"].split("&") if match and match["options"] else []
    found = [_OPTION.fullmatch(part) for part in parts]
    for option in found:
        if option is not None and int(option[2]) <= _DEMO_MOST:
            options[option[1]] = int(option[2])
        else:
            match = None
    if match is None:
        raise InvalidRequest(
            Fault("model", "write it like demo?tokens=200&tps=50 or demo?reasoning=40; each number is at most 1000000")
        )
    return options
