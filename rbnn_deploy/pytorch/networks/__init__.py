"""The reference networks, one for the embedded digits, and the table that names them."""

from rbnn_deploy.pytorch.networks.registry import (
    ARCHITECTURES,
    Architecture,
    Family,
    build_network,
    get_architecture,
)

__all__ = ["ARCHITECTURES", "Architecture", "Family", "build_network", "get_architecture"]
