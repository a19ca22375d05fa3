#!/usr/bin/env python3
"""Makes the wheel: build.py [DIRECTORY]. It needs Python and cargo, and no package of Python's.

DIRECTORY is where it goes: dist, if not given. BUILT: where cargo has left libmmlog; if not set, that is built for release.
The wheel is for every Python of this machine's kind with a C library as new as libmmlog needs; its path is printed.
"""

import base64
import hashlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def built() -> pathlib.Path:
    if "BUILT" in os.environ:
        return pathlib.Path(os.environ["BUILT"]).resolve()
    subprocess.run(["cargo", "build", "--release", "--locked", "-p", "mmlog-capi"], cwd=ROOT, check=True)
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release"


def stripped(library: pathlib.Path) -> bytes:
    if not shutil.which("objcopy"):
        return library.read_bytes()
    with tempfile.TemporaryDirectory() as work:
        without = pathlib.Path(work) / "library"
        subprocess.run(["objcopy", "--strip-debug", library, without], check=True)
        return without.read_bytes()


def platform_tag(library: bytes) -> str:
    """What the dynamic linker will ask the C library for."""
    minor = max(int(found) for found in re.findall(rb"\0GLIBC_2\.(\d+)", library))
    return f"manylinux_2_{minor}_{platform.machine()}"


def manifest(key: str) -> str:
    text = (ROOT / "Cargo.toml").read_text()
    return re.search(rf'^{key} = "(.*)"$', text, re.MULTILINE).group(1)


def main() -> None:
    to = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "dist")
    to.mkdir(parents=True, exist_ok=True)
    library = stripped(built() / "libmmlog_capi.so")
    version, tag = manifest("version"), f"py3-none-{platform_tag(library)}"
    info = f"mmlog-{version}.dist-info"
    files = {
        f"mmlog/{path.name}": path.read_bytes()
        for path in sorted((HERE / "src/mmlog").iterdir())
        if path.suffix in (".py", ".typed")
    }
    files["mmlog/libmmlog.so.0"] = library
    for licence in sorted(ROOT.glob("LICENSE*")):
        files[f"{info}/licenses/{licence.name}"] = licence.read_bytes()
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: mmlog\nVersion: {version}\n"
        "Summary: One log file for many processes and threads, with nothing lost\n"
        f"License: {manifest('license')}\nRequires-Python: >=3.9\n"
        "Classifier: Operating System :: POSIX :: Linux\nClassifier: Typing :: Typed\n"
        "Classifier: Topic :: System :: Logging\n"
    ).encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: mmlog\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    )
    record = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record.append(f"{name},sha256={digest},{len(content)}\n")
    files[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\n"]).encode()
    wheel = to / f"mmlog-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # Always the same bytes: no time of today.
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if name.endswith(".so.0") else 0o644) << 16
            archive.writestr(entry, content)
    print(wheel)


if __name__ == "__main__":
    main()
