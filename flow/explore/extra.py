# SPDX-License-Identifier: Apache-2.0
"""The packages of a sweep are an extra; this says how to install them."""

#: dask, dask-jobqueue, pyarrow.
INSTALL = "pip install 'vida[explore]'"
