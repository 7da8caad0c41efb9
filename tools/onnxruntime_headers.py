"""Fetches ONNX Runtime's C and C++ headers, which pip's package lacks, by the npm client.

    python tools/onnxruntime_headers.py build/onnxruntime

Microsoft publishes them with its releases on GitHub and in its NuGet package (docs/cpp.md). A package for
Unity on npm has them too: it carries Microsoft's framework for iOS, whose headers are the same everywhere.
150 MB are fetched for them, once; the npm client checks the package, and this script its SHA-256.
"""

import argparse
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "com.github.asus4.onnxruntime@0.4.9"
SHA256 = "e59788788818fdde1b2e522e766a21ba0f7d8391de55737abf81e32cc801785d"
HEADERS = "package/Plugins/iOS~/onnxruntime.xcframework/ios-arm64/onnxruntime.framework/Headers/"


class HeadersError(Exception):
    """The headers cannot be had; the message is a sentence."""


def fetch(folder: Path) -> None:
    """Writes the headers into a new folder.

    Raises:
        HeadersError: npm is missing or fails, or the package is another one than that which was checked.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise HeadersError("npm is missing; install it, or name the headers with ONNXRUNTIME_INCLUDE")
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".onnxruntime.", dir=folder.parent) as name:
        temporary = Path(name)
        command = [npm, "pack", PACKAGE, "--silent", "--pack-destination", str(temporary)]
        done = subprocess.run(command, cwd=temporary, capture_output=True, text=True, check=False)
        archives = list(temporary.glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            raise HeadersError(f"npm cannot fetch {PACKAGE}: {' '.join(done.stderr.split())[:300]}")
        with archives[0].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
                raise HeadersError(f"{PACKAGE} is not the package that was checked; nothing is taken from it")
        new = temporary / "include"
        new.mkdir()
        with tarfile.open(archives[0]) as archive:
            for member in archive:
                if member.isfile() and member.name.startswith(HEADERS) and member.name.endswith(".h"):
                    content = archive.extractfile(member)
                    assert content is not None
                    (new / Path(member.name).name).write_bytes(content.read())
        if not (new / "onnxruntime_c_api.h").is_file():
            raise HeadersError(f"{PACKAGE} has no onnxruntime_c_api.h")
        new.rename(folder)


def main() -> None:
    """Fetches the headers where they are not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder to make")
    parser.add_argument("--optional", action="store_true", help="end well if they cannot be had")
    arguments = parser.parse_args()
    if arguments.folder.is_dir():
        return
    try:
        fetch(arguments.folder)
    except HeadersError as error:
        if not arguments.optional:
            raise SystemExit(f"error: {error}") from None
        print(f"ONNX Runtime's headers are not here: {error}")


if __name__ == "__main__":
    main()
