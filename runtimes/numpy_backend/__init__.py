"""The bitwise NumPy backend: written to be read, and the judge of the other backends.

- `threshold` and `binary_conv2d`: the arithmetic of `ai.rbnn::BinaryConv2d`, NumPy only.
- `packed_binary_conv2d`: that of the operators that pass bits on.
- `operators`: BinaryConv2d as an operator of onnx's reference evaluator; `pooling`: float pooling, made fast.
- `in_order`: float layers whose sums have a fixed order, as generated C computes them.
- `runtime`: a whole model.
"""
