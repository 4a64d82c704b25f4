/* access.c - see access.h. */
#include "gateway/access.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "gateway/exchange.h"

#define LINE_MAX_BYTES 4096

const char *access_class(unsigned class)
{
    static const char *const names[] = {
        [CLASS_API] = "api",       [CLASS_ENVD] = "envd", [CLASS_CODE] = "code",
        [CLASS_NATIVE] = "native", [CLASS_PORT] = "port", [CLASS_LINK] = "link",
    };

    return names[class];
}

/* memory is the caller's: nothing is asked for per request. */
static void begin_line(struct buf *line, char memory[LINE_MAX_BYTES],
                       int64_t wall_ms)
{
    char time[25];

    buf_init_at(line, memory, LINE_MAX_BYTES);
    clock_text(wall_ms, time);
    buf_put(line, STR("{\"time\":\""));
    buf_put(line, str_of(time));
    buf_put(line, STR("\",\"type\":\"access\""));
}

static void end_line(struct buf *line)
{
    buf_byte(line, '}');
    if (!line->failed)
        log_line(buf_str(line));
}

/* How it ended, in one word. */
static const char *ending(const struct exchange *x)
{
    if (x->told == TOLD_CUT)
        return "cut";
    if (x->facts & FACT_GONE)
        return "client-gone";
    return "complete";
}

/* What came of the operator's own rule, where it let nobody pass. */
static void put_auth(struct buf *line, const struct forward_auth *f)
{
    if (f->state != FORWARD_AUTH_DENY && f->state != FORWARD_AUTH_FAILED)
        return;
    if (f->status)
        log_put_number(line, "auth_status", f->status);
    else
        log_put(line, "auth_error", str_of(err_name(f->why)));
}

void access_say(const struct exchange *x)
{
    const struct request_head *head = x->head;
    char memory[LINE_MAX_BYTES];
    int64_t now_ms;
    struct buf line;

    if (!log_wants_lines())
        return;
    now_ms = clock_ms();
    begin_line(&line, memory, x->wall_ms);
    log_put(&line, "id", str_of(x->id));
    log_put(&line, "peer", head->peer);
    log_put(&line, "method", method_text(head->method));
    log_put(&line, "class", str_of(access_class(x->route.class)));
    log_put(&line, "host", head->host);
    log_put_target(&line, "target", head->target);
    log_put_number(&line, "status", x->status);
    log_put(&line, "end", str_of(ending(x)));
    log_put_number(&line, "bytes_in", (int64_t)x->bytes_in);
    log_put_number(&line, "bytes_out", (int64_t)x->bytes_out);
    if (x->head_ms)
        log_put_number(&line, "head_ms", x->head_ms - x->began_ms);
    log_put_number(&line, "total_ms", now_ms - x->began_ms);
    if (x->row)
        log_put(&line, "operation", str_of(x->row->name));
    if (x->key_found == FOUND) {
        log_put(&line, "team", str_of(x->key.team));
        log_put_number(&line, "key", (int64_t)x->key.number);
    } else if (x->record) {
        log_put(&line, "team", x->record->team);
    }
    if (x->route.id.p) {
        log_put(&line, "sandbox", x->route.id);
        log_put_number(&line, "port", x->route.port);
    } else if (x->record) {
        log_put(&line, "sandbox", x->record->id);
    }
    if (x->visit && x->visit->admitted && x->visit->link.id[0])
        log_put(&line, "link", str_of(x->visit->link.id));
    if (x->visit)
        put_auth(&line, &x->visit->auth);
    if (x->why)
        log_put(&line, "error", str_of(err_name(x->why)));
    /* What a link lacked; of links it is always words of our own. */
    if (x->why && x->visit && x->detail.n)
        log_put(&line, "detail", x->detail);
    end_line(&line);
}

void access_refused(struct str peer, int status, enum err why)
{
    char memory[LINE_MAX_BYTES];
    struct buf line;

    begin_line(&line, memory, clock_wall_ms());
    log_put(&line, "peer", peer);
    log_put_number(&line, "status", status);
    log_put(&line, "error", str_of(err_name(why)));
    end_line(&line);
}
