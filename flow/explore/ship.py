# SPDX-License-Identifier: Apache-2.0
"""Write `mapped.json`, the areas and paths that come with the project: `python -m flow.explore.ship`.

The machines of the main job take half an hour to map; their figures hold as long as nothing that they come from has
changed, which their digests tell. What has changed is measured here first.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from flow.explore.evaluate import silicon
from flow.explore.silicon import FORMAT, MAPPED, KeptSynthesiser
from flow.explore.space import GATES, configurations, load_space
from flow.explore.tasks import AreaTask
from synth import liberty
from verif.measure import machines


def main() -> None:
    """Measure on ASAP7, then in gate equivalents; the file is written after each."""
    content: dict[str, Any] = {"format": FORMAT, "machines": {}, "blocks": {}}
    for library in (*(name for name in liberty.available() if name == "asap7"), None):
        synthesiser = KeptSynthesiser(library, None, print)
        for config in machines().values():
            synthesiser.group(config)
        for machine in configurations(load_space("chosen")).machines:
            task = AreaTask(machine.config, library or GATES, None)
            content["machines"][task.digest()] = asdict(silicon(machine.config, synthesiser))
        content["blocks"] |= synthesiser.used
        MAPPED.write_text(_text(content), encoding="utf-8")
        print(f"{MAPPED}: {len(content['machines'])} machines, {len(content['blocks'])} blocks")


def _text(content: dict[str, Any]) -> str:
    """JSON with a line for each figure."""
    def lines(figures: dict[str, Any]) -> str:
        return ",\n".join(f"{json.dumps(digest)}: {json.dumps(figures[digest])}" for digest in sorted(figures))

    parts = [f'"{name}": {{\n{lines(content[name])}\n}}' for name in ("machines", "blocks")]
    return f'{{"format": {content["format"]}, ' + ",\n".join(parts) + "}\n"


if __name__ == "__main__":
    main()
