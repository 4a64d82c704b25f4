/* entry.h - what a sandbox's file system holds, as find prints it and as
 * E2B's EntryInfo.  For the files of translate/ only. */
#ifndef TRANSLATE_ENTRY_H
#define TRANSLATE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "translate/guest.h"

/*
 * A script's function (for use in guest scripts): prints what is found from
 * level $2 to level $3 below $1, for entry_read().  What vanishes meanwhile
 * is left out.  Needs GNU find, stat, xargs and readlink (without GNU find
 * it fails with the field "tools"); getfattr where there is one.
 */
#define ENTRY_SHOW \
    "find / -maxdepth 0 -printf '' >/dev/null 2>&1 || fail tools\n" \
    "links() {\n" \
    "  find \"$1\" -mindepth \"$2\" -maxdepth \"$3\" -type l -print0\n" \
    "}\n" \
    "show() { {\n" \
    "  find \"$1\" -mindepth \"$2\" -maxdepth \"$3\" \\\n" \
    "    -printf '%y\\0%m\\0%s\\0%u\\0%g\\0%T@\\0%P\\0'\n" \
    "  say /\n" \
    "  links \"$@\" | xargs -0 -r stat -L --printf='%n\\0%f\\0' --\n" \
    "  say /\n" \
    "  links \"$@\" | xargs -0 -r readlink -e -z --\n" \
    "  say /\n" \
    "  command -v getfattr >/dev/null && find \"$1\" -mindepth \"$2\" \\\n" \
    "    -maxdepth \"$3\" -exec getfattr --absolute-names -d -e base64 \\\n" \
    "    -m '^user[.]e2b[.]' -- {} +\n" \
    "} 2>/dev/null; }\n"

/* One file, directory or link.  Texts are borrowed from the answer or the
 * arena. */
struct entry {
    struct str path; /* below what was listed; "" is itself */
    char type;       /* as find's %y: f d l p s c b */
    unsigned mode;   /* 12 bits, its own */
    uint64_t size;   /* bytes */
    struct str owner, group;
    int64_t changed_s; /* since 1970 */
    uint32_t changed_ns;
    struct str target; /* of a link that resolves: absolute; else absent */
    char target_type;  /* f, d or another; 0: it does not resolve */
    unsigned target_mode;
    const struct entry_metadata *metadata; /* first row, NULL if none */
};

/* One extended attribute: user.e2b.<key>. */
struct entry_metadata {
    struct str path; /* of its entry */
    struct str key, value;
};

struct entries {
    struct entry *at; /* arena; in lexical pre-order */
    unsigned count;
    const struct entry_metadata *metadata; /* arena; by path */
    unsigned metadata_count;
};

/*
 * Read what `show` printed: the rest of the answer.
 * Errors: E_BACKEND_GARBAGE (find printed something else), E_NOMEM.
 */
MUST_USE enum err entry_read(struct guest_answer *answer, struct arena *a,
                             struct entries *out);

/*
 * Append the EntryInfo of an entry as JSON.  Source: e2b-data-plane.md 3.1
 * path    as it is told
 * little  name, type and path only (3.5)
 */
void entry_put(struct buf *b, const struct entries *all,
               const struct entry *entry, struct str path, bool little);

#endif
