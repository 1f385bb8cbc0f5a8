"""The tasks by which the API page groups the calls. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.http.router import Route
from app.http.schemas import Schema


@dataclass(frozen=True)
class Task:
    """What a caller may want to do, and the calls for it."""

    name: str
    description: str
    routes: tuple[Route, ...]
    schemas: Mapping[str, Schema] = field(default_factory=dict)  # of the bodies that these routes name
