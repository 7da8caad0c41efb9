"""The sizes that the operator refuses, in Python and in C++."""

from rbnn_deploy.operators import BINARY_CONVOLUTIONS, OPERATORS, QUANT_CONV2D, limits
from rbnn_deploy.operators.fields import LARGEST
from rbnn_deploy.runtimes.library import library_info


def test_python_and_the_library_refuse_the_same_sizes() -> None:
    native = library_info()["limits"]
    assert list(native) == list(OPERATORS)
    assert native.pop(QUANT_CONV2D) == {
        "largest_size": LARGEST,
        "integer_limit": limits.INTEGER_LIMIT,
        "activation_range": limits.ACTIVATION_RANGE,
        "largest_weight": limits.LARGEST_WEIGHT,
        "map_pixels": limits.MAP_PIXELS,
        "map_growth": limits.MAP_GROWTH,
    }
    for name, sizes in native.items():
        if name not in BINARY_CONVOLUTIONS:
            assert not sizes  # it computes no sum
            continue
        sizes.pop("window_budget")  # which refuses nothing
        assert sizes == {
            "largest_size": LARGEST,
            "sum_limit": limits.SUM_LIMIT,
            "map_pixels": limits.MAP_PIXELS,
            "map_growth": limits.MAP_GROWTH,
        }
