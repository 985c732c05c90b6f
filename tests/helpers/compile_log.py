"""A log of JAX's compilations."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax


@contextlib.contextmanager
def compilations() -> Iterator[list[dict[str, Any]]]:
    """Yields a list that gets JAX's details of every program compiled, or read from a cache, inside the block."""
    compiled: list[dict[str, Any]] = []

    def note(event: str, duration_secs: float, **details: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(details)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
