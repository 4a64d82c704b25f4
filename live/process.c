/* process.c - see process.h.
 *
 * The life of a command: started by a call whose stream is ours and not the
 * client's; known by the pid that its wrapper prints; followed by any number
 * of subscribers, without a replay; ended by its exit frame.
 *
 * A signal (and the deadline) hits the pid alone, so children may go on and
 * hold the pipes: the exit frame does not come then.  After a signal of ours
 * /proc/<pid>/stat is looked at, more and more rarely: a zombie tells its
 * status there, and who is not there has gone.  Then what is still on its way
 * is waited for, until the stream was silent for a while, and the end is
 * told; the stream itself is drained on. */
#include "live/process.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "live/root.h"
#include "translate/exec.h"
#include "translate/fault.h"

#define KEEP_MS 30000         /* e2b-data-plane.md 2.3 (8) */
#define PAYLOAD_MAX (8 << 20) /* of an upstream frame; real ones: 44 KB */
#define EARLY_MAX (4 << 20)   /* output before the pid */
#define LOOK_FIRST_MS 20
#define LOOK_MOST_MS 2000
#define QUIET_MS 100
#define QUIET_LOOKS 10 /* then the end is told whatever still comes */
#define TITLE_MAX 200

/* ---- life and death ---- */

static void bury(void *what)
{
    struct process *p = what;

    envelope_clear(&p->in);
    buf_clear(&p->early);
    timer_clear(&p->timer);
    timer_clear(&p->look);
    mem_free((void *)(uintptr_t)p->config.p);
    mem_free((void *)(uintptr_t)p->tag.p);
    mem_free((void *)(uintptr_t)p->title.p);
    mem_free(p);
}

void process_drop(struct process *p)
{
    if (p->state == PROCESS_DEAD)
        return;
    p->state = PROCESS_DEAD;
    live_call_free(&p->call);
    ask_free(&p->kill);
    ask_free(&p->stat);
    subscription_free(&p->doubt);
    timer_stop(&p->timer);
    timer_stop(&p->look);
    list_remove(&p->link);
    loop_bury(p->table->ls->live->loop, bury, p);
}

static void bury_table(void *what)
{
    struct process_table *t = what;

    buf_clear(&t->out);
    arena_free(&t->scratch);
    mem_free(t);
}

void process_table_settle(struct process_table *t)
{
    struct live_sandbox *ls = t->ls;

    if (!ls || !list_empty(&t->processes) || !list_empty(&t->loose) ||
        !list_empty(&t->orders))
        return;
    t->ls = NULL;
    loop_bury(ls->live->loop, bury_table, t);
    if (ls->processes == t) {
        ls->processes = NULL;
        live_sandbox_settle(ls);
    }
}

/* Drop it and, with the last, its table. */
static void drop(struct process *p)
{
    struct process_table *t = p->table;

    process_drop(p);
    process_table_settle(t);
}

/* Each follower in turn; saying may take it off the list. */
#define EACH_FOLLOWER(f, next, p) \
    for (struct list *at_ = (p)->followers.next, *next = at_->next; \
         at_ != &(p)->followers && ((f) = (struct follower *)(void *)LIST_OF( \
                                        at_, struct subscription, link)); \
         at_ = next, next = at_->next)

static void cut_all(struct process *p, enum err why)
{
    struct list *link;

    while (!list_empty(&p->followers)) {
        link = p->followers.next;
        /* Takes itself off the list. */
        follower_cut(
            (struct follower *)(void *)LIST_OF(link, struct subscription, link),
            why);
    }
}

/* It never began: its starter hears why. */
static void refuse(struct process *p, enum err err, struct str detail)
{
    struct list *link;

    while (!list_empty(&p->followers)) {
        link = p->followers.next;
        follower_tell(
            (struct follower *)(void *)LIST_OF(link, struct subscription, link),
            err, 0, detail);
    }
    drop(p);
}

