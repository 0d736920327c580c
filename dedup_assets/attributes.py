"""What the schema of a defs.yaml says of the component's attributes: to editors, `dg check yaml` and the Dagster UI.

Dagster makes that schema anew and takes words from resolvers alone. An attribute may also be a template, such as
'{{ env.IMAGES }}'; what a template comes to is checked when the definitions are built.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import dagster as dg
from pydantic import Field

from dedup_assets.core.settings import Bounded

_NO_TEMPLATE = {"type": "string", "not": {"pattern": r"\{\{"}}


def said(help_text: str) -> dg.Resolver:
    """An attribute that explains itself."""
    resolver: dg.Resolver = dg.Resolver.default(description=help_text)
    return resolver


def word(help_text: str, allowed: Sequence[str]) -> dg.Resolver:
    """An attribute that is one of some words."""
    schema = {"if": _NO_TEMPLATE, "then": {"enum": [*allowed]}}
    resolver: dg.Resolver = dg.Resolver.default(description=help_text, json_schema_extra=schema)
    return resolver


def number(help_text: str, allowed: Any) -> dg.Resolver:  # noqa: ANN401 - a type, or Annotated
    """An attribute that is a number; `allowed` is its type with the bounds, which a template is not held to here."""
    return dg.Resolver(lambda _, value: value, model_field_type=allowed, description=help_text)


def bounded(setting: Bounded) -> dg.Resolver:
    """A number with the bounds and the words of its setting."""
    kind = type(setting.default)
    return number(setting.help, Annotated[kind, Field(ge=setting.minimum, le=setting.maximum)])
