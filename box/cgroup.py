"""cgroup - limits on processes, memory and processor share of each sandbox.

Both forms are written where the machine gives them: version 1 (a tree per
controller) and version 2. A sandbox's first process joins before anything of
its owner runs. Where no controller can be written the list of them is empty,
and box says so when it starts.
"""

import os

PREFIX = "sandgate-box-"
SHARES_OF_ALL = 4096     # version 1; 1024 is one ordinary task's share
WEIGHT_OF_ALL = 100


def _write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _try_write(path, text):
    try:
        _write(path, text)
        return True
    except OSError:
        return False


def _mounts():
    """(version 1: controller -> mount point, version 2 mount points)."""
    first, second = {}, []
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _, point, kind, options = line.split()[:4]
            if kind == "cgroup":
                for name in options.split(","):
                    first[name] = point
            elif kind == "cgroup2":
                second.append(point)
    return first, second


def _own_paths():
    """controller -> own group; "" stands for version 2."""
    paths = {}
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _, names, path = line.rstrip("\n").split(":", 2)
            for name in names.split(","):
                paths[name] = path
    return paths


def _sweep_stale(parent):
    """Remove groups that a killed box left behind."""
    try:
        names = os.listdir(parent)
    except OSError:
        return
    for name in names:
        pid = name[len(PREFIX):]
        if (not name.startswith(PREFIX) or not pid.isdigit()
                or os.path.exists(f"/proc/{pid}")):
            continue
        remove_tree(f"{parent}/{name}")


def remove_tree(path):
    """Remove an empty group and the empty groups in it."""
    try:
        for entry in os.scandir(path):
            if entry.is_dir(follow_symlinks=False):
                os.rmdir(entry.path)
        os.rmdir(path)
    except OSError:
        pass


class Limits:
    """The groups of one box."""

    def __init__(self, pids, memory_bytes):
        self.pids = pids
        self.memory_bytes = memory_bytes
        self.tops = []           # (directory, set of controllers)
        self.controllers = set()
        first, second = _mounts()
        own = _own_paths()
        for name in ("pids", "memory", "cpu"):
            if name in first:
                self._add(f"{first[name]}{own.get(name, '/')}", {name}, 1)
        for point in second:
            self._add_second(point)

    def _add(self, parent, names, version):
        parent = parent.rstrip("/")
        _sweep_stale(parent)
        top = f"{parent}/{PREFIX}{os.getpid()}"
        try:
            os.mkdir(top)
        except OSError:
            return
        if version == 1 and "cpu" in names:
            _try_write(f"{top}/cpu.shares", str(SHARES_OF_ALL))
        if version == 2:
            wanted = " ".join(f"+{name}" for name in sorted(names))
            if not _try_write(f"{top}/cgroup.subtree_control", wanted):
                os.rmdir(top)
                return
            _try_write(f"{top}/cpu.weight", str(WEIGHT_OF_ALL))
        self.tops.append((top, names, version))
        self.controllers |= names

    def _add_second(self, point):
        try:
            with open(f"{point}/cgroup.controllers",
                      encoding="ascii") as file:
                here = set(file.read().split())
        except OSError:
            return
        names = (here & {"pids", "memory", "cpu"}) - self.controllers
        if not names:
            return
        for name in names:
            _try_write(f"{point}/cgroup.subtree_control", f"+{name}")
        with open(f"{point}/cgroup.subtree_control",
                  encoding="ascii") as file:
            names &= set(file.read().split())
        if names:
            self._add(point, names, 2)

    def directories(self):
        """The top groups, for whoever cleans up after us."""
        return [top for top, _, _ in self.tops]

    def add(self, name):
        """Make a sandbox's groups; the files to write a "0" into."""
        files = []
        for top, names, version in self.tops:
            group = f"{top}/{name}"
            os.mkdir(group)
            files.append(f"{group}/cgroup.procs")
            if "pids" in names:
                _write(f"{group}/pids.max", str(self.pids))
            if "memory" in names:
                self._limit_memory(group, version)
        return files

    def _limit_memory(self, group, version):
        if version == 1:
            _write(f"{group}/memory.limit_in_bytes", str(self.memory_bytes))
            _try_write(f"{group}/memory.memsw.limit_in_bytes",
                       str(self.memory_bytes))
        else:
            _write(f"{group}/memory.max", str(self.memory_bytes))
            _try_write(f"{group}/memory.swap.max", "0")

    def drop(self, name):
        """Remove a dead sandbox's groups."""
        for top, _, _ in self.tops:
            try:
                os.rmdir(f"{top}/{name}")
            except OSError:
                pass

    def close(self):
        """Remove everything."""
        for top, _, _ in self.tops:
            remove_tree(top)
