# SPDX-License-Identifier: Apache-2.0
"""The one exception that a user's own mistake raises."""


class VidaError(Exception):
    """Bad input or a missing tool: a one-line message that names the value and what is allowed.

    The command prints it to stderr and exits with status 2; anything else is a defect and keeps its traceback.
    """
