"""The facts of a model card beside a network's accuracies."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxevo.reports.metrics import wilson_interval
from jaxevo.reports.network import Network
from jaxevo.storage.history import History


def facts_of(history: History, network: Network, result: Mapping[str, Any]) -> dict[str, str]:
    """Returns what a model card says of a network, by what it is.

    Args:
        history: of its run.
        network: of an individual of the run.
        result: content of `result.json`; may be empty.
    """
    manifest, state, one = history.manifest, history.state, network.individual
    facts = {"data set": f"{Path(manifest.settings.dataset).name} (sha256 {manifest.data_fingerprint})"}
    if result.get("best_id") == one.id and result.get("test_images") and math.isfinite(network.test_accuracy):
        low, high = wilson_interval(round(network.test_accuracy * result["test_images"]), result["test_images"])
        facts["95 % interval of the test accuracy"] = f"{low:.2%} to {high:.2%}, of {result['test_images']:,} images"
    if "majority_class" in result:
        share = f"{result['majority_test_accuracy']:.2%}"
        facts[f"test accuracy of always answering {result['majority_class']!r}"] = share
    line = " > ".join(f"{each.id} {each.mutation or 'initial'}" for each in history.lineage(one.id))
    return facts | {"lineage": line, "run fingerprint": f"{state.fingerprint} after {state.events} events"}
