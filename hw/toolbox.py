# SPDX-License-Identifier: Apache-2.0
"""Running outside tools: each call bounded in time, its output in a file, its failure one line with the reason."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hw.errors import VidaError


def run_tool(command: Sequence[str | Path], *, cwd: Path, log: Path, timeout_s: float, what: str,
             env: Mapping[str, str] | None = None, check: bool = True) -> int:
    """Run `command` in `cwd` with stdout and stderr in `log`; returns the exit status.

    `what` begins the error's line ("building tiny"). The whole process group ends at the time limit.
    Raises VidaError when the tool is missing or takes longer than `timeout_s`, and, with `check`, when it fails.
    """
    with open(log, "wb") as stream:
        try:
            process = subprocess.Popen([str(part) for part in command], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                                       stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)
        except FileNotFoundError as error:
            raise VidaError(f"{what}: {command[0]} not found; `vida doctor` says how to install it") from error
        try:
            status = process.wait(timeout_s)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise VidaError(f"{what}: stopped after {timeout_s:g} s (log: {log})") from error
            raise
    if check and status != 0:
        raise VidaError(f"{what}: {Path(command[0]).name} failed: {first_error(log)} (log: {log})")
    return status


def first_error(log: Path) -> str:
    """The first line of a tool's log that says error, else its last line."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "ERROR" in line]
    return (errors or lines[-1:] or ["no output"])[0]
