"""Command lines on which an expression may begin with a minus: `glo show "-square(x - y)"`."""

from __future__ import annotations

import re
from typing import Any

from typer.core import TyperCommand

FORMULA = re.compile(r"-[\d.(]|-\w+\(|-\w+\s*[+*/^]")  # more than a word that begins with a minus


class ExpressionCommand(TyperCommand):
    """A command with expressions as arguments; those that begin with a minus are no options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, options_first(args, self._values_by_option()))

    def _values_by_option(self) -> dict[str, int]:
        """How many values each option takes."""
        found: dict[str, int] = {}
        for parameter in self.params:
            flag: Any = getattr(parameter, "is_flag", False) or getattr(parameter, "count", False)
            if parameter.param_type_name == "option":
                found |= dict.fromkeys((*parameter.opts, *parameter.secondary_opts), 0 if flag else 1)
        return found | {"--help": 0}


def options_first(args: list[str], values_by_option: dict[str, int]) -> list[str]:
    """The same command line with its arguments at the end, after `--`, if one of them is an expression with a minus.

    Args:
        values_by_option: how many values each option takes.
    """
    options: list[str] = []
    arguments: list[str] = []
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            arguments += rest
            break
        if word in values_by_option:
            if len(rest) < values_by_option[word]:
                return [*options, word, *rest]  # its value is missing, which typer reports
            options += [word, *(rest.pop(0) for _ in range(values_by_option[word]))]
        elif word.startswith("-") and word != "-" and not _is_expression(word, values_by_option):
            options.append(word)
        else:
            arguments.append(word)
    return [*options, "--", *arguments] if any(word.startswith("-") for word in arguments) else args


def _is_expression(word: str, values_by_option: dict[str, int]) -> bool:
    """Whether a word that begins with a minus is an expression, or was meant as one."""
    from glo.errors import ExpressionError
    from glo.expr import parse

    if word.split("=")[0] in values_by_option:
        return False
    if FORMULA.match(word) and word[:2] not in values_by_option:  # -otable(1).py is the option -o
        return True
    try:
        parse(word)
    except ExpressionError:
        return False
    return True
