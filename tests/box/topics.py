"""topics - the recorded files: what has to be there, what is left out and why.

SKIP: never sent, with the reason. LOOSE: sent, but only status and headers
compared, with the reason. BEFORE: a shell command in the sandbox first.
"""

H2 = "HTTP/2 prior knowledge: box speaks HTTP/1.1 only"
GRPC = "binary codec or gRPC: box speaks Connect with JSON only"
TOKEN = "token mode belongs to other programs than the standalone server"
PROXY = "the preview proxy is another program"
MOCK = "mock mode: a server without guests"
SUMMARY = "a summary or a check of the recorder, not an exchange"
CUT = "body only described or cut in the record"
OWN = "covered by a test of its own: "
SLOW = "takes a minute; the same with 1 s is replayed"
ENV = "environment of the recording machine"
PACKED = "packed by another library"
RACE = "one of two answers, by who is first (own test in test_exec)"
MACHINE = "content of the recording machine's disk"

FILES_RM = ("rm -rf /tmp/rm; mkdir -p /tmp/rm/outside /tmp/rm/d/e; "
            "touch /tmp/rm/one /tmp/rm/outside/keep /tmp/rm/d/e/f; "
            "ln -s outside /tmp/rm/sl")
MANY = ("mkdir -p /tmp/many; cd /tmp/many; seq -f "
        "'file-with-a-longer-name-%06g' 1 {} | xargs touch")

SKIP = {
    "archive": {
        "archive-over-64MiB": OWN + "test_files",
    },
    "auth": {},
    "errors": {
        "ct-unary-application/proto": GRPC,
        "ct-unary-application/grpc": GRPC,
        "ct-unary-application/grpc-web": GRPC,
        "ct-unary-application/grpc-web+proto": GRPC,
        "ct-stream-application/connect+proto": GRPC,
        "ct-stream-application/grpc": GRPC,
        "ct-stream-application/grpc-web+json": GRPC,
        "proto-stat-root": GRPC, "proto-execstream": GRPC,
        "proto-readfile": GRPC,
        "stream-content-length-too-long": OWN + "test_http",
    },
    "exec_stream": {
        "slow-reader-60MB": OWN + "test_files",
        "disconnect-then-timeout": OWN + "test_exec",
    },
    "exec_ws": {
        "pty-stdin-90kB-nonreading-program":
            "whether 90 kB overflow the tty depends on the kernel",
        "pty-stdin-overflow-kills-session": OWN + "test_exec",
        "unread-stdin-threshold": OWN + "test_exec",
    },
    "expose": {},
    "files": {
        "write-client-aborts": OWN + "test_files",
        "write-then-read-200-times": SUMMARY,
        "write-full-fs-boundary": OWN + "test_files",
    },
    "forward": {},
    "lifecycle": {},
    "limits": dict.fromkeys((
        "agent-down-unary", "agent-down-execstream", "agent-down-runcode",
        "agent-down-expose", "agent-down-ws", "agent-down-fork",
        "agent-down-fork-existing-id", "agent-down-list-after-failed-fork",
        "agent-down-unary-after-failed-fork", "agent-down-delete",
        "agent-lost-midway-execstream", "agent-lost-midway-ws"),
        "the recorder's agent was another program, ended by hand; an agent "
        "of box ends with its sandbox (own test in test_exec)"),
    "preview": {"not-enabled": OWN + "test_http"},
    "processes": {
        "signal-to-zombie": "the agent of box reaps orphans",
    },
    "recipes": {
        "freeze-running-exec": "a pause stands between two messages",
        "group-kill-target": SUMMARY,
        "group-kill-exec": "names a process of the recording",
        "detached-follow": "ends by its 30 s timeout",
        "own-kernel-driver-over-ws": OWN + "test_run_code",
    },
    "run_code_stream": {
        "input-unsupported": SLOW,
        "big-print-6MB": OWN + "test_run_code",
        "driver-missing": OWN + "test_run_code",
        "python-broken": OWN + "test_run_code",
        "recovers-when-driver-returns": OWN + "test_run_code",
        "queued-cell-of-client-that-left": OWN + "test_run_code",
        "interrupted-by-SIGINT-via-Signal-rpc": OWN + "test_run_code",
        "kernel-killed-midway": OWN + "test_run_code",
        "after-kernel-killed": OWN + "test_run_code",
        "after-kernel-killed-2": OWN + "test_run_code",
        "concurrent-a": OWN + "test_run_code",
        "concurrent-b": OWN + "test_run_code",
    },
    "watch": {
        "slow-reader-20000-events": "needs a client that does not read",
        "20-watches-at-once": OWN + "test_http",
    },
}

