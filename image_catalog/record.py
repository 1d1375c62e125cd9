"""Small immutable records, for what must start fast.

Read like a frozen dataclass, by type checkers too (PEP 681); dataclasses would cost every search 8 ms for importing inspect, and
typing.NamedTuple 3 ms for typing: a cold text search takes 25 ms in all.

    class Point(Record):
        x: float
        y: float = 0.0
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_: object) -> object:
        return lambda base: base


@dataclass_transform(frozen_default=True)
class Record:
    """Fields in the order of their annotations; a default is what the class body assigns."""

    _names: tuple[str, ...] = ()

    def __init_subclass__(cls) -> None:
        cls._names = tuple(name for name in cls.__annotations__ if not name.startswith("_"))

    def __init__(self, *values: Any, **named: Any) -> None:
        given = dict(zip(self._names, values, strict=False)) | named
        if len(given) != len(values) + len(named) or not given.keys() <= set(self._names):
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(self._names)}; got {values} {named}")
        missing = [name for name in self._names if name not in given and not hasattr(type(self), name)]
        if missing:
            raise TypeError(f"{type(self).__name__} misses {', '.join(missing)}")
        self.__dict__.update(given)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names)
        return f"{type(self).__name__}({shown})"

    def with_(self, **changed: Any) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{**dict(zip(self._names, self._values(), strict=True)), **changed})

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._names)


if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
else:

    class _NamedTupleMeta(type):
        def __new__(meta, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(meta, name, bases, body)
            from collections import namedtuple

            fields = body.pop("__annotations__")
            defaults = [body.pop(field) for field in fields if field in body]
            return type(name, (namedtuple(name, fields, defaults=defaults, module=body["__module__"]),), body)

    class NamedTuple(metaclass=_NamedTupleMeta):
        """typing.NamedTuple, for records of which there are a hundred thousand."""
