# SPDX-License-Identifier: Apache-2.0
"""CMC, EXION, ORBIS, DiTo and their baselines over whole sampling runs, each behind a configuration object.

    operators = build([CMCConfig(threshold=4.0)], network)      # model.approximate.build
    video = sample_integer(network, noise, label, operators)    # model.sample
    operators.work.left                                         # share of all multiplications that was left

The laws are in `model/exact/`; what a method rewrites or leaves out is decided here, product by product.
"""