/* Its stream is of no use any more. */
static void lose(struct process *p, enum err why)
{
    if (p->state == PROCESS_KEPT) {
        live_call_free(&p->call);
        if (p->stale)
            drop(p);
        return;
    }
    if (p->state == PROCESS_STARTING) {
        refuse(p, why, STR_NONE);
        return;
    }
    live_call_free(&p->call);
    p->state = PROCESS_LOST;
    cut_all(p, why == E_SANDBOX_GONE ? why : E_CUT);
}

/* ---- flow ---- */

void process_flow(struct process *p)
{
    struct follower *f;
    bool alone =
        !list_empty(&p->followers) && p->followers.next == p->followers.prev;
    bool wait = false;

    EACH_FOLLOWER(f, next, p)
    {
        size_t behind = follower_behind(f);

        if (alone)
            wait = f->paused;
        else
            wait = wait || behind >= FOLLOWER_BEHIND_BYTES;
        /* It has to catch up by half before the time is forgotten. */
        if (alone || behind < FOLLOWER_BEHIND_BYTES / 2)
            follower_hurry(f, false);
        else if (behind >= FOLLOWER_BEHIND_BYTES)
            follower_hurry(f, true);
    }
    if (!p->call)
        return;
    /* Its pid must come, whoever reads. */
    if (wait && p->state != PROCESS_STARTING)
        live_call_pause(p->call, PAUSE_FULL);
    else
        live_call_resume(p->call, PAUSE_FULL);
}

/* What the table's buffer holds goes to all. */
static void flush(struct process *p)
{
    struct buf *out = &p->table->out;
    struct follower *f;

    if (buf_len(out) == 0)
        return;
    EACH_FOLLOWER(f, next, p) follower_put(f, buf_str(out));
    buf_empty(out);
    process_flow(p);
}

/* ---- the end ---- */

static void on_stale(void *arg)
{
    struct process *p = arg;

    p->stale = true;
    if (!p->call)
        drop(p);
}

/* The exit is known: told to all, and kept for those who come. */
static void finish(struct process *p, int exit_code, int signal)
{
    struct process_table *t = p->table;
    struct list *link;

    p->state = PROCESS_KEPT;
    p->exit_code = exit_code;
    p->exit_signal = signal;
    ask_free(&p->kill);
    ask_free(&p->stat);
    timer_stop(&p->look);
    p->timer.on_time = on_stale;
    timer_set(&p->timer, KEEP_MS);
    exec_put_exit(&t->out, exit_code, signal);
    flush(p);
    while ((link = list_pop(&p->followers))) {
        list_push(&t->loose, link);
        follower_end((struct follower *)(void *)LIST_OF(
            link, struct subscription, link));
    }
    process_flow(p);
}

void process_follow(struct process *p, struct follower *f)
{
    struct process_table *t = p->table;

    list_remove(&f->sub.link);
    if (p->state == PROCESS_KEPT)
        list_push(&t->loose, &f->sub.link);
    else
        list_push(&p->followers, &f->sub.link);
    f->process = p;
    follower_tell(f, E_OK, p->pid, STR_NONE);
    if (f->over || p->state != PROCESS_KEPT) {
        process_flow(p);
        return;
    }
    exec_put_exit(&t->out, p->exit_code, p->exit_signal);
    follower_put(f, buf_str(&t->out));
    buf_empty(&t->out);
    if (!f->over)
        follower_end(f);
}

/* ---- after a signal ---- */

/* A wait status.  Source: wait(2). */
static void finish_status(struct process *p, int status)
{
    int signal = status & 0x7f;

    /* 0 is also what one may not see is shown as. */
    if (status == 0)
        finish(p, 0, p->signal);
    else
        finish(p, status >> 8 & 0xff, signal);
}

/* Nothing of its own can come any more but what is on its way. */
static void wait_quiet(struct process *p)
{
    p->gone = true;
    p->heard = false;
    p->quiet = 0;
    timer_set(&p->look, QUIET_MS);
}

static void look_again(struct process *p)
{
    p->look_ms = 2 * p->look_ms < LOOK_MOST_MS ? 2 * p->look_ms : LOOK_MOST_MS;
    timer_set(&p->look, p->look_ms);
}

