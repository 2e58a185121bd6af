"""What a searcher and a stopper have in common: what the schema, the report, the documentation and the tests ask of them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from .schema import Model, Problem


class Rule:
    """Base of what a method's keys choose by name.

    Attributes:
        rule: what it does, in a line; by default the first line of the class's docstring.
        source: where the rule comes from; empty if it needs none.
        examples: options with which the contract tests try it.
    """

    rule: ClassVar[str] = ""
    source: ClassVar[str] = ""
    examples: ClassVar[Sequence[Mapping[str, Any]]] = ({},)

    def __init_subclass__(cls) -> None:
        if "rule" not in vars(cls) and cls.__doc__:
            cls.rule = cls.__doc__.strip().splitlines()[0]

    @classmethod
    def with_options(cls, options: Model) -> str:
        """The rule, and its options as they are given, in a sentence."""
        given = ", ".join(f"{name} = {value}" for name, value in options.model_dump(mode="json").items())
        return f"{cls.rule.rstrip('.')}{f' ({given})' if given else ''}."

    @classmethod
    def doubts(cls, options: Any, context: Any) -> Iterable[Problem]:
        """What can be carried out with these options, but is hardly meant; `hypercurve check` warns of it.

        Args:
            options: an instance of the rule's options, which the paths begin at.
            context: what the rule may know of its run.
        """
        del options, context
        return ()
