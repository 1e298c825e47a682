# SPDX-License-Identifier: Apache-2.0
import pytest

from hw.rtlil import Modules

QUEUE = """attribute \\top 1
module \\{name}
  wire width 8 input 1 \\i
  wire width 8 output 2 \\o
  wire width 8 \\inside
  cell $not $1
    connect \\A \\i
    connect \\Y {wire}
  end
end


"""
TEXT = QUEUE.format(name="queue", wire="\\o") + QUEUE.format(name="queue_2", wire="\\inside") + """attribute \\top 1
module \\reader.state_0
  wire input 1 \\clk
end


attribute \\top 1
module \\reader
  cell \\queue_2 \\own
  end
  cell \\reader.state_0 \\state
  end
end


attribute \\top 1
module \\machine
  cell \\queue \\first
  end
  cell \\queue \\second
  end
  cell \\reader \\reader
  end
end
"""


def test_children_as_often_as_they_are_instantiated():
    modules = Modules(TEXT)
    assert modules.children("machine") == ["queue", "queue", "reader"]
    assert modules.children("reader") == ["queue_2", "reader.state_0"] and modules.children("queue") == []
    with pytest.raises(KeyError):
        modules.children("writer")


def test_a_part_has_what_is_below_it_and_numbers_of_its_own():
    text, top = Modules(TEXT).part("reader")
    assert top == "reader"
    assert [line for line in text.splitlines() if "module" in line] == [
        "module \\queue", "module \\reader.state_0", "module \\reader"]
    assert "  cell \\queue \\own\n" in text
    other = TEXT.replace("queue_2", "queue_7")
    assert Modules(other).part("reader") == (text, top)
    assert Modules(TEXT).part("queue_2")[1] == "queue"


def test_what_is_left_out_has_ports_only():
    text, _ = Modules(TEXT).part("machine", {"reader", "queue"})
    assert text.startswith("attribute \\blackbox 1\nmodule \\queue\n  wire width 8 input 1 \\i\n"
                           "  wire width 8 output 2 \\o\nend\n")
    assert "attribute \\blackbox 1\nmodule \\reader\nend\n" in text
    assert "$not" not in text and "state_0" not in text and "queue_2" not in text
    assert text.endswith("  cell \\reader \\reader\n  end\nend\n")
