"""What is set before JAX starts, and in which processes it cannot be."""

import os
import sys
import textwrap

import pytest
from helpers.fresh_process import run_fresh
from helpers.tiny_runs import TINY, start

from jaxevo import environment
from jaxevo.environment import check_platform, topology
from jaxevo.environment.probe import Found
from jaxevo.settings import Execution

ASK_FOR_WORK = """
    import jax, numpy as np
    start = jax.block_until_ready(jax.device_put(np.ones((500, 500), np.float32)))
    work = jax.jit(lambda x, steps: jax.lax.fori_loop(0, steps, lambda _, y: y @ y / 500, x))
    work = work.lower(start, np.int32(0)).compile()
    for _ in range(5):
        result = work(start, np.int32(30))
        print(result.is_ready())
        result.block_until_ready()
"""


def test_a_prepared_process_has_one_thread_a_lane_and_dispatches_in_it():
    printed = run_fresh(
        """
    import os, sys
    from jaxevo.environment import prepare_process
    assert "jax" not in sys.modules
    print(prepare_process(), prepare_process(), os.environ["NPROC"], *os.environ["XLA_FLAGS"].split())
    """
        + ASK_FOR_WORK
    )
    assert printed[:3] == ["True", "True", "1"]
    assert "--xla_cpu_enable_concurrency_optimized_scheduler=false" in printed[3:-5]
    # A step is done when its call returns.
    assert printed[-5:] == 5 * ["True"]


def test_an_unprepared_process_would_dispatch_asynchronously():
    assert "False" in run_fresh(ASK_FOR_WORK)


def test_a_process_in_which_jax_was_loaded_before_cannot_be_prepared():
    printed = run_fresh(
        """
    import os, jax
    from jaxevo.environment import prepare_process
    print(prepare_process(), prepare_process(), "NPROC" in os.environ, "XLA_FLAGS" in os.environ)
    """
    )
    assert printed == ["False", "False", "False", "False"]


def test_what_predicts_first_prepares_its_process(tmp_path):
    start(tmp_path / "run", 4)
    for classifier in ("best", "ensemble"):
        printed = run_fresh(
            f"""
        import os, sys
        import numpy as np
        import jaxevo
        classifier = jaxevo.open({str(tmp_path / "run")!r}).{classifier}
        assert "jax" not in sys.modules
        classifier.predict_classes(np.zeros((1, 8, 8, 1), np.uint8))
        print(os.environ["NPROC"], "XLA_FLAGS" in os.environ)
        """
        )
        assert printed == ["1", "True"], classifier


