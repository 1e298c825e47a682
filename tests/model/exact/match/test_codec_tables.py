# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.encode.sad import Prediction, inter_matrix_prediction
from model.exact.match.codec_tables import TableShape, addresses, pack, unpack


def test_words_of_a_captured_segment_by_hand(captured):
    (job,) = captured("qkv")
    prediction, shape = inter_matrix_prediction(job.current, 1, 300), TableShape(4, 16, 1)
    informative, copied = pack(prediction, shape)
    assert (shape.informative_bits, shape.token_bits, shape.copied_bits) == (6, 4, 10)
    assert informative == [16 * f + t for f, t in prediction.informative.tolist()]
    p_tokens = [(f, t) for f in (0, 2, 3) for t in range(16)]
    assert [(p_tokens[word // 16], word % 16) for word in copied] == [
        ((f, t), source) for f, t, source in prediction.copied.tolist()
    ]
    back = unpack(informative, copied, shape)
    assert torch.equal(back.informative, prediction.informative) and torch.equal(back.copied, prediction.copied)
    assert max(informative) < 1 << 6 and max(copied) < 1 << 10


def test_empty_tables_and_one_token():
    none = Prediction(torch.tensor([[0, 0]]), torch.zeros((0, 3), dtype=torch.int64))
    shape = TableShape(1, 1, 0)
    assert pack(none, shape) == ([0], []) and (shape.informative_bits, shape.token_bits) == (1, 1)
    assert unpack([0], [], shape).copied.shape == (0, 3)


@pytest.mark.parametrize(("informative", "copied"), [([6], []), ([], [4 << 2]), ([], [3])])
def test_foreign_words_are_refused(informative, copied):
    with pytest.raises(VidaError, match="word"):
        unpack(informative, copied, TableShape(2, 3, 0))


def test_addresses_follow_the_definition():
    rows = torch.tensor([3, 0, 7])
    bank, entry = addresses(rows, 5, 2)
    for place, i in enumerate([3, 0, 7]):
        for j in range(5):
            assert (int(bank[place, j]), int(entry[place, j])) == (j % 2, i * 3 + j // 2)
    assert addresses(rows, 4, 4)[1].tolist() == [[3] * 4, [0] * 4, [7] * 4]     # the stated case: entry i
    places = set(zip(*(x.flatten().tolist() for x in addresses(torch.arange(9), 7, 3)), strict=True))
    assert len(places) == 63                                                    # no two results meet
    with pytest.raises(VidaError, match="0 banks"):
        addresses(rows, 4, 0)


def test_a_segment_needs_its_reference():
    with pytest.raises(VidaError, match="no I frame 2"):
        TableShape(2, 3, 2)
