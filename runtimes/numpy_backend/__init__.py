"""The bitwise NumPy backend: written to be read, and the judge of the other backends.

- `binary_conv2d`: the arithmetic of `ai.rbnn::BinaryConv2d`, NumPy only.
- `conv`: the float convolution of the first layer, as a matrix product.
- `operators`: both as operators of onnx's reference evaluator.
- `runtime`: a whole model.
"""
