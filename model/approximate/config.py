# SPDX-License-Identifier: Apache-2.0
"""Configuration objects of the approximate methods, and which of them may run together.

Every parameter that a paper does not publish is here; docs/methods/ says which reading each default is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hw.errors import VidaError
from hw.vector.operations import THRESHOLD_MAX
from model.approximate.demand import Cost, Roofline
from model.exact.encode.nibbles import Nibbles
from model.exact.match.cmc import Middle, Tail
from model.exact.match.datm import Rule
from model.exact.match.dito import Counted, Penalty, Ratio
from model.exact.match.similarity import Measure
from model.exact.sparsity.columns import ColumnRule
from model.exact.sparsity.conmerge import Packing
from model.exact.sparsity.eager import Dominance
from model.exact.sparsity.ffn_reuse import SecondLayer
from model.exact.sparsity.leading_one import Detection

Permille = Annotated[int, Field(ge=0, le=1000)]
Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Blocks = tuple[Literal["spatial", "temporal", "full"], ...]
Linears = tuple[Literal["qkv", "out", "fc1", "fc2"], ...]


class Matrices(str, Enum):
    """Inferred: what CMC's matrices are in a temporal block."""

    FRAMES = "frames"  #: frames, as in a spatial block
    BLOCK = "block"  #: what the block's attention mixes: the frames of one token place, segments along places


class Guide(str, Enum):
    """Whose similarity decides which tokens are dropped."""

    OUTPUT = "output"  #: attention's output at the last matching timestep (ORBIS, DiTo)
    INPUT = "input"  #: the block's normalised input at this timestep (ToMe; the rival of ORBIS's abstract)


class KeyGuide(str, Enum):
    """Inferred: whose similarity decides which keys and values are dropped under ORBIS and DiTo."""

    SAME = "same"  #: that of the queries' table
    VALUE = "value"  #: V at the last matching timestep, in AsymRnR's manner


class KeyWeight(str, Enum):
    """Inferred: what the keys that are dropped leave behind in softmax."""

    LOST = "lost"  #: nothing: a kept key counts once, as in AsymRnR's code
    PROPORTIONAL = "proportional"  #: a kept key counts for all that were dropped for it, as in ToMe's


class Over(str, Enum):
    """What ViDA's differences are taken over."""

    FRAMES = "frame"  #: the slides' framing: adjacent frames
    TIMESTEPS = "timestep"  #: adjacent denoising steps


class Differenced(str, Enum):
    """Inferred: which operand's difference the one product of ViDA's attention multiplies."""

    RIGHT = "right"  #: Q dK^T and P dV, the slides' A2 dB2 with A = Q, P
    LEFT = "left"  #: dQ K^T and dP V: the slides' form of the transposed products, A = K, V^T


class Defo(str, Enum):
    """What Ditto does with an operator whose differences cost more than its originals."""

    OFF = "off"  #: differences everywhere
    DEFO = "defo"  #: originals
    PLUS = "defo+"  #: differences to the row before, as Diffy


class PassThrough(str, Enum):
    """Ditto's linear-run pass-through: what is handed from a product to a linear neighbour's.

    Stated: where two neighbours are linear, no sum at the output of the first and no difference at the input of the
    second. Inferred, since the full text was not available: what becomes of the requantisation between them.
    """

    OFF = "off"  #: requantised sums, of which the next product takes the difference: exact
    LOCAL = "local"  #: the difference of the two requantised sums, where both are at hand: exact, saves one load
    REQUANTISED = "requantised"  #: the sum of differences, requantised: no sums, what rounds away is lost
    REMAINDER = "remainder"  #: the same, and what rounds away goes into the next timestep's: a byte an element


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DittoConfig(_Config):
    """Ditto (HPCA 2025): products from differences to the previous timestep, exact; `cost` decides under Defo.

    `nibbles` is how its 4- and 8-bit classes are counted: it changes digits and Defo's costs, and no bit.
    `pass_through` other than OFF and LOCAL approximates: the first products of linear links multiply whole operands
    every `pass_refresh` timesteps, None: at the first alone.
    """

    defo: Defo = Defo.OFF
    cost: Cost = Roofline()
    nibbles: Nibbles = Nibbles.DIGITS
    pass_through: PassThrough = PassThrough.OFF
    pass_refresh: Count | None = None


