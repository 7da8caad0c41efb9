"""Names of QONNX's operators (https://github.com/fastmachinelearning/qonnx)."""

QONNX_DOMAIN = "qonnx.custom_op.general"
QONNX_VERSION = 1

BIPOLAR_QUANT = "BipolarQuant"
