# SPDX-License-Identifier: Apache-2.0
"""One step: `python -m flow.steps NAME [LIBERTY_FOLDER]` writes build/results/NAME.json.

It prints what it is doing, a line at a time; on a user's error the last line says so, and it ends with status 2.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from flow.results import results_folder, write_step
from flow.steps import STEPS, collect_rarely, inputs_digest
from hw.errors import VidaError


def _progress(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str]) -> int:
    """Run the step and write its outcome."""
    name, pdk = arguments[0], Path(arguments[1]) if len(arguments) > 1 else None
    started = time.monotonic()
    collect_rarely()
    try:
        inputs = inputs_digest(name, pdk)
        outcome = importlib.import_module(STEPS[name].module).run(pdk, _progress)
        write_step(results_folder() / f"{name}.json", outcome, inputs, time.monotonic() - started)
    except VidaError as error:
        _progress(f"error: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