class ViDAConfig(_Config):
    """ViDA (ASP-DAC 2025). `products` drop dA B_ref between refreshes; the others of attention are two exact products.

    `differenced` LEFT drops A_ref dB instead. `refresh` is in frames or timesteps, whichever `over` says. Operands of
    the kinds in `snapped` take their reference's value where they differ by at most `element_threshold` int8 places,
    and in columns that differ by at most `column_permille` as `column_rule` has it. `mixing`: attention that mixes
    frames takes differences of its rows too: exact.
    """

    products: tuple[Literal["scores", "values"], ...] = ("scores", "values")
    differenced: Differenced = Differenced.RIGHT
    over: Over = Over.FRAMES
    refresh: Count = 2
    element_threshold: Annotated[int, Field(ge=0, le=THRESHOLD_MAX)] = 0
    column_permille: Permille = 0
    column_rule: ColumnRule = ColumnRule.COUNT
    snapped: tuple[Literal["qkv", "q", "scores", "values", "out", "fc1", "fc2"], ...] = ("qkv", "out", "fc1", "fc2")
    mixing: bool = False


class CMCConfig(_Config):
    """CMC (ASPLOS 2024). `threshold` is a mean difference per element in int8 places; below it a row is copied.

    `query_threshold` and `score_threshold` (of 127) are those of intra-matrix prediction: of queries, whose tables
    serve QK^T and PV, and of softmax's probabilities, whose own tables then serve PV. None leaves a prediction out.
    """

    segment: Count = 8
    threshold: Annotated[float, Field(ge=0)] = 5.0
    middle: Middle = Middle.LOWER
    tail: Tail = Tail.MIDDLE
    reach: Annotated[int, Field(ge=0)] | None = None
    matrices: Matrices = Matrices.FRAMES
    operators: Linears = ("qkv", "fc1")
    query_threshold: Annotated[float, Field(ge=0)] | None = None
    score_threshold: Annotated[float, Field(ge=0)] | None = None
    query_segment: Count = 4

    @staticmethod
    def places(threshold: float, dim: int) -> int:
        """A threshold per element as one of a sum over `dim` elements, rounded half up."""
        return math.floor(threshold * dim + 0.5)


class FFNReuseConfig(_Config):
    """EXION's FFN-Reuse: `sparse_steps` after a dense one; `threshold` on |GELU output|, None: by `permille`.

    `packing`: the array whose passes ConMerge is counted in; None counts none.
    """

    sparse_steps: Annotated[int, Field(ge=0)] = 2
    threshold: Annotated[int, Field(ge=0, le=128)] | None = None
    permille: Permille = 100
    warm_up: Annotated[int, Field(ge=0)] = 0
    second_layer: SecondLayer = SecondLayer.DELTA
    packing: Packing | None = None


class EagerConfig(_Config):
    """EXION's eager prediction: `permille` of a row's keys are kept; MARGIN is in 2^-10 of log2."""

    permille: Annotated[int, Field(ge=1, le=1000)] = 250
    detection: Detection = Detection.TWO
    dominance: Dominance = Dominance.MARGIN
    dominance_threshold: Annotated[int, Field(ge=0)] = 3 << 10
    blocks: Blocks = ("spatial", "full")


class EXIONConfig(_Config):
    """EXION (HPCA 2025): either part may be left out."""

    ffn: FFNReuseConfig | None = FFNReuseConfig()
    eager: EagerConfig | None = EagerConfig()


class _Reduction(_Config):
    """What ORBIS and DiTo share: shares of queries and of keys dropped, how they are matched, in which blocks.

    `destinations` is the share of tokens that may stand for others under COVER and DENSITY, None all that are kept;
    `radius` is DENSITY's, in permille of all losses.
    """

    q_ratio: Share = 0.5
    kv_ratio: Share = 0.0
    rule: Rule = Rule.PAIRS
    destinations: Annotated[float, Field(gt=0, lt=1)] | None = None
    radius: Permille = 50
    measure: Measure = Measure.SQUARED
    bits: Literal[4, 8] = 8
    after_projection: bool = False
    kv_guide: KeyGuide = KeyGuide.SAME
    key_weight: KeyWeight = KeyWeight.LOST
    blocks: Blocks = ("spatial", "full")


