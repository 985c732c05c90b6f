"""Notes what JAX compiles."""

import contextlib

import jax


@contextlib.contextmanager
def compilations():
    """Collects a name for every program that is compiled, or read from a cache, inside the block."""
    compiled = []

    def note(event, seconds, **details):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(details)

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        yield compiled
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
