"""Two host processes started at once on one folder."""

import signal

from experiments.benchmarks.faults.account import Account, Cost, expect
from experiments.benchmarks.faults.host import Host
from experiments.benchmarks.faults.scene import EVENTS, Scene, journal

# More than a run reaches: only a signal ends it.
_ENDLESS = 100_000


def two_at_once(scene: Scene, times: int) -> Cost:
    """Begins a run twice at once, then resumes it twice at once, again and again: one works, one is refused."""
    path = scene.new_path()
    account = Account(path)
    for number in range(times):
        begin = scene.start if number == 0 else scene.resume
        with begin(path, _ENDLESS) as one, begin(path, _ENDLESS) as other:
            one.wait_until(lambda: one.ended or other.ended)
            refused, working = (one, other) if one.ended else (other, one)
            _is_refused(refused)
            working.wait_until(lambda: len(journal(path).sessions) > number)  # noqa: B023
            expect(not working.ended, f"neither of two host processes works: {working.output}")
            working.send(signal.SIGTERM)
            expect(working.wait() == 130, f"the host process that works ends with: {working.output}")
        expect(len(journal(path).sessions) == number + 1, "both host processes have worked")
        account.fault()
        if not scene.is_prefix(path):
            return account.close(equal=False)
    return account.close(scene.ends_equal(path) if len(journal(path).records) < EVENTS else True)


def _is_refused(host: Host) -> None:
    said = "is in use by another process" in host.output or "holds a run already" in host.output
    expect(host.wait() == 2 and said, f"the second host process on a folder ends with: {host.output}")
