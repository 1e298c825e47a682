# SPDX-License-Identifier: Apache-2.0
import numpy as np
from matplotlib import image

from model.gallery import main, pictures


def test_samples_stand_beside_data(tmp_path):
    path = tmp_path / "new" / "tiny.png"
    main("tiny", videos=2, output=path)
    picture = image.imread(path)
    height, width = 2 * 16 + 2, 4 * 16 + 3 * 2  # of one sheet: gaps of 2
    assert picture.shape[:2] == (3 * height, 3 * (2 * width + 8))
    assert (picture[:, 3 * width : 3 * (width + 8), :3] == 1).all()


def test_pictures_show_every_source():
    sheets = pictures("tiny", videos=2, steps=8)
    assert set(sheets) == {"data", "float", "int8", "vida"}
    for sheet in sheets.values():
        assert sheet.dtype == np.uint8 and sheet.shape == (2 * 16 + 2, 4 * 16 + 3 * 2) and sheet.max() > 200
