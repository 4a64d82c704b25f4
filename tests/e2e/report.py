"""report - runs named checks, prints a line each and the sum at the end."""
import sys
import time
import traceback


class Report:
    def __init__(self, title):
        self.title, self.passed, self.failed = title, 0, 0
        self.only = sys.argv[1:]
        self.calls = []

    def check(self, name, function, *arguments):
        """Run one check; an exception is its failure."""
        if self.only and not any(word in name for word in self.only):
            return
        start = time.monotonic()
        try:
            function(*arguments)
        except BaseException as error:  # SDKs raise what they like
            if isinstance(error, KeyboardInterrupt):
                raise
            self.failed += 1
            print(f"FAIL {self.title}: {name}: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc(limit=-4, file=sys.stdout)
        else:
            self.passed += 1
            print(f"ok   {self.title}: {name} ({time.monotonic() - start:.2f} s)", flush=True)

    def end(self):
        print(f"{self.title}: {self.passed} passed, {self.failed} failed")
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)


def equal(have, want):
    if have != want:
        raise AssertionError(f"{have!r} is not {want!r}")


def true(have, what):
    if not have:
        raise AssertionError(what)


def raises(kinds, function, *arguments, text=None, **keywords):
    """The exception that function raises; it must be one of kinds."""
    try:
        have = function(*arguments, **keywords)
    except kinds as error:
        if text is not None and text not in str(error):
            raise AssertionError(f"{type(error).__name__} says {error!s}, not {text!r}") from error
        return error
    raise AssertionError(f"no exception, but {have!r}")
