# SPDX-License-Identifier: Apache-2.0
"""Law of the vector unit: softmax, LayerNorm with modulation, GELU, the gated residual and snapping, in integers only.

`pwl` is the one piecewise-linear table unit behind exp2, reciprocal, reciprocal square root and GELU;
`tables` takes its contents from `hw.vector.tables` and `scaling` builds multipliers, both offline: their results
are integers and belong to the quantised checkpoint (`store` turns them into tensors). docs/numerics.md gives every
width, and the error bound of every operation; `hw.vector.unit` computes the same.
"""
