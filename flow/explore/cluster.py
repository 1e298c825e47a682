# SPDX-License-Identifier: Apache-2.0
"""Who does the work of a sweep: processes of this machine, or jobs of a cluster, through dask."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flow.explore.extra import INSTALL
from flow.explore.tasks import Task
from hw.errors import VidaError
from hw.workspace import build_folder, read_toml

#: Name -> class of dask-jobqueue.
QUEUES = {"slurm": "SLURMCluster", "lsf": "LSFCluster", "pbs": "PBSCluster", "sge": "SGECluster"}
KINDS = ("local", *QUEUES)


def read_options(path: Path | None) -> dict[str, Any]:
    """Keyword arguments of the cluster's class from a TOML file (queue, cores, memory, walltime, ...).

    Raises VidaError where it cannot be read.
    """
    return {} if path is None else read_toml(path, f"cluster options {path}")


class Workers:
    """A dask cluster of `count` workers of one thread each; a context manager.

    kind : local (processes of this machine), slurm, lsf, pbs or sge; a queue's workers must see the same build folder
    options : keyword arguments of the cluster's class
    Raises VidaError for another kind, where dask is missing, or where the cluster refuses its options.
    """

    def __init__(self, count: int, kind: str = "local", options: dict[str, Any] | None = None) -> None:
        if kind not in KINDS:
            raise VidaError(f"unknown cluster {kind!r}: known are {', '.join(KINDS)}")
        try:
            from dask.distributed import Client, LocalCluster
        except ImportError:
            raise VidaError(f"dask is not installed: {INSTALL}") from None
        options = dict(options or {})
        try:
            if kind == "local":
                given = {"threads_per_worker": 1, "dashboard_address": None, "processes": True,
                         "silence_logs": logging.CRITICAL, **options}
                self._cluster = LocalCluster(n_workers=count, **given)
            else:
                self._cluster = _queue(kind)(**{"cores": 1, "processes": 1, **options})
                self._cluster.scale(jobs=count)
            self._client = Client(self._cluster)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            raise VidaError(f"cluster {kind}: {error}") from error

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._cluster.close()

    @property
    def job_script(self) -> str:
        """What a queue is given for each worker."""
        return self._cluster.job_script()

    def complete(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Any, str]]:
        """(task, outcome, error) in the order in which they end; the error is empty where there is an outcome."""
        from dask.distributed import as_completed
        folder = str(build_folder())
        futures = {self._client.submit(_run, task, folder, key=task.digest(), retries=0): task for task in tasks}
        for future in as_completed(futures):
            error = future.exception()
            yield futures[future], None if error else future.result(), failure(error) if error else ""
            future.release()


def failure(error: BaseException) -> str:
    """One line that tells a user's mistake from a defect."""
    text = " ".join(str(error).split())
    return text if isinstance(error, VidaError) else f"{type(error).__name__}: {text}"


def _run(task: Task, folder: str) -> Any:
    """In the worker, which keeps the outcome in the same build folder."""
    os.environ["VIDA_BUILD"] = folder
    return task.complete()


def _queue(kind: str) -> Any:
    try:
        import dask_jobqueue
    except ImportError:
        raise VidaError(f"dask-jobqueue is not installed: {INSTALL}") from None
    return getattr(dask_jobqueue, QUEUES[kind])