static void on_stat(void *arg, enum err err, struct str text)
{
    struct process *p = arg;
    int status = 0;

    ask_free(&p->stat);
    if (p->state != PROCESS_RUNNING)
        return;
    if (err != E_NOT_FOUND && (err || !exec_read_stat(text, &status))) {
        look_again(p);
        return;
    }
    p->exit_code = status;
    wait_quiet(p);
}

static void look(struct process *p)
{
    char body[64];
    struct ask_request request = {.method = "ReadFile", .stream = true};
    struct buf b;

    if (p->stat)
        return;
    snprintf(body, sizeof(body), "{\"path\":\"/proc/%u/stat\"}", p->pid);
    buf_init(&b, 256);
    envelope_put(&b, 0, str_of(body));
    request.body = buf_str(&b);
    if (b.failed || ask_start(p->table->ls, &request, on_stat, p, &p->stat))
        look_again(p);
    buf_clear(&b);
}

static void on_look(void *arg)
{
    struct process *p = arg;
    struct follower *f;
    bool waits = false;

    if (p->state != PROCESS_RUNNING)
        return;
    if (!p->gone) {
        look(p);
        return;
    }
    /* A reader that is slow holds back what was written in time. */
    EACH_FOLLOWER(f, next, p) waits = waits || f->paused;
    if (!waits && (!p->heard || ++p->quiet >= QUIET_LOOKS)) {
        finish_status(p, p->exit_code);
        return;
    }
    p->heard = false;
    timer_set(&p->look, QUIET_MS);
}

void process_signalled(struct process *p, int signal)
{
    p->signal = signal;
    if (p->state != PROCESS_RUNNING || p->gone)
        return;
    p->look_ms = LOOK_FIRST_MS;
    timer_set(&p->look, p->look_ms);
}

/* ---- the deadline ---- */

static void on_killed(void *arg, enum err err, struct str text)
{
    struct process *p = arg;

    (void)text;
    ask_free(&p->kill);
    if (p->state != PROCESS_RUNNING && p->state != PROCESS_LOST)
        return;
    if ((!err || err == E_NOT_FOUND) && p->state == PROCESS_LOST) {
        drop(p);
        return;
    }
    if (!err || err == E_NOT_FOUND) {
        process_signalled(p, 9);
        return;
    }
    /* It must die: asked for again until its stream or sandbox ends. */
    log_say(LOG_WARN, "process %u: deadline: kill: %s", p->pid, err_text(err));
    timer_set(&p->timer, LOOK_MOST_MS);
}

static void kill_now(struct process *p)
{
    struct ask_request request = {.method = "Signal"};
    char body[64];

    snprintf(body, sizeof(body), "{\"pid\":%u,\"signal\":9}", p->pid);
    request.body = str_of(body);
    if (!p->kill && ask_start(p->table->ls, &request, on_killed, p, &p->kill))
        timer_set(&p->timer, LOOK_MOST_MS);
}

static void on_deadline(void *arg)
{
    struct process *p = arg;

    p->expired = true;
    if (p->state == PROCESS_STARTING) {
        struct follower *f;

        /* Killed as soon as its pid is known. */
        EACH_FOLLOWER(f, next, p)
        follower_tell(f, E_DEADLINE, 0, STR_NONE);
        return;
    }
    if (p->state != PROCESS_RUNNING && p->state != PROCESS_LOST)
        return;
    kill_now(p);
    cut_all(p, E_DEADLINE);
    process_flow(p);
}

/* ---- what the stream tells ---- */

static const char *spawn_reason(struct str detail)
{
    switch (fault_errno(detail)) {
    case 2:
        return "no such file or directory";
    case 7:
        return "argument list too long";
    case 13:
        return "permission denied";
    default:
        return "invalid argument";
    }
}

