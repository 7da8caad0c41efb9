"""The kernels that the operator library has on this host, as test parameters."""

import pytest

from rbnn_deploy.errors import UserError
from rbnn_deploy.runtimes.library import library_info


def kernel_parameters() -> list:
    """Returns one parameter for each kernel; what this processor cannot execute is skipped, and says so."""
    try:
        kernels = library_info()["kernels"]
    except UserError as error:
        return [pytest.param("portable", marks=pytest.mark.skip(reason=str(error)))]
    return [
        pytest.param(
            kernel["name"],
            marks=pytest.mark.skipif(
                not kernel["available"], reason=f"this processor cannot execute the kernel {kernel['name']}"
            ),
        )
        for kernel in kernels
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kernel" in metafunc.fixturenames:
        metafunc.parametrize("kernel", kernel_parameters(), indirect=True, scope="module")


@pytest.fixture(scope="module")
def kernel(request: pytest.FixtureRequest) -> str:
    """Forces one kernel of the operator library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RBNN_KERNEL", request.param)
        yield request.param
