"""Another process's costs, as Linux tells them."""

import os
import resource
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Seconds of CPU that the process has used, to a hundredth."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family_cpu_s(pid: int) -> float:
    """CPU seconds of a process and its children, for servers that fork."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(cpu_s, [pid, *map(int, children)]))


def rss_bytes(pid: int) -> int:
    """The resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """How many files and sockets it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def allow_descriptors() -> int:
    """Allow this process, and those that it starts, as many open files as it may have; how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def connections(port: int) -> int:
    """How many TCP connections of this port of loopback some process still holds; the listener is none."""
    return sum(row[3] != "0A" and row[9] != "0" for row in _rows(port))


def unread(port: int) -> int:
    """How many connections of this port have sent something that its server has not read yet."""
    return sum(row[3] == "01" and not row[4].endswith(":00000000") for row in _rows(port))


def _rows(port: int) -> list[list[str]]:
    """The kernel's table: local address, peer, state (0A listens, 01 is open), queues, …, inode."""
    ends = f":{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    return [row for row in map(str.split, lines[1:]) if row[1].endswith(ends)]
