"""Does the same work for many processes at once, each as soon as its dependencies are through."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from graphlib import TopologicalSorter

from stack.errors import Cancelled, StackError

Needs = Mapping[str, Iterable[str]]


def reverse(needs: Needs) -> Needs:
    """The dependencies the other way round, for taking all down: a server waits for its clients."""
    return {name: [other for other in needs if name in needs[other]] for name in needs}


def run(needs: Needs, work: Callable[[str], None], cancel: threading.Event) -> None:
    """Call `work` with each name; needs outside of these names count as met.

    After a failure nothing new is begun, `cancel` is set for work that waits in loops, and the failure is raised.
    """
    among = {name: [need for need in needs[name] if need in needs] for name in needs}
    futures: dict[str, Future[None]] = {}

    def step(name: str) -> None:
        for need in among[name]:
            futures[need].result()
        if cancel.is_set():
            raise Cancelled(f"{name} was not begun")
        try:
            work(name)
        except BaseException:
            cancel.set()
            raise

    with ThreadPoolExecutor(max_workers=max(1, len(needs))) as pool:
        for name in TopologicalSorter(among).static_order():
            futures[name] = pool.submit(step, name)
        _wait(futures, cancel)


def _wait(futures: Mapping[str, Future[None]], cancel: threading.Event) -> None:
    try:
        failures = [future.exception() for future in futures.values()]
    except BaseException:  # Ctrl-C: let the threads come to an end
        cancel.set()
        raise
    # One failure makes those fail that wait for it, with the very same exception.
    distinct = list(dict.fromkeys(failure for failure in failures if failure and not isinstance(failure, Cancelled)))
    if len(distinct) > 1 and all(isinstance(failure, StackError) for failure in distinct):
        raise StackError("\n".join(str(failure) for failure in distinct))
    if distinct:
        raise distinct[0]
