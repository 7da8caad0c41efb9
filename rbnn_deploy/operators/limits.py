"""Sizes that the convolutions refuse (docs/ops/, Errors), beside the attributes' own.

The operator library has the same numbers in runtimes/native/kernels/binary_conv2d/limits.h and
quant_conv2d/limits.h; a test compares them.
"""

SUM_LIMIT = 1 << 24
"""KH * KW * C / groups is below it: every whole number below it is exact in float32."""

INTEGER_LIMIT = 1 << 31
"""Of QuantConv2d: the magnitudes of its sums are below it, so int32 holds them."""

ACTIVATION_RANGE = 255
"""Of QuantConv2d: the largest magnitude of an activation's integer, and of two integers' difference."""

LARGEST_WEIGHT = 128
"""Of QuantConv2d: the largest magnitude of an int8."""

MAP_PIXELS = 1 << 22
"""An output map may have this many pixels, whatever the input map has."""

MAP_GROWTH = 4
"""It may have more, up to this many times the pixels of the input map: only padding makes still more."""