/* Is the sandbox there?  Only then is it told gone. */
static void on_doubt(void *arg, enum err err, const struct op_result *result)
{
    struct process *p = arg;

    (void)result;
    refuse(p, err == E_SANDBOX_GONE ? err : E_SANDBOX_UNKNOWN, STR_NONE);
}

static const struct live_events doubt_events = {.on_result = on_doubt};

/* An error that the back end told instead of a pid. */
static void fail_start(struct process *p, enum err err, struct str detail)
{
    struct want_live want = {.kind = LIVE_HEALTH};

    live_call_free(&p->call);
    if (err == E_SANDBOX_GONE) {
        if (health_order(p->table->ls, &want, &doubt_events, p, &p->doubt))
            refuse(p, E_SANDBOX_UNKNOWN, STR_NONE);
        return;
    }
    if (str_find_str(detail, STR("start: ")) < detail.n) {
        refuse(p, E_INVALID,
               arena_text(p->table->scratch,
                          "error starting process '%.*s': fork/exec /bin/sh: "
                          "%s",
                          STR_FMT(p->title), spawn_reason(detail)));
        return;
    }
    /* The guest's words about itself are no answer to the caller. */
    if (err != E_SLOTS && err != E_TOO_BIG && err != E_EXHAUSTED &&
        err != E_BACKEND_DOWN)
        err = err == E_DEADLINE ? E_UPSTREAM_DEADLINE : E_INTERNAL;
    refuse(p, err, STR_NONE);
}

static void take_pid(struct process *p, const struct exec_frame *frame)
{
    struct process_table *t = p->table;
    struct follower *f;

    p->pid = frame->pid;
    p->state = PROCESS_RUNNING;
    EACH_FOLLOWER(f, next, p) follower_tell(f, E_OK, p->pid, STR_NONE);
    buf_put(&t->out, buf_str(&p->early));
    buf_clear(&p->early);
    if (frame->base64.n)
        exec_put_output(&t->out, true, frame->base64);
    if (p->expired)
        kill_now(p);
}

static void take_exit(struct process *p, const struct exec_frame *frame)
{
    flush(p);
    if (p->state == PROCESS_STARTING)
        fail_start(p, frame->err, frame->detail);
    else if (p->state != PROCESS_RUNNING)
        return;
    else if (frame->detail.p)
        lose(p, frame->err);
    else if (frame->exit_code == -1)
        finish(p, -1, p->signal ? p->signal : 9);
    else
        finish(p, frame->exit_code, 0);
}

static void take_output(struct process *p, const struct exec_frame *frame)
{
    if (frame->base64.n == 0)
        return;
    p->heard = true;
    if (p->state == PROCESS_RUNNING && !list_empty(&p->followers))
        exec_put_output(&p->table->out, frame->to_stderr, frame->base64);
    else if (p->state == PROCESS_STARTING)
        exec_put_output(&p->early, frame->to_stderr, frame->base64);
}

/* One frame; false: nothing more is to be read. */
static bool take(struct process *p, unsigned flags, struct str payload)
{
    struct exec_frame frame;
    enum err err = exec_read(flags, payload, p->state == PROCESS_STARTING,
                             p->table->scratch, &frame);

    if (err) {
        flush(p);
        lose(p, err);
        return false;
    }
    switch (frame.kind) {
    case EXEC_OUTPUT:
        take_output(p, &frame);
        break;
    case EXEC_PID:
        take_pid(p, &frame);
        break;
    case EXEC_REFUSED:
        refuse(p, frame.err, frame.detail);
        break;
    case EXEC_EXIT:
        take_exit(p, &frame);
        break;
    case EXEC_END:
        flush(p);
        if (p->state == PROCESS_STARTING)
            fail_start(p, frame.err, frame.detail);
        else if (frame.err)
            lose(p, frame.err);
        break;
    case EXEC_OTHER:
        break;
    }
    return p->call != NULL;
}

static void on_head(void *arg, const struct answer_head *head)
{
    struct process *p = arg;

    if (head->status != 200)
        lose(p, head->status >= 500 ? E_BACKEND_DOWN : E_BACKEND_REFUSED);
}

