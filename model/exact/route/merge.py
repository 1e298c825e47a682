# SPDX-License-Identifier: Apache-2.0
"""Law of the policy `merge`: which digits share an op."""

from __future__ import annotations

from dataclasses import dataclass

from hw.config import TILE, MachineConfig
from model.exact.encode.encoder import Beat, Segment
from model.exact.recover.drain import Op
from model.exact.route.lanes import Lanes, Tile


@dataclass
class _Entry:
    segment: Segment
    tile: int
    rows: int            #: digits not issued yet


class MergeLanes(Lanes):
    """A queue of segments for each bank of the right store; the head of each shows its row of the right operand.

    Multiplier j of a row may take a digit of its row from the heads of banks 2j, 2j + 1, ... (`buses` of them, round
    the end), so digits of several segments share an op and a segment may be issued over several. Rows choose
    alone, even multipliers before odd ones: the heads of the fullest queues first, then in the order above. All
    digits of an op are of one plane: the high one where a head of a fullest queue has it (of any head where none of
    those is of this tile).
    """

    def __init__(self, tiles: list[Tile], config: MachineConfig) -> None:
        super().__init__(tiles, config)
        self._heads: list[_Entry | None] = [None] * config.residues
        self._behind: list[list[_Entry]] = [[] for _ in range(config.residues)]
        self._digits = self._segments = 0         # of the op that was chosen
        # Banks that each multiplier sees, in the order in which multipliers choose.
        self._seen = [[b % config.residues for b in range(2 * j, 2 * j + config.buses)]
                      for j in sorted(range(config.depth), key=lambda j: j % 2)]

    def op(self) -> Op | None:
        """What was chosen; it closes the tile when no digit of it is left."""
        closes = self.tile < self.received and not any(head and head.tile == self.tile for head in self._heads)
        if not (self._digits or closes):
            return None
        return Op(self.tile, not self._started, closes, self._segments, 0, self._digits)

    def issue(self, op: Op | None) -> None:
        """Each row's multipliers take digits of the heads; queues whose head is spent move up."""
        self._took(op)
        before = sum(head is not None for head in self._heads)
        self._digits = self._choose()
        self._heads = [head if head and head.rows else None for head in self._heads]
        self._segments = before - sum(head is not None for head in self._heads)

    def _choose(self) -> int:
        """Take digits; returns how many."""
        longest = max(map(len, self._behind))
        live = {b: head for b, head in enumerate(self._heads) if head and head.tile == self.tile}
        full = {b for b in live if len(self._behind[b]) == longest}
        plane = any(live[b].segment.plane for b in full or live)
        usable = {b: head for b, head in live.items() if head.segment.plane == plane}
        taken = 0
        for row in range(TILE):
            mine = {b for b, head in usable.items() if head.rows >> row & 1}
            for seen in self._seen:
                if not mine:
                    break
                possible = [b for b in seen if b in mine]
                if possible:
                    choice = next((b for b in possible if b in full), possible[0])
                    mine.remove(choice)
                    usable[choice].rows -= 1 << row
                    taken += 1
        return taken

    def _places(self) -> bool | None:
        """Where every queue has room for a whole beat."""
        limit = self._config.queue_depth - self._per_residue
        return True if all(len(queue) <= limit for queue in self._behind) else None

    def _store(self, beat: Beat, places: bool, tile: int) -> None:
        per_bank = self._per_residue
        for b, queue in enumerate(self._behind):
            queue += [_Entry(segment, tile, segment.rows)
                      for segment in beat[b * per_bank:(b + 1) * per_bank] if segment is not None]

    def receive(self, room: bool | None) -> None:
        """As above; then an empty head takes the first of its queue, one that entered in this cycle too."""
        super().receive(room)
        for b, queue in enumerate(self._behind):
            if self._heads[b] is None and queue:
                self._heads[b] = queue.pop(0)
