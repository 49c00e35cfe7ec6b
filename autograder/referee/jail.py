"""The jail that a worker locks itself into before it meets a student's code: limits, Landlock, seccomp.

By ctypes: needs no root, no package and no user namespace, and costs 0.4 ms. Linux on x86-64 and
arm64; elsewhere JailError, and the level says so. Does not: decide which layers are asked for (sandbox), nor
believe that they hold (levels tests them from inside).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Collection, Iterable

NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER = 38, 22, 2  # of linux/prctl.h and linux/seccomp.h
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, PATH_BENEATH = 444, 445, 446, 1  # of linux/landlock.h
EXECUTE, READ_FILE, READ_FOLDER = 1, 4, 8
TRUNCATE = 1 << 14
FILE_RIGHTS = 1 | 2 | 4 | TRUNCATE  # what can be granted on a file: execute, write, read, truncate
WRITING = 2 | 4 | 8 | 1 << 5 | 1 << 8  # write, read, list, remove and make files

# System calls that no model needs: processes, network, other processes' memory, namespaces, clocks, priorities,
# and what outlives a process (memory, messages and semaphores of System V, queues of POSIX).
DENIED = {  # name: number on (x86-64, arm64)
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None), "clone3": (435, 435),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "process_madvise": (440, 440),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192),
    "mq_open": (240, 180), "mq_unlink": (241, 181),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "setns": (308, 268), "unshare": (272, 97), "open_by_handle_at": (304, 265),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "personality": (135, 92),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "memfd_create": (319, 279),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "init_module": (175, 105), "finit_module": (313, 273), "reboot": (169, 142),
    "clock_settime": (227, 112), "settimeofday": (164, 170), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setattr": (314, 274),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "prlimit64": (302, 261), "setrlimit": (160, 164),
}  # fmt: skip
# System calls that models need, but not so. name: (number on (x86-64, arm64), which argument, its denied values)
DENIED_SO = {
    "fcntl": ((72, 25), 1, (8, 10, 15)),  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to another process
    "madvise": ((28, 233), 2, (8, 20, 21)),  # MADV_FREE, _COLD, _PAGEOUT: pages look as if nobody had used them
    "prctl": ((157, 167), 0, (4, 35, 41)),  # PR_SET_DUMPABLE, _MM, _THP_DISABLE: how its memory is seen
}
CLONE, CLONE_THREAD = (56, 220), 0x10000
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH
X32_NUMBERS = 0x40000000  # a second table of system calls on x86-64


class JailError(RuntimeError):
    """A layer that was asked for cannot be had here."""


def limit(memory_bytes: int, cpu_s: int, file_bytes: int, files: int = 64) -> None:
    """Hard limits of this process; no core dumps. Raises JailError where the system has none."""
    try:
        import resource
    except ImportError as error:  # Windows
        raise JailError("this system has no resource limits") from error
    wanted = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: files,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))


def landlock(readable: Iterable[str], writable: Iterable[str] = ()) -> None:
    """From now on only files at or under `readable` can be opened, written only under `writable`.

    Raises:
        JailError: this kernel cannot do it.
    """
    libc = _libc()
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        raise JailError("this kernel has no Landlock (Linux 5.13 or newer, switched on at boot)")
    handled = _handled_rights(version)
    ruleset = libc.syscall(CREATE_RULESET, handled, len(handled), 0)
    if ruleset < 0:
        raise JailError(f"Landlock refused its rules: {_last_error()}")
    try:
        for path in readable:
            _allow(libc, ruleset, path, EXECUTE | READ_FILE | READ_FOLDER)
        for path in writable:
            _allow(libc, ruleset, path, WRITING | TRUNCATE * (version >= 3))
        _no_new_privileges(libc)
        if libc.syscall(RESTRICT_SELF, ruleset, 0):
            raise JailError(f"Landlock could not be switched on: {_last_error()}")
    finally:
        os.close(ruleset)


def _handled_rights(version: int) -> bytes:
    """Everything that this version of Landlock can forbid: files, from 4 on network, from 6 on signals."""
    files = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        files |= (1 << bit) * (version >= since)
    network, scoped = 3 * (version >= 4), 3 * (version >= 6)
    length = 8 if version < 4 else 16 if version < 6 else 24
    return struct.pack("<QQQ", files, network, scoped)[:length]


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there need not be readable
    try:
        rights &= -1 if os.path.isdir(path) else FILE_RIGHTS
        if libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("<Qi", rights, opened), 0):
            raise JailError(f"Landlock refused the rule for {path}: {_last_error()}")
    finally:
        os.close(opened)


def seccomp(allowed: Collection[str] = ()) -> None:
    """From now on the system calls in DENIED and DENIED_SO fail with EPERM, but for those of DENIED that are
    `allowed`; threads may be made.

    Raises:
        JailError: another machine than x86-64 or arm64, or the kernel refuses.
    """
    program = b"".join(_program(allowed))
    code = ctypes.create_string_buffer(program)

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    filtered = Filter(len(program) // 8, ctypes.cast(code, ctypes.c_void_p))
    libc = _libc()
    _no_new_privileges(libc)
    if libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(filtered), 0, 0):
        raise JailError(f"seccomp could not be switched on: {_last_error()}")


def _program(allowed: Collection[str]) -> Iterable[bytes]:
    """The filter in the kernel's own small machine language, an instruction at a time."""
    if platform.machine() not in MACHINES:
        raise JailError(f"no table of system calls for {platform.machine()}")
    column, architecture = MACHINES[platform.machine()]

    def instruction(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("<HBBI", code, yes, no, value)

    load, equal, at_least, any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill, error = 0x7FFF0000, 0x80000000, 0x00050000
    yield instruction(load, 0, 0, 4)
    yield instruction(equal, 1, 0, architecture)
    yield instruction(answer, 0, 0, kill)
    yield instruction(load, 0, 0, 0)
    if column == 0:
        yield instruction(at_least, 0, 1, X32_NUMBERS)
        yield instruction(answer, 0, 0, error | errno.EPERM)
    for name, numbers in DENIED.items():
        number = numbers[column]
        if name not in allowed and number is not None:
            yield instruction(equal, 0, 1, number)
            # clone3 hides its flags in memory: without it glibc falls back to clone, whose flags can be seen.
            yield instruction(answer, 0, 0, error | (errno.ENOSYS if name == "clone3" else errno.EPERM))
    for numbers, argument, values in DENIED_SO.values():
        yield instruction(equal, 0, 2 + 2 * len(values), numbers[column])
        yield instruction(load, 0, 0, 16 + 8 * argument)  # its lower half: all of these are ints
        for value in values:
            yield instruction(equal, 0, 1, value)
            yield instruction(answer, 0, 0, error | errno.EPERM)
        yield instruction(answer, 0, 0, allow)
    if "fork" not in allowed:
        yield instruction(equal, 0, 3, CLONE[column])
        yield instruction(load, 0, 0, 16)  # its flags
        yield instruction(any_bit, 1, 0, CLONE_THREAD)
        yield instruction(answer, 0, 0, error | errno.EPERM)
    yield instruction(answer, 0, 0, allow)


def _no_new_privileges(libc: ctypes.CDLL) -> None:
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise JailError(f"no_new_privs could not be set: {_last_error()}")


def _libc() -> ctypes.CDLL:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        _ = libc.syscall, libc.prctl
    except (AttributeError, OSError, TypeError) as error:
        raise JailError(f"Landlock and seccomp are Linux's; this is {platform.system()}") from error
    return libc


def _last_error() -> str:
    return os.strerror(ctypes.get_errno())
