# SPDX-License-Identifier: Apache-2.0
"""CMC, EXION, ORBIS, DiTo and their baselines over whole sampling runs, each behind a configuration object.

    operators = build([CMCConfig(threshold=4.0), DittoConfig()], network)      # model.approximate.build
    video = sample_integer(network, noise, label, operators)                   # model.sample
    operators.work.left, operators.work.digits_left                            # shares of the multiplications

The laws are in `model/exact/`; what a method rewrites or leaves out is decided here, product by product.
"""
