"""A Ray cluster of this machine's loopback interface, in a process of its own: forking one that runs JAX may hang it.

Run as a program it starts the head, writes its address, and then adds a node for each line of environment variables
(a JSON object) that it reads. At the end of its input the cluster ends.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

ENVIRONMENT = {
    # Keeps a Ray on the loopback interface.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Without these Ray would leave a token in the user's home.
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "jaxevo-tests-" + 24 * "0",
}
NODE = {"object_store_memory": 10**8, "include_dashboard": False}


class LoopbackCluster:
    """A cluster with one node of four CPUs, and any that are added.

    Attributes:
        address: of its head.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._answer()

    def add_node(self, **environment: str) -> None:
        """Adds a node of one CPU, whose processes have some environment variables."""
        assert self._process.stdin is not None
        print(json.dumps(environment), file=self._process.stdin, flush=True)
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        assert answer, "the cluster did not start"
        return answer


@contextlib.contextmanager
def loopback_cluster() -> Iterator[LoopbackCluster]:
    """Starts a cluster and ends it."""
    with subprocess.Popen(
        [sys.executable, __file__],
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield LoopbackCluster(process)


@contextlib.contextmanager
def joined_cluster() -> Iterator[LoopbackCluster]:
    """Starts a cluster, connects this process to it, and ends both."""
    import ray

    with loopback_cluster() as started:
        ray.init(started.address, log_to_driver=False)
        yield started
        ray.shutdown()


def main() -> None:
    """Serves one cluster, as the file's first lines say."""
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Ray prints.
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 4})
    print(cluster.address, file=answers)
    for line in sys.stdin:
        cluster.add_node(**NODE, num_cpus=1, env_vars=json.loads(line))
        print("added", file=answers)
    cluster.shutdown()


if __name__ == "__main__":
    main()
