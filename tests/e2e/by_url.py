"""by_url - the SDKs given E2B_API_URL and E2B_SANDBOX_URL in place of a domain:
one address on loopback for both planes, without names or certificates.

by_url.py PYTHON NODE JS_FOLDER, in the environment that ./quickstart sh gives:
the gateway is one of its own before the same sandbox server.  Only checks that
need no host names are run.
"""
import os
import subprocess
import sys

from port_parts import HERE, PROGRAM, OtherWay
from report import Report, equal, true

PYTHON, NODE, JS_FOLDER = sys.argv[1:4]
del sys.argv[1:]
report = Report("by url")
way = OtherWay("by_url", ports="forward", more="direct_hosts: [127.0.0.1]", templates={"base": "base", "code-interpreter-v1": "code-interpreter"})


def environment():
    url = f"http://127.0.0.1:{way.port}"
    rest = {name: value for name, value in os.environ.items() if not name.startswith("E2B_")}
    other = subprocess.run([PROGRAM, "key", "create", "--team", "b", "-c", way.config], check=True, capture_output=True, text=True).stdout.strip()
    return {**rest, "E2B_API_URL": url, "E2B_SANDBOX_URL": url, "E2B_API_KEY": way.key, "SANDGATE_OTHER_KEY": other}


def suite(*command):
    """All checks that the words at its end name."""
    have = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200, check=False)
    print(have.stdout, have.stderr)
    last = (have.stdout.splitlines() or [""])[-1]
    true(have.returncode == 0 and last.endswith(", 0 failed"), last)
    true(int(last.split()[0]) >= 9, f"the words of {command[-1]} name too few checks: {last}")


def python():
    suite(PYTHON, os.path.join(HERE, "sdk_python.py"), "create tells", "list filters", "connect extends", "other team", "command results",
          "output streams", "background", "files round", "files many", "code results", "killed mid-run", "async tour")


def javascript():
    suite(NODE, os.path.join(HERE, "sdk_js.mjs"), JS_FOLDER, "create tells", "list filters", "connect extends", "another team",
          "command results", "output streams", "background", "killed mid-run", "code results", "code with")


def names_are_not_needed():
    """A stray host is refused, a sandbox call without its headers too."""
    equal(way.ask("GET", "/health", "elsewhere.test").status, 421)
    equal(way.ask("GET", "/files", f"127.0.0.1:{way.port}").status, 400)


try:
    report.check("python", python)
    report.check("javascript", javascript)
    report.check("names_are_not_needed", names_are_not_needed)
finally:
    way.end()
report.end()