static void on_piece(void *arg, struct str piece)
{
    struct process *p = arg;
    struct process_table *t = p->table;
    struct str payload;
    unsigned flags;
    bool whole = true;

    while (whole && p->call) {
        enum err err = envelope_next(&p->in, &piece, &whole, &flags, &payload);

        if (err) {
            flush(p);
            lose(p, err == E_NOMEM ? err : E_BACKEND_GARBAGE);
            return;
        }
        if (whole && !take(p, flags, payload))
            return;
        /* The last table may be buried, but not before the turn ends. */
        arena_reset(t->scratch);
    }
    if (t->out.failed || p->early.failed) {
        buf_empty(&t->out);
        lose(p, t->out.failed ? E_NOMEM : E_BACKEND_GARBAGE);
        return;
    }
    flush(p);
}

static void on_end(void *arg)
{
    struct process *p = arg;

    /* After a whole story it is kept; before that it was torn. */
    lose(p, E_CUT);
}

static void on_cut(void *arg, enum err why)
{
    lose(arg, why);
}

static void on_room(void *arg)
{
    (void)arg;
}

static const struct call_events events = {on_head, on_piece, on_end, on_cut,
                                          on_room};

/* ---- the beginning ---- */

static bool keep(struct str s, struct str *out)
{
    char *p;

    *out = STR_NONE;
    if (!s.p)
        return true;
    p = mem_malloc(s.n + 1);
    if (!p)
        return false;
    memcpy(p, s.p, s.n);
    *out = str_from(p, s.n);
    return true;
}

/* Command and arguments, as the daemon's errors name it; cut short. */
static bool make_title(struct process *p, const struct process_config *c)
{
    struct buf b;
    bool good;

    buf_init(&b, 16 << 20);
    buf_put(&b, c->cmd);
    for (unsigned i = 0; i < c->arg_count && buf_len(&b) < TITLE_MAX; i++) {
        buf_byte(&b, ' ');
        buf_put(&b, c->args[i]);
    }
    good = !b.failed &&
           keep(str_from(buf_str(&b).p,
                         buf_len(&b) < TITLE_MAX ? buf_len(&b) : TITLE_MAX),
                &p->title);
    buf_clear(&b);
    return good;
}

static const struct conf_template *template_of(const struct process_table *t)
{
    return conf_template(t->ls->live->conf, t->ls->record->template_id);
}

MUST_USE static enum err call(struct process *p, const struct want_live *want,
                              struct str *why)
{
    struct process_table *t = p->table;
    struct want_call call = {
        .method = STR("ExecStream"), .stream = true, .slot = SLOT_EXEC};
    enum err err = exec_request(want->process, t->ls->record, template_of(t),
                                t->scratch, &call.body, why);

    if (!err)
        err = live_call_start(t->ls->live, t->ls->record, &call, &events, p,
                              &p->call);
    return err;
}

enum err process_start(struct process_table *t, const struct want_live *want,
                       struct follower *f, struct str *why)
{
    struct process *p = mem_new(sizeof(*p));
    struct loop *loop = t->ls->live->loop;
    enum err err = E_NOMEM;

    *why = STR_NONE;
    if (!p)
        return E_NOMEM;
    p->table = t;
    p->tag = p->config = p->title = STR_NONE;
    list_init(&p->followers);
    envelope_init(&p->in, PAYLOAD_MAX);
    buf_init(&p->early, EARLY_MAX);
    list_push(&t->processes, &p->link);
    timer_init(&p->timer, loop, on_deadline, p);
    timer_init(&p->look, loop, on_look, p);
    if (!keep(want->process->json, &p->config) ||
        !keep(want->process->tag, &p->tag) || !make_title(p, want->process))
        goto fail;
    err = call(p, want, why);
    if (err)
        goto fail;
    if (want->deadline_ms > 0)
        timer_set(&p->timer, want->deadline_ms);
    list_push(&p->followers, &f->sub.link);
    f->process = p;
    return E_OK;
fail:
    process_drop(p);
    return err;
}
