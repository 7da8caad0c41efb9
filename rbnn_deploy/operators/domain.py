"""Names of the operator domain; changed semantics mean a new operator name, never a new version."""

DOMAIN = "ai.rbnn"
DOMAIN_VERSION = 1

BINARY_CONV2D = "BinaryConv2d"
GENERAL_BINARY_CONV2D = "GeneralBinaryConv2d"
QUANT_CONV2D = "QuantConv2d"
PACKED_BINARY_CONV2D = "PackedBinaryConv2d"
PACK_SIGNS = "PackSigns"
UNPACK_SIGNS = "UnpackSigns"