@pytest.mark.slow
def test_a_users_own_flags_are_kept():
    printed = run_fresh(
        """
    import os
    from jaxevo.environment import prepare_process
    prepare_process()
    print(*os.environ["XLA_FLAGS"].split())
    """,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert "--xla_force_host_platform_device_count=2" in printed
    assert "--xla_cpu_enable_concurrency_optimized_scheduler=false" in printed


@pytest.fixture
def unflagged(monkeypatch):
    for name in ("XLA_FLAGS", "NPROC"):
        monkeypatch.delenv(name, raising=False)


def found_on(monkeypatch, platform):
    """Has JAX find devices of a platform, and know every flag."""
    monkeypatch.setattr(environment, "ask_jax", lambda candidates: Found(platform, tuple(candidates)))


@pytest.mark.parametrize(("platform", "suffices"), [("gpu", False), ("cpu", True)])
def test_on_gpus_a_process_is_fast_or_deterministic_for_good(platform, suffices, monkeypatch):
    monkeypatch.setattr(environment, "_prepared", environment._Preparation(platform, 1, "local", fast=True))
    assert environment.prepare_process(Execution(fast=True))
    assert environment.prepare_process(Execution()) is suffices


def required_environment(fast=False):
    return environment._environment(environment._ask(), fast)


@pytest.mark.usefixtures("unflagged")
def test_on_gpus_the_flags_make_operations_deterministic_unless_fast(monkeypatch):
    found_on(monkeypatch, "gpu")
    usual, fast = required_environment(), required_environment(fast=True)
    assert usual["XLA_FLAGS"] == "--xla_gpu_deterministic_ops=true --xla_gpu_enable_triton_gemm=false"
    assert fast["XLA_FLAGS"] == ""
    assert "NPROC" not in usual.keys() | fast.keys()


@pytest.mark.usefixtures("unflagged")
@pytest.mark.parametrize("platform", ["tpu", "neuron"])
def test_other_accelerators_need_neither_flags_nor_a_pool_of_one_thread(monkeypatch, platform):
    found_on(monkeypatch, platform)
    assert required_environment().keys() == {"XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL"}
    assert required_environment()["XLA_FLAGS"] == ""


@pytest.mark.usefixtures("unflagged")
def test_a_run_on_one_host_of_a_tpu_slice_waits_for_no_other_host(monkeypatch):
    monkeypatch.setattr(topology, "_chips", lambda: 4)
    for name in ("TPU_VISIBLE_CHIPS", "TPU_PROCESS_BOUNDS"):
        monkeypatch.delenv(name, raising=False)
    found_on(monkeypatch, "tpu")
    assert required_environment()["TPU_PROCESS_BOUNDS"] == "1,1,1"
    assert required_environment()["TPU_CHIPS_PER_PROCESS_BOUNDS"] == "2,2,1"
    found_on(monkeypatch, "cpu")
    assert "TPU_PROCESS_BOUNDS" not in required_environment()


PREALLOCATED = """
    import os
    from jaxevo import environment
    from jaxevo.environment.probe import Found
    from jaxevo.settings import Execution
    environment.ask_jax = lambda candidates: Found("gpu", ())
    environment.prepare_process({arguments})
    print(os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE"))
"""


@pytest.mark.parametrize(
    ("arguments", "given", "expected"),
    [
        ("Execution()", None, "None"),
        ("", None, "false"),
        ("Execution(), beside_others=True", None, "false"),
        ("", "true", "true"),
    ],
)
def test_only_a_run_takes_most_of_a_gpus_memory_at_its_start(arguments, given, expected):
    given = {} if given is None else {"XLA_PYTHON_CLIENT_PREALLOCATE": given}
    assert run_fresh(PREALLOCATED.replace("{arguments}", arguments), **given) == [expected]


@pytest.mark.usefixtures("unflagged")
def test_a_flag_that_xla_does_not_know_is_left_out(monkeypatch):
    monkeypatch.setattr(environment, "ask_jax", lambda candidates: Found("cpu", tuple(candidates[1:])))
    flags = required_environment()["XLA_FLAGS"].split()
    assert "--xla_cpu_enable_concurrency_optimized_scheduler=false" not in flags
    assert "--xla_backend_optimization_level=1" in flags


@pytest.mark.usefixtures("unflagged")
def test_a_flag_that_the_user_set_to_another_value_is_kept(monkeypatch):
    found_on(monkeypatch, "cpu")
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=3")
    flags = required_environment()["XLA_FLAGS"].split()
    assert [flag for flag in flags if "optimization_level" in flag] == ["--xla_backend_optimization_level=3"]


def test_other_devices_than_were_expected_are_refused_and_asked_for_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXEVO_CACHE_DIR", str(tmp_path))
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "old.json").write_text("{}")
    check_platform("cpu")
    with pytest.raises(ValueError, match="platform 'cpu' when it was asked, and 'gpu' now: .* Start again"):
        check_platform("gpu")
    assert list((tmp_path / "devices").iterdir()) == []


COUNT = """
    import os
    from jaxevo.environment import prepare_process
    from jaxevo.settings import Execution
    print(prepare_process({execution}), prepare_process({later}))
    import jax
    print(jax.local_device_count(), os.environ["NPROC"], "device_count" in os.environ["XLA_FLAGS"])
"""


@pytest.mark.parametrize(
    ("execution", "devices"), [("", 1), ("Execution(3)", 1), ("Execution(1, 4)", 4), ("Execution(3, 2)", 6)]
)
def test_virtual_devices_are_made_only_for_several_devices_a_lane(execution, devices):
    """And the pool, which shapes results and is recorded with the flags, is the same for all."""
    assert run_fresh(COUNT.format(execution=execution, later="")) == ["True", "True", str(devices), "1", "False"]


