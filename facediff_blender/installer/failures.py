"""What goes wrong in an installation, as one sentence that says what to do."""

from __future__ import annotations

import errno
import re
import ssl
import urllib.error


class InstallError(Exception):
    """The installation cannot go on; the message is for the user."""


class Stopped(Exception):
    """The user cancelled, or Blender is gone."""


NO_NETWORK = (
    "The download server cannot be reached: check the network connection, then press Install again (it goes on where it "
    "stopped). Without a network, use Install from Folder."
)
PROXY = (
    "The network's proxy refuses the download: set HTTPS_PROXY to http://NAME:PASSWORD@PROXY:PORT before starting "
    "Blender, or use Install from Folder."
)
CERTIFICATE = (
    "The download server's certificate is not trusted, as happens behind a company's proxy or an antivirus program that "
    "reads along: set SSL_CERT_FILE to the proxy's certificate before starting Blender, or use Install from Folder."
)
DISK_FULL = "The disk is full: free some space there, or choose another folder, then press Install again."
DENIED = (
    "The folder cannot be written: choose another folder in the preferences, or ask the computer's administrator for the "
    "permission."
)
READ_ONLY = "The disk is read-only: choose a folder on another disk in the preferences."
IN_USE = (
    "A file is in use by another program, often an antivirus scan or another Blender: close other Blenders, wait a minute, "
    "then press Install again."
)
TOO_LONG = "The folder's path is too long for this system: choose a folder with a shorter path in the preferences."
MISMATCH = (
    "A downloaded file is not the one that was tested (its checksum differs): press Install again; if it happens again, "
    "your network or package index changes files, so use another network or Install from Folder."
)
ARCHITECTURE = (
    "The files are made for another kind of processor: install the Blender that is made for this computer (on a Mac with "
    "Apple silicon the one for Apple silicon), then press Install again."
)
OLD_LINUX = "This Linux is too old for PyTorch, which needs glibc 2.28 or newer (2018): update the system."
RUNTIME = (
    "A system library is missing: install the Microsoft Visual C++ Redistributable 2015-2022 (x64) from Microsoft, then "
    "press Repair."
)
DRIVER = (
    "The graphics driver is too old for this build of PyTorch: update the driver from the maker's site, or install the "
    "engine for CPU only."
)
MEMORY = "The computer ran out of memory: close other programs, then press Repair."
INSTRUCTION = "This processor is too old for PyTorch: it lacks instructions that PyTorch needs. The built-in engine works."
LOGIN = "The package index refuses access: check the name and password in its address (UV_INDEX_URL or PIP_INDEX_URL)."
MISSING = "The server does not have the file (it was moved or withdrawn): update the add-on, or use Install from Folder."
SERVER = "The download server has a problem of its own: try again in a few minutes; the download goes on where it stopped."

# Searched in this order in what a program said.
PATTERNS: tuple[tuple[str, str], ...] = (
    (r"no space left|disk quota exceeded|not enough space|os error 112|there is not enough space", DISK_FULL),
    (r"os error 30\b|read-only file system", READ_ONLY),
    (r"being used by another process|os error 32\b|sharing violation|virus|os error 225", IN_USE),
    (r"file name too long|os error 206|os error 36\b|path too long", TOO_LONG),
    (r"hash mismatch|checksum mismatch|hashes? (do|does) not match|invalid gzip|failed to extract|not a zip|corrupt", MISMATCH),
    (r"driver on your system is too old|driver version is insufficient|nvidia driver.*too old", DRIVER),
    (r"glibc_2\.\d+.? not found|manylinux.*not compatible|glibc.*too old", OLD_LINUX),
    (r"exec format error|bad cpu type|wrong architecture|incompatible architecture|not a valid win32|winerror 193", ARCHITECTURE),
    (r"winerror 126|winerror 1114|dll load failed|vcruntime|msvcp140", RUNTIME),
    (r"illegal instruction|sigill", INSTRUCTION),
    (r"out of memory|memoryerror|cannot allocate memory|std::bad_alloc", MEMORY),
    (r"proxy authentication|\b407\b|tunnel connection failed|proxyerror", PROXY),
    (r"certificate verify failed|unknownissuer|invalid peer certificate|self.signed certificate", CERTIFICATE),
    (
        r"name or service not known|temporary failure in name resolution|getaddrinfo|nodename nor servname|"
        r"failed to lookup address|network is unreachable|no route to host|connection refused|timed out|connection reset|dns error",
        NO_NETWORK,
    ),
    (r"permission denied|access is denied|operation not permitted|os error 5\b|os error 13\b", DENIED),
)

_ERRNO = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: DISK_FULL,
    errno.EROFS: READ_ONLY,
    errno.EACCES: DENIED,
    errno.EPERM: DENIED,
    errno.ENAMETOOLONG: TOO_LONG,
    errno.ENOMEM: MEMORY,
    errno.ENOEXEC: ARCHITECTURE,
}
_WINERROR = {5: DENIED, 32: IN_USE, 33: IN_USE, 112: DISK_FULL, 193: ARCHITECTURE, 206: TOO_LONG, 225: IN_USE}


def sentence_for(text: str) -> str:
    """The sentence for what a program said; "" for what is not in the table."""
    return next((sentence for pattern, sentence in PATTERNS if re.search(pattern, text, re.IGNORECASE)), "")


def explain(error: BaseException) -> str:
    """One sentence for any error of an installation."""
    if isinstance(error, InstallError):
        return str(error)
    if isinstance(error, urllib.error.HTTPError):
        by_code = {407: PROXY, 401: LOGIN, 403: LOGIN, 404: MISSING, 410: MISSING}
        return by_code.get(error.code) or (SERVER if error.code >= 500 else f"The server refuses: {error.code} {error.msg}.")
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return explain(error.reason)
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATE
    if isinstance(error, MemoryError):
        return MEMORY
    if isinstance(error, OSError):
        known = _WINERROR.get(getattr(error, "winerror", None) or 0) or _ERRNO.get(error.errno or 0)
        if known:
            return f"{known} ({error.filename})" if error.filename else known
        if isinstance(error, (ConnectionError, TimeoutError)):
            return NO_NETWORK
    return sentence_for(str(error)) or f"The installation failed: {str(error).strip() or type(error).__name__}"
