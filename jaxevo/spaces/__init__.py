"""Search spaces."""

import functools
from collections.abc import Callable
from typing import Any

from jaxevo.search.space import SearchSpace
from jaxevo.settings import Settings
from jaxevo.spaces.large_scale.space import LargeScale


def built_in_spaces(settings: Settings) -> dict[str, Callable[..., SearchSpace[Any]]]:
    """Returns the factories of the built-in spaces, by name."""
    return {"large_scale": functools.partial(LargeScale, settings.initial_learning_rate)}
