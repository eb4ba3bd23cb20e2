"""How the process treats memory that tensors on the CPU have freed."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
TOP_PAD = 64 << 20


def keep_freed_memory() -> bool:
    """Configure glibc's allocator to keep freed memory, and return whether that succeeded.

    Call it before the first large allocation. All blocks then come from the heap and none from mmap; the heap grows by 64 MiB and
    is never trimmed. With another C library (macOS, Windows, musl) nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, TOP_PAD))
    return all(libc.mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings)
