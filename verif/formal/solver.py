# SPDX-License-Identifier: Apache-2.0
"""Bitwuzla as smtbmc wants it: an executable that reads SMT-LIB from a pipe, of what comes as a Python package.

smtbmc writes a command a line and waits for the answer, so each line is parsed as it comes. Run as a file, not as a
part of this package: a solver's process needs nothing else of it.
"""

from __future__ import annotations

import sys

from bitwuzla import Options, Parser, TermManager


def answer(lines) -> None:
    """Obey SMT-LIB commands until `(exit)` or the end; the parser itself prints the answers."""
    parser = Parser(TermManager(), Options(), "smt2", 2)
    for line in lines:
        command = line.strip()
        if command == "(exit)":
            return
        # The parser does not pop in one call what it has pushed in another; the solver below it does.
        if command == "(push 1)":
            parser.bitwuzla().push(1)
        elif command == "(pop 1)":
            parser.bitwuzla().pop(1)
        else:
            parser.parse(command, parse_file=False)


if __name__ == "__main__":
    if "--help" in sys.argv:
        print("usage: bitwuzla [--lang smt2]")      # smtbmc asks, to learn which options there are
    else:
        answer(sys.stdin)
