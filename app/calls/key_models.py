"""The models of a key: those that its owner may name, list, and get when a request names none."""

from collections.abc import Callable

from app.calls.positions import Catalog
from tokentail.config.key_ring import KeyRing
from tokentail.errors import InvalidRequest, ModelForbidden, NothingServed
from tokentail.jobs.models import ServedModel, full_name, model_fault, resolve_model


class KeyModels:
    """The catalog as each owner sees it."""

    def __init__(self, catalog: Catalog, keys: KeyRing, default_model: str) -> None:
        self._catalog = catalog
        self._keys = keys
        self._default_model = default_model

    def listed(self, owner: str) -> list[ServedModel]:
        """What an owner may name. Raises StoreUnavailable."""
        return self._keys.of_owner(owner).limits.among(self._catalog.models())

    def default(self, owner: str) -> str | None:
        """The full name of an owner's default model; None when the owner has none."""
        models, wanted = self.listed(owner), self._default_of(owner)
        if not models or model_fault(wanted, models):
            return None
        return full_name(wanted, models) or models[0].name

    def resolve(self, owner: str, asked: str | None) -> str:
        """The full name of the model that a request of an owner means.

        Raises ModelForbidden, InvalidRequest, NothingServed, StoreUnavailable.
        """
        return self._by_the_newest(lambda: self._resolved(owner, asked))

    def permitted(self, owner: str, find: Callable[[list[ServedModel]], str]) -> str:
        """The model that `find` finds among those that are served, if the owner may use it.

        A refusal names only models that the owner may use.
        """
        return self._by_the_newest(lambda: self._permitted(owner, find))

    def _by_the_newest(self, find: Callable[[], str]) -> str:
        """What `find` finds. It refuses nothing by an old catalog: a worker may just have come with the model."""
        try:
            return find()
        except (InvalidRequest, ModelForbidden, NothingServed):
            self._catalog.renew()
            return find()

    def _resolved(self, owner: str, asked: str | None) -> str:
        if not asked and self.listed(owner):
            return resolve_model(None, self.listed(owner), self._default_of(owner))
        return self._permitted(owner, lambda models: resolve_model(asked or None, models, self._default_model))

    def _permitted(self, owner: str, find: Callable[[list[ServedModel]], str]) -> str:
        limits, served = self._keys.of_owner(owner).limits, self._catalog.models()
        try:
            model = find(served)
        except InvalidRequest:
            if allowed := limits.among(served):
                find(allowed)
            raise ModelForbidden(limits.refusal) from None
        limits.require(model, served)
        return model

    def _default_of(self, owner: str) -> str:
        """The setting; none for an owner that may not use its model."""
        limits, served = self._keys.of_owner(owner).limits, self._catalog.models()
        return self._default_model if limits.allows(full_name(self._default_model, served), served) else ""
