# SPDX-License-Identifier: Apache-2.0
"""Golden vectors of encoders, matchers, predictors and recovery: `python -m model.law_vectors`.

Safetensors with a JSON index beside it, as `model.vectors`, both with "format": 1. An entry is one call of a law on
operands of the tiny network's integer sampling: tensors `NAME.in.X` and `NAME.out.Y`, parameters in the index.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from hw.config import load_config
from model.command import run
from model.exact.encode.encoder import beats, digits, panel, segments
from model.exact.encode.nibbles import Nibbles, count_items
from model.exact.encode.sad import inter_matrix_prediction, sad
from model.exact.match.cmc import Search, row_table
from model.exact.match.codec_tables import TableShape, addresses, pack
from model.exact.match.datm import Rule, match
from model.exact.match.dito import Counted, Penalty, Ratio, count_selections, pair_matches, penalised
from model.exact.match.intra import IntraSearch, intra_table
from model.exact.match.key_weights import key_offsets
from model.exact.match.random_destinations import match_random, merge_mean, xorshift32
from model.exact.match.similarity import Measure, losses, narrow
from model.exact.operators import Job, Operators
from model.exact.recover.passthrough import accumulate, pass_remainder, pass_rounded, remainder_of
from model.exact.recover.tables import RowTable, gather, recover
from model.exact.sparsity.columns import ColumnRule, snap_columns
from model.exact.sparsity.conmerge import Conflict, Order, Packing, Unit, merge
from model.exact.sparsity.eager import Dominance, dominated_rows, masked_scores, predict_projection, select
from model.exact.sparsity.ffn_reuse import quantile_threshold, reuse, second_layer_delta, value_mask
from model.exact.sparsity.leading_one import Detection, leading_terms, log_matmul
from model.exact.step import denoise
from model.exact.vector.scaling import requantise8
from model.exact.vector.snap import snap
from model.law_entries import LawEntry, digest, write
from model.quantise import load_quantised

#: Steps of a 50-step run whose operands are used.
_STEPS = (25, 26)


def _table(table: RowTable) -> dict[str, Tensor]:
    return {"kept": table.kept, "copied": table.copied}


def _operands() -> tuple[Any, dict[tuple[str, int], Job]]:
    """The tiny network, and its jobs of layer 0 by kind and step."""
    network, jobs = load_quantised("tiny")[0], {}

    def record(job: Job) -> None:
        if job.step in _STEPS and job.site.layer == 0:
            jobs[job.site.kind, job.step] = job

    operators, video = Operators(record), network.noise[0]
    for step in range(_STEPS[-1] + 1):
        video = denoise(network, video, int(network.label[0]), step, 50, operators)
    return network, jobs


def _encoders(jobs: dict[tuple[str, int], Job]) -> Iterator[LawEntry]:
    where, config, every = "model.exact.encode.encoder", load_config("tiny"), torch.arange(-255, 256)
    yield LawEntry("encode.digits", f"{where}.digits", {}, {"difference": every}, {"digits": digits(every)})
    for reading in Nibbles:
        yield LawEntry(f"encode.items.{reading.value}", "model.exact.encode.nibbles.count_items",
                       {"reading": reading.value}, {"difference": every}, {"items": count_items(every, reading)})
    before, after = (jobs["qkv", step].current.flatten(0, 1) for step in _STEPS)
    operands = {"current": panel(after, 3), "reference": panel(before, 3)}
    for skip in (True, False):
        name = "skip" if skip else "dense"
        found = segments(**operands, skip=skip)
        columns = {"k": [one.k for one in found], "plane": [one.plane for one in found],
                   "digits": [one.digits for one in found], "rows": [one.rows for one in found]}
        yield LawEntry(f"encode.segments.{name}", f"{where}.segments", {"skip": skip}, operands,
                       {key: torch.tensor(values) for key, values in columns.items()})
        sent = beats(**operands, config=config, skip=skip)
        yield LawEntry(f"encode.beats.{name}", f"{where}.beats",
                       {"skip": skip, "scan": config.scan, "slots": config.slots, "residues": config.residues},
                       operands, {"segment": torch.tensor([[found.index(one) if one else -1 for one in beat]
                                                           for beat in sent])})
    pair = {"x": after, "reference": before}
    for threshold in (1, 8):
        yield LawEntry(f"snap.{threshold}", "model.exact.vector.snap.snap", {"threshold": threshold}, pair,
                       {"x": snap(after, before, threshold)})
    for rule in ColumnRule:
        for permille in (100, 500):
            yield LawEntry(f"snap.columns.{rule.value}.{permille}", "model.exact.sparsity.columns.snap_columns",
                           {"permille": permille, "rule": rule.value}, pair,
                           {"x": snap_columns(after, before, permille, rule)})


def _cmc(jobs: dict[tuple[str, int], Job]) -> Iterator[LawEntry]:
    frames, where = jobs["qkv", 25].current, "model.exact.match"
    for threshold in (0, 200, 300, 8161):
        minimum, index, informative = sad(frames[0], frames[1], threshold)
        found = {"minimum": minimum, "index": index, "informative": informative}
        yield LawEntry(f"sad.{threshold}", "model.exact.encode.sad.sad", {"threshold": threshold},
                       {"token": frames[0], "candidates": frames[1]}, found)
        for width, reach in ((None, None), (4, 0), (4, 1)):
            search = Search(4, threshold, width=width, reach=reach)
            parameters = {"segment": 4, "threshold": threshold, "width": width, "reach": reach}
            yield LawEntry(f"cmc.{threshold}.reach-{reach}", f"{where}.cmc.row_table", parameters,
                           {"matrices": frames}, _table(row_table(frames, search)))
    words = pack(inter_matrix_prediction(frames, 1, 300), TableShape(4, 16, 1))
    found = dict(zip(("itt", "n_itt"), map(torch.tensor, words), strict=True))
    yield LawEntry("cmc.words", f"{where}.codec_tables.pack", {"reference": 1, "threshold": 300},
                   {"frames": frames}, found)
    table = row_table(frames, Search(4, 300))
    bank, entry = addresses(table.kept, 96, 32)
    yield LawEntry("cmc.addresses", f"{where}.codec_tables.addresses", {"columns": 96, "banks": 32},
                   {"rows": table.kept}, {"bank": bank, "entry": entry})
    condensed = gather(frames.flatten(0, 1), table)
    yield LawEntry("recover.cmc", "model.exact.recover.tables.recover", {}, {"condensed": condensed} | _table(table),
                   {"full": recover(condensed, table)})
    queries = jobs["scores", 25].current[1, 0]
    yield LawEntry("cmc.intra", f"{where}.intra.intra_table", {"segment": 4, "threshold": 400}, {"matrix": queries},
                   _table(intra_table(queries, IntraSearch(4, 400))))


def _exion(network: Any, jobs: dict[tuple[str, int], Job]) -> Iterator[LawEntry]:
    where, hidden, after = "model.exact.sparsity", jobs["fc2", 25].current, jobs["fc2", 26].current
    threshold = quantile_threshold(hidden, 100)
    mask = value_mask(hidden, threshold)
    yield LawEntry("exion.mask", f"{where}.ffn_reuse.value_mask", {"permille": 100, "threshold": threshold},
                   {"hidden": hidden}, {"mask": mask})
    reused, right = reuse(after, hidden, mask), jobs["fc2", 25].right
    sums = jobs["fc2", 25].result
    yield LawEntry("exion.second-layer", f"{where}.ffn_reuse.second_layer_delta", {},
                   {"sums": sums, "hidden": reused, "kept": hidden, "right": right},
                   {"sums": second_layer_delta(sums, reused, hidden, right)})
    for unit in Unit:
        for conflict in Conflict:
            for order in Order:
                schedule = merge(mask.flatten(0, 1)[:32], Packing(unit=unit, conflict=conflict, order=order))
                vectors = torch.tensor(schedule.conflicts, dtype=torch.int64).reshape(-1, 2)
                yield LawEntry(f"exion.merge.{unit.value}.{conflict.value}.{order.value}", f"{where}.conmerge.merge",
                               {"rows": 16, "lanes": 16, "depth": 3}, {"mask": mask.flatten(0, 1)[:32]},
                               {"elements": schedule.elements, "conflicts": vectors})
    every = torch.arange(-128, 128)
    for steps in (1, 2):
        yield LawEntry(f"exion.leading.{steps}", f"{where}.leading_one.leading_terms", {"steps": steps},
                       {"x": every}, {"kept": leading_terms(every, steps)})
    job = jobs["scores", 25]
    for detection in Detection:
        predicted = log_matmul(job.current, job.right, detection)
        yield LawEntry(f"exion.predict.{detection.value}", f"{where}.leading_one.log_matmul", {},
                       {"left": job.current, "right": job.right}, {"scores": predicted})
    job, attention = jobs["qkv", 25], network.blocks[0].attentions[0]
    for detection in Detection:
        operands = job.current, attention.qkv.right, attention.qkv.bias
        found = predict_projection(*operands, attention.qkv_scale, detection)
        yield LawEntry(f"exion.projection.{detection.value}", f"{where}.eager.predict_projection", {},
                       dict(zip(("h", "right", "bias"), operands, strict=True)), {"projected": found})
    job = jobs["scores", 25]
    scale, exp2 = attention.softmax, network.tables.exp2
    rows = dominated_rows(job.result, Dominance.MARGIN, 1024, scale, exp2)
    chosen = select(job.result, 4, rows)
    yield LawEntry("exion.select", f"{where}.eager.select",
                   {"k": 4, "margin": 1024, "multiplier": scale.multipliers[0], "shift": scale.shift},
                   {"scores": job.result}, {**vars(chosen), "masked": masked_scores(job.result, chosen)})


def _tokens(network: Any, jobs: dict[tuple[str, int], Job]) -> Iterator[LawEntry]:
    where, outputs = "model.exact.match", jobs["out", 25].current[2]
    for measure in Measure:
        for bits in (8, 4):
            small = narrow(outputs, bits)
            yield LawEntry(f"losses.{measure.value}.{bits}", f"{where}.similarity.losses", {"bits": bits},
                           {"tokens": outputs}, {"loss": losses(small, small, measure)})
    loss = losses(outputs, outputs, Measure.SQUARED)
    for rule in Rule:
        for drop in (0, 5, 8, 15):
            yield LawEntry(f"datm.{rule.value}.{drop}", f"{where}.datm.match", {"drop": drop, "permille": 50},
                           {"loss": loss}, _table(match(loss, drop, rule)))
    table = match(loss, 8, Rule.PAIRS)
    condensed = gather(outputs, table)
    yield LawEntry("recover.datm", "model.exact.recover.tables.recover", {}, {"condensed": condensed} | _table(table),
                   {"full": recover(condensed, table)})
    counts, scale = torch.bincount(table.sources, minlength=table.size), network.blocks[0].attentions[0].softmax
    yield LawEntry("keys.offsets", f"{where}.key_weights.key_offsets",
                   {"multiplier": scale.multipliers[0], "shift": scale.shift}, {"counts": counts},
                   {"offsets": key_offsets(counts, scale)})
    later = jobs["out", 26].current[2]
    again = match(losses(later, later, Measure.SQUARED), 8, Rule.PAIRS)
    for ratio in Ratio:
        yield LawEntry(f"dito.ratio.{ratio.value}", f"{where}.dito.pair_matches", {}, {
            "first_kept": table.kept, "first_copied": table.copied, "second_kept": again.kept,
            "second_copied": again.copied}, {"matches_compared": torch.tensor(pair_matches(table, again, ratio))})
    table = match_random(loss, (4, 4), (2, 2), 8, xorshift32(1))
    yield LawEntry("random", f"{where}.random_destinations.match_random", {"stride": [2, 2], "drop": 8, "seed": 1},
                   {"loss": loss}, _table(table))
    yield LawEntry("tome.mean", f"{where}.random_destinations.merge_mean", {}, {"rows": outputs} | _table(table),
                   {"merged": merge_mean(outputs, table)})
    for counted in Counted:
        counts = count_selections(torch.zeros(16, dtype=torch.int64), table, counted)
        for penalty in Penalty:
            yield LawEntry(f"dito.{counted.value}.{penalty.value}", f"{where}.dito.penalised", {"weight": 37},
                           {"loss": loss, "counts": counts}, {"loss": penalised(loss, counts, 37, counted, penalty)})


def _passed(network: Any, jobs: dict[tuple[str, int], Job]) -> Iterator[LawEntry]:
    where, (before, after) = "model.exact.recover.passthrough", (jobs["qkv", step] for step in _STEPS)
    scale = network.blocks[0].attentions[0].qkv_scale
    operand, acc = requantise8(before.result, scale), after.result - before.result
    first, difference = remainder_of(before.result, scale), pass_rounded(acc, scale)
    parameters = {"multipliers": list(scale.multipliers), "shift": scale.shift}
    yield LawEntry("pass.first", f"{where}.remainder_of", parameters, {"acc": before.result}, {"remainder": first})
    yield LawEntry("pass.rounded", f"{where}.pass_rounded", parameters, {"acc": acc}, {"difference": difference})
    found = dict(zip(("difference", "remainder"), pass_remainder(acc, first, scale), strict=True))
    yield LawEntry("pass.remainder", f"{where}.pass_remainder", parameters, {"acc": acc, "remainder": first}, found)
    yield LawEntry("pass.operand", f"{where}.accumulate", {}, {"before": operand, "difference": difference},
                   {"operand": accumulate(operand, difference)})


def entries() -> list[LawEntry]:
    """Every entry, in order."""
    network, jobs = _operands()
    return [*_encoders(jobs), *_cmc(jobs), *_exion(network, jobs), *_tokens(network, jobs),
            *_passed(network, jobs)]


def main(
    stem: Annotated[Path, typer.Option(help="file to write, without suffix")] = Path("build/vectors/laws"),
) -> None:
    """Write the golden vectors of the laws."""
    torch.set_num_threads(1)
    found = entries()
    write(stem, found, "python -m model.law_vectors")
    size = stem.with_suffix(".safetensors").stat().st_size
    print(f"{len(found)} entries, {size / 1e6:.2f} MB, sha256 {digest(found)[:16]} -> {stem}")


if __name__ == "__main__":
    run(main)