LOOSE = {
    "errors": {
        "json-snake-case-field": MACHINE,
        "accept-encoding-gzip-unary": MACHINE,
        "accept-encoding-gzip-stream": PACKED,
        "content-encoding-gzip-unary": PACKED,
    },
    "exec_stream": {
        "env-base": ENV, "env-key-empty": ENV, "env-key-with-equals": ENV,
        "command-not-executable": "the name of another file",
        "user": ENV, "client-half-close": RACE,
        "signals-inherited": "dash's vfork blocks signals for a moment",
    },
    "exec_ws": {"open-minimal": ENV},
    "expose": {"app-gzip-client-asked": PACKED,
               "app-gzip-client-identity": PACKED,
               "app-gzip-range": PACKED},
    "limits": {"readfile-at-cap": "the name of another host"},
    "processes": {"processes": "other processes",
                  "processes-after-kill": "other processes"},
    "recipes": {
        "metrics-proc-stat": "live values", "metrics-nproc-df": ENV,
        "metrics-proc-meminfo": "live values",
        "metrics-proc-loadavg": "live values",
        "user-su": "", "pid-wrapper-execstream": "the pid",
    },
    "run_code_stream": {
        "exception": "tracebacks differ between IPython versions",
        "exception-after-output": "as above", "syntax-error": "as above",
        "name-error-multiline": "as above", "system-exit": "as above",
        "matplotlib-png": "another version of matplotlib draws it",
        "matplotlib-default-backend": "another version names it otherwise",
        "env-and-cwd": ENV, "interrupt-by-signal-start": "the pid",
        "pandas-dataframe": "another version of pandas",
    },
}

BEFORE = {
    "archive": {
        "archive-dir": "cd /workspace; mkdir -p d/e empty; chmod 750 d/e; "
                       "printf 'one\\n' > d/one; printf 'two\\n' > d/e/two",
        "archive-single-3MB-file": "head -c 3000000 /dev/zero > "
                                   "/workspace/big3",
    },
    "files": {
        "write-symlink-followed": "touch /tmp/f/target.txt; "
                                  "ln -s /tmp/f/target.txt /tmp/f/sl",
        "write-dangling-symlink": "ln -s /none/no/dir /tmp/f/dangling",
        "read-symlink-loop-real": "ln -s loop /tmp/f/loop",
        "read-binary": "printf 'bin\\377\\000\\001' > /tmp/f/bin",
        "read-mode-000-as-root": "chmod 0 /tmp/f/empty",
        "read-32768-bytes": "for n in 32768 33000 65536; do "
                            "head -c $n /dev/zero > /tmp/f/n$n; done",
        "read-fifo-hangs": "mkfifo -m 644 /tmp/f/fifo",
        "stat-sticky": "mkdir -m 1777 /tmp/f/sticky",
        "stat-mtime-old": "touch -d 1960-01-01 /tmp/f/old; "
                          "touch -d @7258118400 /tmp/f/future; "
                          "touch -d @1.5 /tmp/f/half",
        "list": "mkdir -p /tmp/l/sub; cd /tmp/l; printf abc > a; "
                "printf ab > b; ln -s b sl; ln -s /none dang; mkfifo -m 644 "
                "ff; touch .hidden 'sp ace' \"$(printf 'q\\377')\"",
        "list-20000-entries": MANY.format(20000),
        "list-60000-entries": "rm -rf /tmp/many; " + MANY.replace(
            "longer-name-%06g", "much-longer-name-than-all-others-%06g")
            .format(60000),
        "remove-file": FILES_RM,
        "shell-mv": "",
    },
    "recipes": {
        "freeze-STOP-minus-1": "(while :; do :; done) >/dev/null 2>&1 & "
                               "echo $! > /tmp/busy",
        "user-su": "",
    },
}

# Read-only and tiny file systems, mounted from outside.
MOUNTS = ("mkdir -p /tmp/ro /tmp/small; mount -t tmpfs -o size=64k small "
          "/tmp/small; mount -t tmpfs -o ro ro /tmp/ro")

# Before every record of watch.
WATCH_FLOOR = (
    "rm -rf /workspace/w /workspace/w2 /workspace/o /tmp/wout; mkdir -p "
    "/workspace/w/sub /workspace/o /tmp/wout; cd /workspace; echo x > w/ex; "
    "echo f > o/f; echo o > /tmp/wout/o; ln -sfn / .root; ln -sfn /tmp lnk; "
    "ln -sfn w lnkw; rm -f /home/user/seen")

# Where events may differ in number: the real queue's timing.
WATCH_BURSTS = {"burst-40-one-process", "burst-50", "burst-5000",
                "burst-25", "burst-15"}

NOISE = {
    # Directories on ext4 or tmpfs; compared where size is the matter.
    "auth": {"size"},
    "errors": {"size"},
    "limits": {"size"},
    "recipes": {"size"},
}

# Where the order is the file system's.
WATCH_ANY_ORDER = {"watched-dir-renamed", "watched-dir-removed"}

# Output may be told or not before the stream breaks.
OUTPUT_VARIES = {"fresh-kernel-subprocess"}
