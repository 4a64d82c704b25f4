/* unkept.c - E2B's calls whose promise is not kept: a clear error each. */
#include "translate/unkept.h"

#include "translate/api.h"
#include "translate/ops.h"

static const struct {
    const char *name;
    enum err err;
} unkept[UNKEPT_COUNT] = {
    [UNKEPT_PAUSE] = {"pause", E_NOT_KEPT},
    [UNKEPT_RESUME] = {"resume", E_CONFLICT},
    [UNKEPT_METRICS] = {"metrics", E_UNIMPLEMENTED},
    [UNKEPT_LOGS] = {"logs", E_UNIMPLEMENTED},
    [UNKEPT_NETWORK] = {"network", E_NOT_KEPT},
    [UNKEPT_SNAPSHOTS] = {"snapshots", E_UNIMPLEMENTED},
    [UNKEPT_FORK] = {"fork", E_UNIMPLEMENTED},
    [UNKEPT_TEMPLATES] = {"template management", E_UNIMPLEMENTED},
    [UNKEPT_VOLUMES] = {"volumes", E_UNIMPLEMENTED},
    [UNKEPT_SECRETS] = {"secrets", E_UNIMPLEMENTED},
    [UNKEPT_ACCOUNTS] = {"account management", E_UNIMPLEMENTED},
    [UNKEPT_WATCH] = {"watching directories", E_UNIMPLEMENTED},
};

/* Does the row name a sandbox? */
static bool names_sandbox(const struct op *op)
{
    return op->row->class == CLASS_API &&
           str_find_str(str_of(op->row->path), STR("{id}")) <
               strlen(op->row->path);
}

void unkept_hear(struct op *op, const struct op_event *event, struct want *want)
{
    enum unkept what = (enum unkept)op->row->variant;

    (void)event;
    if (names_sandbox(op) && !api_sandbox(op)) {
        api_fail_sandbox(op, want, E_SANDBOX_GONE);
        return;
    }
    if (what == UNKEPT_RESUME)
        want_fail(want, unkept[what].err,
                  arena_text(op->arena, "Sandbox \"%.*s\" is already running",
                             STR_FMT(op->in.params[0])));
    else
        want_fail(want, unkept[what].err,
                  arena_text(op->arena, "%s is not supported by this server",
                             unkept[what].name));
}
