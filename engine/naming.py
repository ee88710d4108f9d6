"""How is a class found by its name? A family of classes whose members join the list of names as they are defined."""

import inspect
import re
from typing import Any, ClassVar, Self

from engine.errors import ArgumentError, unknown_name


def hyphenated(name: str) -> str:
    """A class's name as it is written on the command line.

    >>> [hyphenated(name) for name in ("CrossEntropy", "LeakyReLU", "SGD")]
    ['cross-entropy', 'leaky-relu', 'sgd']
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "-", name).lower()


class Named:
    """A member of a family: ``class Loss(Named, family="loss")`` begins one, its subclasses are its members.

    ``abstract=True`` keeps a subclass, made for others to share, off the list.
    """

    family: ClassVar[str]
    members: ClassVar[dict[str, type[Any]]]

    def __init_subclass__(cls, family: str | None = None, abstract: bool = False) -> None:
        super().__init_subclass__()
        if family is not None:
            cls.family, cls.members = family, {}
        elif not abstract:
            cls.members[hyphenated(cls.__name__)] = cls

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of the family, in order."""
        return tuple(sorted(cls.members))

    @classmethod
    def by_name(cls, name: str, *arguments: Any, **settings: Any) -> Self:
        """A member from its name, with its settings.

        Raises:
            UnknownNameError, ArgumentError: there is no such member, or it has no such setting; the message lists them.

        >>> import engine as en
        >>> en.Loss.by_name("hinge", margin=0.5)
        Hinge(margin=0.5, reduction='mean')
        """
        key = str(name).lower().replace("_", "-")
        kind = cls.members.get(key)
        if kind is None:
            raise unknown_name(cls.family, name, cls.members)
        allowed = [one for one in inspect.signature(kind).parameters][len(arguments) :]
        for setting in settings:
            if setting not in allowed:
                raise ArgumentError(f"{cls.family} {key}: it has no {setting}; allowed are {', '.join(allowed)}.")
        member: Self = kind(*arguments, **settings)
        return member
