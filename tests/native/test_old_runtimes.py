"""An ONNX Runtime that is older than the function table that the library asks for."""

import ctypes

import pytest

from rbnn_deploy.errors import UserError
from rbnn_deploy.runtimes import onnx_runtime
from rbnn_deploy.runtimes.library import get_library_path

NEWEST = 17  # the table of ONNX Runtime 1.17
SENTENCE = "ONNX Runtime 1.17.3 is too old for the operator library, which needs 1.18 or newer"

GetApi = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)
GetVersionString = ctypes.CFUNCTYPE(ctypes.c_void_p)
CreateStatus = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


class ApiBase(ctypes.Structure):
    """OrtApiBase: the two functions that an operator library is handed."""

    _fields_ = (("GetApi", GetApi), ("GetVersionString", GetVersionString))


class OldRuntime:
    """ONNX Runtime 1.17.3 as far as a library that must not register asks it; it notes the statuses made."""

    def __init__(self) -> None:
        self.statuses: list[tuple[int, str]] = []
        self._create_status = CreateStatus(self._note)
        # Of all functions, only the first may be called; a call of any other one is a jump to address 0.
        self._table = (ctypes.c_void_p * 300)(ctypes.cast(self._create_status, ctypes.c_void_p))
        self._version = ctypes.create_string_buffer(b"1.17.3")
        table, version = ctypes.addressof(self._table), ctypes.addressof(self._version)
        self.base = ApiBase(
            GetApi(lambda asked: table if asked <= NEWEST else None), GetVersionString(lambda: version)
        )

    def _note(self, code: int, message: bytes) -> int:
        self.statuses.append((code, message.decode()))
        return 1  # any pointer but null is a status


@pytest.fixture
def library() -> ctypes.CDLL:
    loaded = ctypes.CDLL(get_library_path())
    loaded.RegisterCustomOps.restype = ctypes.c_void_p
    return loaded


def test_the_library_does_not_register_in_silence(library: ctypes.CDLL) -> None:
    runtime = OldRuntime()
    status = library.RegisterCustomOps(None, ctypes.byref(runtime.base))
    assert status is not None
    ((code, message),) = runtime.statuses
    assert code == 1  # ORT_FAIL
    assert message == f"rbnn: {SENTENCE}; upgrade onnxruntime"


def test_a_user_reads_one_sentence(library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    class OldOptions(onnx_runtime.onnxruntime.SessionOptions):  # type: ignore[misc]
        def register_custom_ops_library(self, path: str) -> None:
            runtime = OldRuntime()
            library.RegisterCustomOps(None, ctypes.byref(runtime.base))
            raise onnx_runtime.ort_errors.Fail(f"[ONNXRuntimeError] : 1 : FAIL : {runtime.statuses[0][1]}")

    monkeypatch.setattr(onnx_runtime.onnxruntime, "SessionOptions", OldOptions)
    with pytest.raises(UserError, match=f"^{SENTENCE}; upgrade onnxruntime, or use --runtime ort-portable$"):
        onnx_runtime.create_session(b"", library=True)
