"""cli - E2B's command line program, as npm has it, against a gateway.

cli.py NODE FOLDER (with @e2b/cli in its node_modules), in the environment that
./quickstart sh gives.
"""
import json
import os
import subprocess
import sys
import tempfile

from report import Report, equal, true

NODE, FOLDER = sys.argv[1:3]
del sys.argv[1:]
PROGRAM = os.path.join(FOLDER, "node_modules", ".bin", "e2b")
report = Report("cli")
home = tempfile.TemporaryDirectory(prefix="sandgate-cli.")


def e2b(*words, key=None, status=0):
    """What it prints."""
    more = {"E2B_API_KEY": key} if key else {}
    have = subprocess.run([NODE, PROGRAM, *words], env={**os.environ, "HOME": home.name, **more}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)
    equal((have.returncode, have.stdout + have.stderr if have.returncode != status else ""), (status, ""))
    return have.stdout, have.stderr


def listed():
    return {row["sandboxId"]: row for row in json.loads(e2b("sandbox", "list", "--format", "json")[0] or "[]")}


def sandboxes():
    made = e2b("sandbox", "create", "base", "--detach")[0].split()[-1]
    row = listed()[made]
    equal((row["templateId"], row["state"]), ("base", "running"))
    info, _ = e2b("sandbox", "info", made)
    for text in (made, "running", "base"):
        true(text in info, info)
    equal(e2b("sandbox", "exec", made, "echo", "hello"), ("hello\n", ""))
    out, err = e2b("sandbox", "exec", "-u", "root", "-c", "/tmp", "-e", "X=1", made, "--", "sh", "-c", "id -un; pwd; echo $X; echo no >&2; exit 3", status=3)
    equal(out, "root\n/tmp\n1\n")
    true("no\n" in err, err)
    true("wasn't found" in "".join(e2b("sandbox", "kill", made, key=os.environ["SANDGATE_OTHER_KEY"])), "another team's")
    true("has been killed" in "".join(e2b("sandbox", "kill", made)), "killed")
    true(made not in listed(), "it is gone")
    true("wasn't found" in "".join(e2b("sandbox", "kill", made)), "once more")


def refusals():
    made = e2b("sandbox", "create", "base", "--detach")[0].split()[-1]
    for words, text in ((("sandbox", "logs", made), "logs is not supported"), (("sandbox", "metrics", made), "metrics is not supported"),
                        (("sandbox", "pause", made), "pause is not supported"), (("template", "list"), "template management is not supported")):
        out, err = e2b(*words, status=1)
        true(text in out + err, (words, out, err))
    e2b("sandbox", "kill", made)
    out, err = e2b("sandbox", "list", key="e2b_" + "0" * 40, status=1)
    true("Invalid API key" in out + err, out + err)


report.check("sandboxes", sandboxes)
report.check("refusals", refusals)
home.cleanup()
report.end()
