"""Sizes that the binary convolutions refuse (docs/ops/BinaryConv2d.md, Errors), beside the attributes' own.

The operator library has the same numbers in runtimes/native/kernels/binary_conv2d/limits.h; a test compares
them.
"""

SUM_LIMIT = 1 << 24
"""KH * KW * C / groups is below it: every whole number below it is exact in float32."""

MAP_PIXELS = 1 << 22
"""An output map may have this many pixels, whatever the input map has."""

MAP_GROWTH = 4
"""It may have more, up to this many times the pixels of the input map: only padding makes still more."""
