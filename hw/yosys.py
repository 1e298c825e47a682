# SPDX-License-Identifier: Apache-2.0
"""The one place that runs Yosys: native pyosys in a process of its own.

A Yosys error ends the whole Python process, and its log goes to C's stdout; hence the subprocess.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from hw.errors import VidaError
from hw.toolbox import run_tool

INSTALL = "pip install pyosys==0.70"
_RUN = "import sys\nfrom pyosys import libyosys\nlibyosys.run_pass('script ' + sys.argv[1])\n"


def run_yosys(script: str, workdir: Path, *, what: str, timeout_s: float = 600) -> str:
    """Run a Yosys script in `workdir`, where relative file names lie; returns the log (also in yosys.log).

    Raises VidaError where pyosys is missing, the script fails, or it takes longer than `timeout_s`.
    """
    if importlib.util.find_spec("pyosys") is None:
        raise VidaError(f"pyosys not found: {INSTALL}")
    workdir = Path(workdir)
    (workdir / "script.ys").write_text(script)
    log = workdir / "yosys.log"
    # -P: the current folder is not searched for packages.
    run_tool([sys.executable, "-P", "-c", _RUN, "script.ys"], cwd=workdir, log=log, timeout_s=timeout_s, what=what)
    return log.read_text(errors="replace")
