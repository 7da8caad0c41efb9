"""Names of QONNX's operators (https://github.com/fastmachinelearning/qonnx)."""

QONNX_DOMAIN = "qonnx.custom_op.general"
QONNX_VERSION = 1
# What earlier versions of Brevitas and FINN called the same operators.
ALIASES = (QONNX_DOMAIN, "onnx.brevitas", "finn.custom_op.general")

BIPOLAR_QUANT = "BipolarQuant"
QUANT = ("Quant", "IntQuant")
MULTI_THRESHOLD = "MultiThreshold"
