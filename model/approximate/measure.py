# SPDX-License-Identifier: Apache-2.0
"""Quality beside work left: `python -m model.approximate.measure --preset small --only cmc`."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any

import torch
import typer

from hw.errors import VidaError
from model.approximate.build import build, dito_steps
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    Config,
    DiToConfig,
    DittoConfig,
    EagerConfig,
    EXIONConfig,
    FFNReuseConfig,
    Guide,
    KeyGuide,
    ORBISConfig,
    ToMeConfig,
)
from model.approximate.work import Work
from model.autoencoder import to_pixels
from model.command import run
from model.evaluate import REFRESH, VIDEOS, fewer_steps, float_videos, integer_videos
from model.exact.match.datm import Rule
from model.exact.match.similarity import Measure
from model.exact.network import QuantisedNetwork
from model.exact.sparsity.eager import Dominance
from model.exact.sparsity.leading_one import Detection
from model.metrics import compare
from model.quantise import load_quantised
from model.sample import STEPS, sample_integer

_FFN = EXIONConfig(eager=None)
#: Operator kinds of a table, after the network's mean.
_COLUMNS = ("qkv", "scores", "out", "fc1", "fc2")


def _eager(**fields: Any) -> EXIONConfig:
    return EXIONConfig(ffn=None, eager=EagerConfig(**{"dominance": Dominance.NEVER} | fields))


#: Named settings: what docs/methods/figures.md shows. ORBIS and DiTo match by COVER unless a name says otherwise.
SETTINGS: dict[str, tuple[Config, ...]] = {
    "original": (),
    "ditto": (DittoConfig(),),
    "cmc.2.5": (CMCConfig(threshold=2.5),),
    "cmc.5": (CMCConfig(threshold=5),),
    "cmc.10": (CMCConfig(threshold=10),),
    "cmc.5.same-place": (CMCConfig(threshold=5, reach=0),),
    "cmc.5.window-3x3": (CMCConfig(threshold=5, reach=1),),
    "cmc.5.segment-4": (CMCConfig(threshold=5, segment=4),),
    "cmc.queries-10": (CMCConfig(threshold=0, query_threshold=10),),
    "exion.ffn.n1": (EXIONConfig(ffn=FFNReuseConfig(sparse_steps=1), eager=None),),
    "exion.ffn.n2": (_FFN,),
    "exion.ffn.n4": (EXIONConfig(ffn=FFNReuseConfig(sparse_steps=4), eager=None),),
    "exion.ffn.n2.keep-30%": (EXIONConfig(ffn=FFNReuseConfig(permille=300), eager=None),),
    "exion.ffn.n2.value-4": (EXIONConfig(ffn=FFNReuseConfig(threshold=4), eager=None),),
    "exion.eager.25%.two": (_eager(),),
    "exion.eager.25%.left": (_eager(detection=Detection.LEFT),),
    "exion.eager.25%.one": (_eager(detection=Detection.ONE),),
    "exion.eager.50%.two": (_eager(permille=500),),
    "exion.eager.50%.one": (_eager(permille=500, detection=Detection.ONE),),
    "exion.eager.25%.margin-3": (_eager(dominance=Dominance.MARGIN),),
    "exion.eager.25%.share-50%": (_eager(dominance=Dominance.SHARE, dominance_threshold=500),),
    "exion.both": (EXIONConfig(eager=EagerConfig(permille=500, dominance=Dominance.NEVER)),),
    "orbis.30%": (ORBISConfig(rule=Rule.COVER, q_ratio=0.3),),
    "orbis.50%": (ORBISConfig(rule=Rule.COVER),),
    "orbis.70%": (ORBISConfig(rule=Rule.COVER, q_ratio=0.7),),
    "orbis.50%.pairs": (ORBISConfig(rule=Rule.PAIRS),),
    "orbis.50%.density": (ORBISConfig(rule=Rule.DENSITY),),
    "orbis.50%.cover-25%": (ORBISConfig(rule=Rule.COVER, destinations=0.25),),
    "orbis.50%.pairs.int4": (ORBISConfig(rule=Rule.PAIRS, bits=4),),
    "orbis.30%.pairs": (ORBISConfig(q_ratio=0.3, rule=Rule.PAIRS),),
    "orbis.50%.pairs.input": (ORBISConfig(rule=Rule.PAIRS, guide=Guide.INPUT),),
    "orbis.50%.int4": (ORBISConfig(rule=Rule.COVER, bits=4),),
    "orbis.50%.sad": (ORBISConfig(rule=Rule.COVER, measure=Measure.SAD),),
    "orbis.50%.cosine": (ORBISConfig(rule=Rule.COVER, measure=Measure.COSINE),),
    "orbis.50%.after-projection": (ORBISConfig(rule=Rule.COVER, after_projection=True),),
    "orbis.50%.rematch": (ORBISConfig(rule=Rule.COVER, rematch=True),),
    "orbis.50%.refresh-2": (ORBISConfig(rule=Rule.COVER, refresh=2),),
    "orbis.30%.input": (ORBISConfig(rule=Rule.COVER, q_ratio=0.3, guide=Guide.INPUT),),
    "orbis.50%.input": (ORBISConfig(rule=Rule.COVER, guide=Guide.INPUT),),
    "orbis.70%.input": (ORBISConfig(rule=Rule.COVER, q_ratio=0.7, guide=Guide.INPUT),),
    "orbis.50%.keys-25%": (ORBISConfig(rule=Rule.COVER, kv_ratio=0.25),),
    "orbis.50%.keys-25%.by-value": (ORBISConfig(rule=Rule.COVER, kv_ratio=0.25, kv_guide=KeyGuide.VALUE),),
    "orbis.50%.temporal-too": (ORBISConfig(rule=Rule.COVER, blocks=("spatial", "temporal")),),
    "dito.50%.ratio-70%": (DiToConfig(rule=Rule.COVER, match_ratio=700),),
    "dito.50%.ratio-50%": (DiToConfig(rule=Rule.COVER),),
    "dito.50%.ratio-50%.adaptive": (DiToConfig(rule=Rule.COVER, adaptive=True),),
    "dito.50%.interval-4": (DiToConfig(rule=Rule.COVER, interval=4),),
    "dito.50%.interval-4.penalty": (DiToConfig(rule=Rule.COVER, interval=4, weight=256),),
    "dito.50%.interval-4.pairs": (DiToConfig(interval=4, rule=Rule.PAIRS),),
    "dito.50%.interval-4.pairs.penalty": (DiToConfig(interval=4, rule=Rule.PAIRS, weight=256),),
    "asymrnr.queries-50%": (AsymRnRConfig(kv_ratio=0),),
    "asymrnr.queries-50%.keys-30%": (AsymRnRConfig(),),
    "tome.30%": (ToMeConfig(ratio=0.3),),
    "tome.50%": (ToMeConfig(),),
    "ditto+cmc.2.5": (CMCConfig(threshold=2.5), DittoConfig()),
    "exion.ffn+cmc.2.5": (CMCConfig(threshold=2.5), _FFN),
    "exion.ffn+orbis.50%": (ORBISConfig(rule=Rule.COVER), _FFN),
}


@cache
def _references(preset: str, steps: int, videos: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Videos of the float network and of int8 dense, same noise and steps."""
    return float_videos(preset, steps, videos), integer_videos(preset, "dense", steps, REFRESH, videos)


