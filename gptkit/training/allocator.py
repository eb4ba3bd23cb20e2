"""Keep freed memory in the process, so that a training step does not pay for the same pages again.

glibc returns large freed blocks to the kernel at once; every step then faults its activations and gradients in anew, page by page.
For a model of GPT-2's size on a processor that is most of the time of a step.
"""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
TOP_PAD = 64 << 20


def keep_freed_memory() -> bool:
    """Set glibc's allocator so; gives whether it was done. Must come before the first large allocation.

    Blocks come from the heap and never from mmap, the heap is never trimmed, and grows by 64 MiB. Does nothing where the C
    library is not glibc (macOS, Windows, musl).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, TOP_PAD))
    return all(libc.mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings)