def test_without_a_number_of_lanes_there_is_one_at_least():
    cores = len(os.sched_getaffinity(0))
    for each in (2, 2 * cores):
        printed = run_fresh(COUNT.format(execution=f"Execution(devices_per_lane={each})", later=""))
        assert int(printed[2]) == max(1, cores // each) * each


def test_a_process_prepared_for_fewer_devices_cannot_have_more():
    assert run_fresh(COUNT.format(execution="Execution(1, 2)", later="Execution(2, 2)"))[:2] == ["True", "False"]


def test_a_users_own_number_of_devices_is_kept():
    flag = "--xla_force_host_platform_device_count=5"
    assert run_fresh(COUNT.format(execution="Execution(1, 2)", later=""), XLA_FLAGS=flag)[2] == "5"


def test_a_process_in_which_jax_runs_does_not_start_a_ray_which_would_fork_it():
    printed = run_fresh(
        """
    from jaxevo.environment import prepare_process
    from jaxevo.settings import Execution
    ray, cluster = Execution(executor="ray"), Execution(executor="ray", ray_address="auto")
    print(prepare_process(ray))
    import jax
    jax.devices()
    print(prepare_process(ray), prepare_process(cluster))
    """
    )
    assert printed == ["True", "False", "True"]


def test_preparation_owns_the_switch_interval_and_the_log_of_orbax():
    printed = run_fresh(
        """
    import logging, sys
    from jaxevo.environment import prepare_process
    prepare_process()
    print(sys.getswitchinterval(), logging.getLogger("absl").level)
    import jaxevo.session.run
    print(sys.getswitchinterval(), logging.getLogger("absl").level)
    """
    )
    assert printed == 2 * ["0.0005", "50"]


# Forks.

FORK = """
    import multiprocessing, warnings
    warnings.filterwarnings("ignore", message=".*fork")
    import jaxevo
    from jaxevo.environment import check_not_forked, prepare_process

    def evolve(name):
        print(jaxevo.evolve(f"{folder}/{name}", max_individuals=3, **{tiny}).fingerprint, flush=True)

    def in_fork(function, *arguments):
        process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
        process.start()
        process.join(60)
        print("exit", process.exitcode, flush=True)
        process.kill()
"""


def fork(script, folder, **environment):
    text = textwrap.dedent(FORK.replace("{folder}", str(folder)).replace("{tiny}", repr(TINY))) + textwrap.dedent(
        script
    )
    return run_fresh(text, **environment)


@pytest.mark.slow
def test_a_fork_of_a_process_that_evolved_evolves_in_a_process_of_its_own(tmp_path):
    words = fork('evolve("parent"); in_fork(evolve, "child")', tmp_path)
    fingerprints = [word for word in words if len(word) == 64]
    assert words[-2:] == ["exit", "0"]
    assert len(set(fingerprints)) == 1
    assert fingerprints.count(fingerprints[0]) >= 2


@pytest.mark.slow
def test_a_fork_of_a_process_that_ran_jax_unprepared_evolves_in_a_process_of_its_own(tmp_path):
    words = fork('import jax; jax.numpy.zeros(3).block_until_ready(); in_fork(evolve, "child")', tmp_path)
    assert words[-2:] == ["exit", "0"]


def test_a_fork_of_a_process_in_which_jax_has_not_run_is_prepared_as_that_one(tmp_path):
    script = "prepare_process(); in_fork(lambda: print(prepare_process(), check_not_forked()))"
    assert fork(script, tmp_path) == ["True", "None", "exit", "0"]


def test_what_needs_jax_in_a_fork_is_refused_with_a_sentence(tmp_path):
    script = """
prepare_process()
import jax
jax.devices()
def refused():
    try:
        check_not_forked()
    except RuntimeError as error:
        print(prepare_process(), error)
in_fork(refused)
"""
    assert " ".join(fork(script, tmp_path)).startswith("False this process was forked from one in which JAX had run")


def test_a_network_in_a_fork_is_described_and_neither_read_nor_run(tmp_path):
    script = """
import numpy as np
evolve("parent")
best = jaxevo.open(f"{folder}/parent").best
def use():
    print("described", len(best.describe()) > 0)
    images = np.zeros((1, 8, 8), np.uint8)
    for act in (lambda: best.variables, lambda: best.predict(images), lambda: best.export("nowhere")):
        try:
            act()
        except RuntimeError as error:
            print("refused:", error)
in_fork(use)
""".replace("{folder}", str(tmp_path))
    printed = " ".join(fork(script, tmp_path))
    assert "described True" in printed
    assert printed.count("refused: this process was forked from one in which JAX had run") == 3
    assert printed.endswith("exit 0")


REFUSED = """
import multiprocessing, os, sys, threading, warnings
warnings.filterwarnings("ignore", message=".*fork")
import jax

def check(name):
    from jaxevo.environment import check_not_forked
    try:
        check_not_forked()
        print(name, "runs", flush=True)
    except RuntimeError:
        print(name, "refused", flush=True)

def in_fork(name):
    process = multiprocessing.get_context("fork").Process(target=check, args=(name,))
    process.start()
    process.join()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lists the threads of a process")
@pytest.mark.parametrize("pool", ["", "1"])
def test_a_fork_of_a_process_that_ran_jax_but_never_imported_jaxevo_is_found(pool):
    script = """
in_fork("before")
jax.devices()
assert not any(name.startswith("jaxevo") for name in sys.modules)
in_fork("multiprocessing")
if os.fork() == 0:
    waiting = threading.Event()
    threading.Thread(target=waiting.wait).start()
    check("os.fork")
    waiting.set()
    os._exit(0)
os.wait()
check("parent")
"""
    words = run_fresh(REFUSED + script, **({"NPROC": pool} if pool else {}))
    assert words == ["before", "runs", "multiprocessing", "refused", "os.fork", "refused", "parent", "runs"]


def test_jax_may_start_in_a_fork():
    script = """
def compute(name):
    jax.numpy.zeros(3).block_until_ready()
    check(name)

process = multiprocessing.get_context("fork").Process(target=compute, args=("child",))
process.start()
process.join()
"""
    assert run_fresh(REFUSED + script) == ["child", "runs"]


def test_a_network_in_a_fork_of_a_process_that_ran_jax_alone_is_refused(tmp_path):
    script = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "import jaxevo; jaxevo.evolve({path}, max_individuals=3, **{tiny})"], check=True)
import jax, numpy as np
jax.numpy.zeros(3).block_until_ready()
def use():
    try:
        jaxevo.open({path}).best.predict(np.zeros((1, 8, 8), np.uint8))
    except RuntimeError as error:
        print("refused:", error)
in_fork(use)
""".replace("{path}", repr(str(tmp_path / "run"))).replace("{tiny}", repr(TINY))
    printed = " ".join(fork(script, tmp_path))
    assert "refused: this process was forked from one in which JAX had run" in printed
    assert printed.endswith("exit 0")


# A plugin of an accelerator, on a machine that has none.

MODULE = """
def get_library_path():
    return "/nowhere/libtpu.so"

def initialize():
    raise RuntimeError("there is no such device")
"""


@pytest.fixture
def plugins(tmp_path):
    """A folder in which every known plugin of an accelerator can be imported."""
    names = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin", "libtpu")
    for name in (*names, "jax_plugins/xla_cuda12", "jax_plugins/other"):
        (tmp_path / "plugins" / name).mkdir(parents=True)
        (tmp_path / "plugins" / name / "__init__.py").write_text(MODULE)
    return str(tmp_path / "plugins")


@pytest.mark.slow
def test_importable_plugins_change_neither_flags_nor_pool_nor_bits(plugins, tmp_path):
    script = f"""
    import os, jaxevo
    run = jaxevo.evolve({str(tmp_path)!r} + "/" + os.environ["NAME"], max_individuals=3, lanes=1, **{TINY!r})
    print(os.environ["XLA_FLAGS"], os.environ["NPROC"], run.fingerprint, run.manifest.machine)
    """
    path = os.pathsep.join(filter(None, (plugins, os.environ.get("PYTHONPATH"))))
    without = run_fresh(script, NAME="without")
    among = run_fresh(script, NAME="among", PYTHONPATH=path, JAX_PLATFORMS="")
    start = without.index(next(word for word in without if word.startswith("--xla")))
    assert among[among.index(without[start]) :] == without[start:]
