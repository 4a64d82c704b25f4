# A layer's test links that layer and the ones below it, nothing above: an
# upward call is a link error.  One fragment per folder.
include tests/unit/base.mk
include tests/unit/conf.mk
include tests/unit/auth.mk
include tests/unit/store.mk
include tests/unit/net.mk
include tests/unit/translate.mk
include tests/unit/preview.mk
include tests/unit/live.mk
include tests/unit/gateway.mk
include tests/unit/command.mk
include tests/fuzz/local.mk
EXTRA_DIST += tests/bench/replay.c tests/bench/run
include tests/tsan/local.mk