def measure(preset: str, configs: tuple[Config, ...], steps: int = STEPS, videos: int = VIDEOS) -> dict[str, Any]:
    """Measured quality against float and int8 dense of the same seeds and steps, and counted work left.

    `work_left` is the share of all multiply-accumulates, also by operator kind; `digits_left` that of digit
    products, two an operand; `extra` what deciding cost, for all videos together.
    """
    network, work, samples = load_quantised(preset)[0], Work(), []
    fixed = [_with_interval(config, network, steps) for config in configs]
    for noise, label in zip(network.noise[:videos], network.label[:videos].tolist(), strict=True):
        operators = build(fixed, network, steps)
        samples.append(sample_integer(network, noise, label, operators, steps))
        work.add(operators.work)
    reference, dense = _references(preset, steps, videos)
    found = to_pixels(network.config, torch.stack(samples))
    by_kind = {kind: round(work.left_of(kind), 4) for kind in work.total}
    return {
        "psnr_db": round(compare(found, dense)["psnr_db"], 2),
        "psnr_float_db": round(compare(found, reference)["psnr_db"], 2),
        "work_left": round(work.left, 4),
        "digits_left": round(work.digits_left, 4),
        "work_left_by_kind": by_kind,
        "extra": dict(work.extra),
    }


def _with_interval(config: Config, network: QuantisedNetwork, steps: int) -> Config:
    """A DiTo with the constant interval that its pair match ratio gives: found once, not for every video."""
    if not isinstance(config, DiToConfig) or config.adaptive:
        return config
    later = [step for step in dito_steps(network, config, steps) if step]
    return config.model_copy(update={"interval": min(later, default=steps)})


def row(facts: dict[str, Any]) -> str:
    """A line of the tables in docs/methods/figures.md from what `measure` found for a setting."""
    shares = [facts["work_left"], *(facts["work_left_by_kind"][kind] for kind in _COLUMNS)]
    cells = [facts["setting"], *(f"{facts[key]:.1f}" for key in ("psnr_db", "psnr_float_db"))]
    return "| " + " | ".join([*cells, *(f"{100 * share:.1f}" for share in shares)]) + " |"


def main(
    preset: Annotated[str, typer.Option(help="tiny or small")] = "small",
    only: Annotated[list[str] | None, typer.Option(help="settings whose name begins so; may be repeated")] = None,
    steps: Annotated[int, typer.Option(help="50, 20 or 8")] = STEPS,
    videos: Annotated[int, typer.Option(help="videos to average over")] = VIDEOS,
    rival: Annotated[bool, typer.Option(help="also what fewer steps of int8 dense lose")] = False,
    table: Annotated[bool, typer.Option(help="rows of a Markdown table instead of JSON")] = False,
) -> None:
    """Print one JSON line, or one row of a table, a setting."""
    torch.set_num_threads(1)
    chosen = {name: configs for name, configs in SETTINGS.items() if not only or name.startswith(tuple(only))}
    if not chosen:
        raise VidaError(f"no setting begins with {', '.join(only or [])}: choose from {', '.join(SETTINGS)}")
    for name, configs in chosen.items():
        facts = {"setting": name, "network": preset, "steps": steps, "videos": videos}
        facts |= measure(preset, configs, steps, videos)
        print(row(facts) if table else json.dumps(facts), flush=True)
    for fewer in (20, 8) if rival else ():
        print(json.dumps({"setting": f"dense, {fewer} steps", "network": preset} | fewer_steps(preset, fewer, videos)))


if __name__ == "__main__":
    run(main)