class ORBISConfig(_Reduction):
    """ORBIS (2026): every `refresh` timesteps one is unreduced; `rematch` matches after reduced ones too."""

    guide: Guide = Guide.OUTPUT
    refresh: Count = 4
    rematch: bool = False


class DiToConfig(_Reduction):
    """DiTo (2026): constant `interval`, or from the pair match ratio (`match_ratio`, permille) where None."""

    interval: Count | None = None
    match_ratio: Permille = 500
    ratio: Ratio = Ratio.PAIRS
    adaptive: bool = False
    weight: Annotated[int, Field(ge=0)] = 0
    counted: Counted = Counted.SOURCE
    penalty: Penalty = Penalty.ADD


class AsymRnRConfig(_Config):
    """AsymRnR (ICML 2025): random destinations, matched on Q and on V of each head, reused for `interval` steps.

    `stride` is that of the cells in tokens along the rows and columns of a frame, `frame_stride` along frames where
    attention is full.
    """

    q_ratio: Share = 0.5
    kv_ratio: Share = 0.3
    stride: tuple[Count, Count] = (2, 2)
    frame_stride: Count = 2
    interval: Count = 5
    seed: Count = 1


class ToMeConfig(_Config):
    """ToMe for diffusion (2023): random destinations, cosine of the block's input, merged by mean every step.

    `stride` and `frame_stride` as AsymRnR's.
    """

    ratio: Share = 0.5
    stride: tuple[Count, Count] = (2, 2)
    frame_stride: Count = 2
    seed: Count = 1


Config = DittoConfig | ViDAConfig | CMCConfig | EXIONConfig | ORBISConfig | DiToConfig | AsymRnRConfig | ToMeConfig

_TOKENS = (ORBISConfig, DiToConfig, AsymRnRConfig, ToMeConfig)


def check_together(configs: Sequence[Config]) -> None:
    """Raise `VidaError`, with the reason, for methods that cannot run together.

    EXION's FFN-Reuse, whose mask covers the FFN alone, goes with every other approximation; Ditto with CMC, which
    rewrites operands and leaves every product exact on them.
    """
    kinds = [type(config) for config in configs]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise VidaError(f"{kind.__name__} is given twice")
    tokens = [kind.__name__ for kind in kinds if kind in _TOKENS]
    eager = any(isinstance(config, EXIONConfig) and config.eager is not None for config in configs)
    if DittoConfig in kinds and any(kind not in (DittoConfig, CMCConfig) for kind in kinds):
        raise VidaError(f"DittoConfig and {next(k.__name__ for k in kinds if k not in (DittoConfig, CMCConfig))}: "
                        "outputs that are left out have no sums that the next timestep's differences could add to")
    passing = any(isinstance(config, DittoConfig) and config.pass_through is not PassThrough.OFF for config in configs)
    if passing and CMCConfig in kinds:
        raise VidaError("DittoConfig(pass_through=...) and CMCConfig: CMC copies whole results, and what passes is "
                        "their difference to a timestep in which other rows were copied; set PassThrough.OFF")
    if ViDAConfig in kinds and len(kinds) > 1:
        other = next(kind.__name__ for kind in kinds if kind is not ViDAConfig)
        raise VidaError(f"ViDAConfig and {other}: ViDA's sums go on from frame to frame, so every one of them is "
                        "needed, and a product has one reference")
    if len(tokens) > 1:
        raise VidaError(f"{tokens[0]} and {tokens[1]}: both own the tables of dropped tokens")
    if CMCConfig in kinds and tokens:
        raise VidaError(f"CMCConfig and {tokens[0]}: a row that one copies from may be one that the other drops")
    if CMCConfig in kinds and eager:
        raise VidaError("CMCConfig and eager prediction: CMC copies Q of an I frame's row, which the prediction "
                        "may have skipped; set EXIONConfig(eager=None)")
    if tokens and eager:
        raise VidaError(f"{tokens[0]} and eager prediction: the prediction may keep a key that matching dropped; "
                        "set EXIONConfig(eager=None)")
