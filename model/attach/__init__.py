# SPDX-License-Identifier: Apache-2.0
"""Methods on other people's models: `apply(model, config, calibration)`. See docs/trace.md."""

from model.attach.attached import Attached, apply, dito_interval
from model.attach.calibration import calibrate
from model.attach.facts import Calibration
from model.attach.layout import Arrangement, Geometry, Layout

__all__ = ["Arrangement", "Attached", "Calibration", "Geometry", "Layout", "apply", "calibrate", "dito_interval"]
