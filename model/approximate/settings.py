# SPDX-License-Identifier: Apache-2.0
"""Named settings of the methods, and those that the report shows."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from hw.errors import VidaError
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    Config,
    Defo,
    Differenced,
    DiToConfig,
    DittoConfig,
    EagerConfig,
    EXIONConfig,
    FFNReuseConfig,
    Guide,
    KeyGuide,
    KeyWeight,
    ORBISConfig,
    Over,
    PassThrough,
    ToMeConfig,
    ViDAConfig,
)
from model.exact.encode.nibbles import Nibbles
from model.exact.match.datm import Rule
from model.exact.match.similarity import Measure
from model.exact.sparsity.columns import ColumnRule
from model.exact.sparsity.eager import Dominance
from model.exact.sparsity.leading_one import Detection

_FFN = EXIONConfig(eager=None)


def _eager(**fields: Any) -> EXIONConfig:
    return EXIONConfig(ffn=None, eager=EagerConfig(**{"dominance": Dominance.NEVER} | fields))


#: Named settings, "method.variant". ORBIS and DiTo match by COVER unless a name says otherwise.
SETTINGS: dict[str, tuple[Config, ...]] = {
    "original": (),
    "ditto": (DittoConfig(),),
    "ditto.defo": (DittoConfig(defo=Defo.DEFO),),
    "ditto.defo+": (DittoConfig(defo=Defo.PLUS),),
    "ditto.extension": (DittoConfig(nibbles=Nibbles.EXTENSION),),
    "ditto.magnitude": (DittoConfig(nibbles=Nibbles.MAGNITUDE),),
    "ditto.literal": (DittoConfig(nibbles=Nibbles.LITERAL),),
    "ditto.pass.local": (DittoConfig(pass_through=PassThrough.LOCAL),),
    "ditto.pass.requantised": (DittoConfig(pass_through=PassThrough.REQUANTISED),),
    "ditto.pass.requantised.refresh-4": (DittoConfig(pass_through=PassThrough.REQUANTISED, pass_refresh=4),),
    "ditto.pass.remainder": (DittoConfig(pass_through=PassThrough.REMAINDER),),
    "vida.refresh-2": (ViDAConfig(),),
    "vida.refresh-4": (ViDAConfig(refresh=4),),
    "vida.scores": (ViDAConfig(products=("scores",)),),
    "vida.values": (ViDAConfig(products=("values",)),),
    "vida.left": (ViDAConfig(differenced=Differenced.LEFT),),
    "vida.timesteps.left": (ViDAConfig(over=Over.TIMESTEPS, differenced=Differenced.LEFT),),
    "vida.two-products": (ViDAConfig(products=(), mixing=True),),
    "vida.timesteps": (ViDAConfig(over=Over.TIMESTEPS),),
    "vida.timesteps.refresh-4": (ViDAConfig(over=Over.TIMESTEPS, refresh=4),),
    "vida.timesteps.snap-1": (ViDAConfig(over=Over.TIMESTEPS, products=(), element_threshold=1),),
    "vida.snap-1": (ViDAConfig(products=(), element_threshold=1, mixing=True),),
    "vida.snap-2": (ViDAConfig(products=(), element_threshold=2, mixing=True),),
    "vida.snap-4": (ViDAConfig(products=(), element_threshold=4, mixing=True),),
    "vida.snap-8": (ViDAConfig(products=(), element_threshold=8, mixing=True),),
    "vida.columns-25%": (ViDAConfig(products=(), element_threshold=1, column_permille=250, mixing=True),),
    "vida.columns-1-place": (ViDAConfig(products=(), column_permille=1000, column_rule=ColumnRule.MAGNITUDE,
                                        mixing=True),),
    "cmc.2.5": (CMCConfig(threshold=2.5),),
    "cmc.5": (CMCConfig(threshold=5),),
    "cmc.10": (CMCConfig(threshold=10),),
    "cmc.5.same-place": (CMCConfig(threshold=5, reach=0),),
    "cmc.5.window-3x3": (CMCConfig(threshold=5, reach=1),),
    "cmc.5.segment-4": (CMCConfig(threshold=5, segment=4),),
    "cmc.queries-10": (CMCConfig(threshold=0, query_threshold=10),),
    "cmc.scores-10": (CMCConfig(threshold=0, score_threshold=10),),
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
    "orbis.50%.keys-25%.proportional": (ORBISConfig(rule=Rule.COVER, kv_ratio=0.25,
                                                    key_weight=KeyWeight.PROPORTIONAL),),
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

#: Method -> the setting that stands for it where one is shown.
DEFAULTS = {
    "ditto": "ditto",
    "vida": "vida.refresh-2",
    "cmc": "cmc.2.5",
    "exion": "exion.ffn.n2",
    "orbis": "orbis.50%.pairs",
    "dito": "dito.50%.interval-4.pairs.penalty",
    "asymrnr": "asymrnr.queries-50%",
    "tome": "tome.50%",
}


def choose(methods: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Names of settings of the `methods` and of those that match one of the `patterns` (as file names do).

    Without either the defaults. Raises `VidaError`, with the choices, for what names nothing.
    """
    chosen: dict[str, None] = {}
    for method in methods:
        if method not in DEFAULTS:
            raise VidaError(f"unknown method '{method}': choose from {', '.join(DEFAULTS)}")
        chosen |= dict.fromkeys(name for name in SETTINGS if name.partition(".")[0] == method)
    for pattern in patterns:
        found = [name for name in SETTINGS if fnmatchcase(name, pattern)]
        if not found:
            raise VidaError(f"no setting matches '{pattern}': 'vida quality --list' prints all {len(SETTINGS)}")
        chosen |= dict.fromkeys(found)
    return list(chosen) or ["original", *DEFAULTS.values()]
