/* live_process.c - tests of processes: what their subscribers hear. */
#include "live/process.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/mem.h"
#include "live/root.h"
#include "tests/unit/live_script.h"

TestSuite(live_process, .init = script_open, .fini = script_close);

#define HI "{\"event\":{\"data\":{\"stdout\":\"aGkK\"}}}\n"
#define ERR "{\"event\":{\"data\":{\"stderr\":\"ZXJyCg==\"}}}\n"
#define EXIT(n) \
    "{\"event\":{\"end\":{\"exitCode\":" #n \
    ",\"exited\":true,\"status\":\"exit status " #n \
    "\",\"error\":\"exit status " #n "\"}}}\n"
#define EXIT_0 \
    "{\"event\":{\"end\":{\"exited\":true,\"status\":\"exit status 0\"}}}\n"
#define KILLED \
    "{\"event\":{\"end\":{\"exitCode\":-1,\"status\":\"signal: killed\"," \
    "\"error\":\"signal: killed\"}}}\n"

static void order(struct ear *e, const struct want_live *want)
{
    ear_open(e);
    cr_assert_eq(process_order(script_sandbox(), want, &ear_events, e, &e->sub),
                 E_OK);
    cr_expect_eq(e->results, 0, "told from inside");
}

static void start(struct ear *e, int64_t deadline_ms)
{
    static struct str args[] = {STR("5")};
    const struct process_config config = {.cmd = STR("sleep"),
                                          .args = args,
                                          .arg_count = 1,
                                          .cwd = STR(""),
                                          .user = STR("user"),
                                          .tag = STR("t"),
                                          .json = STR("{\"cmd\":\"sleep\"}")};
    const struct want_live want = {.kind = LIVE_PROCESS_START,
                                   .process = &config,
                                   .deadline_ms = deadline_ms};

    order(e, &want);
}

static void follow(struct ear *e, uint32_t pid, const char *tag)
{
    const struct want_live want = {
        .kind = LIVE_PROCESS_CONNECT, .pid = pid, .tag = str_of(tag)};

    order(e, &want);
    script_turn();
}

static void signal_it(struct ear *e, uint32_t pid, int signal)
{
    const struct want_live want = {
        .kind = LIVE_PROCESS_SIGNAL, .pid = pid, .signal = signal};

    order(e, &want);
    script_turn();
}

static struct script_call *stream(void)
{
    return script_call("ExecStream");
}

/* The wrapper's line, with what shares its frame. */
static void say_pid(uint32_t pid, const char *rest)
{
    char plain[128], payload[256];
    struct buf b;

    snprintf(plain, sizeof(plain), "\036%u\n%s", pid, rest);
    buf_init(&b, 256);
    encode_base64(&b, str_of(plain));
    snprintf(payload, sizeof(payload), "{\"stderr\":\"%.*s\"}",
             STR_FMT(buf_str(&b)));
    buf_clear(&b);
    script_frame(stream(), 0, payload);
}

static void started(struct ear *e, uint32_t pid)
{
    start(e, 0);
    say_pid(pid, "");
    cr_assert_eq(e->results, 1);
    cr_assert_eq(e->err, E_OK);
    cr_assert_eq(e->pid, pid);
}

static void say_exit(const char *payload)
{
    script_frame(stream(), 0, payload);
    script_frame(stream(), 2, "{}");
    script_end(stream());
}

static bool heard(const struct ear *e, const char *text)
{
    return str_eq(buf_str(&e->heard), str_of(text));
}

/* ---- the ordinary way ---- */

Test(live_process, tells_the_pid_then_output_then_the_end)
{
    struct ear e;

    start(&e, 0);
    cr_expect_lt(str_find_str(buf_str(&stream()->body), STR("sleep")),
                 buf_len(&stream()->body));
    say_pid(12, "err\n");
    cr_expect_eq(e.pid, 12);
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    say_exit("{\"exit\":{\"execTimeMs\":5.2}}");
    cr_expect(heard(&e, ERR HI EXIT_0), "%.*s", STR_FMT(buf_str(&e.heard)));
    cr_expect_eq(e.ends, 1);
    cr_expect(stream()->freed);
    ear_close(&e);
}

Test(live_process, output_that_came_before_the_pid_is_not_lost)
{
    struct ear e;

    start(&e, 0);
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    cr_expect_eq(e.results, 0);
    say_pid(12, "");
    say_exit("{\"exit\":{\"exitCode\":3}}");
    cr_expect(heard(&e, HI EXIT(3)));
    ear_close(&e);
}

Test(live_process, what_cannot_start_is_told)
{
    static const struct {
        const char *name;
        unsigned flags;
        const char *payload;
        enum err want;
        const char *detail;
    } rows[] = {
        {"user", 0, "{\"stderr\":\"HiF1c2VyIGJvYgo=\"}", E_UNAUTHENTICATED,
         "invalid username: 'bob'"},
        {"cwd", 0, "{\"stderr\":\"HiFjd2QgL3gK\"}", E_INVALID,
         "cwd '/x' does not exist"},
        {"spawn", 0,
         "{\"exit\":{\"exitCode\":1,\"error\":\"exec stream read error: guest "
         "exec failed: start: Argument list too long (os error 7); check\"}}",
         E_INVALID,
         "error starting process 'sleep 5': fork/exec /bin/sh: argument list "
         "too long"},
        {"slots", 2,
         "{\"error\":{\"code\":\"unavailable\",\"message\":\"sandbox sb1 is at "
         "its concurrent exec-stream limit\"}}",
         E_SLOTS, ""},
        {"agent", 2,
         "{\"error\":{\"code\":\"unavailable\",\"message\":\"guest exec open "
         "failed: rpc error: code = Unavailable desc = x\"}}",
         E_BACKEND_DOWN, ""},
        {"exit at once", 0, "{\"exit\":{\"exitCode\":2}}", E_INTERNAL, ""},
        {"end at once", 2, "{}", E_INTERNAL, ""},
        {"no JSON", 0, "<html>", E_BACKEND_GARBAGE, ""},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct ear e;

        start(&e, 0);
        script_frame(stream(), rows[i].flags, rows[i].payload);
        cr_expect_eq(e.results, 1, "%s", rows[i].name);
        cr_expect_eq(e.err, rows[i].want, "%s: %s", rows[i].name,
                     err_name(e.err));
        cr_expect_str_eq(e.detail, rows[i].detail, "%s", rows[i].name);
        cr_expect(stream()->freed, "%s", rows[i].name);
        cr_expect_null(script_sandbox()->processes, "%s", rows[i].name);
        ear_close(&e);
    }
}

Test(live_process, a_call_that_cannot_begin_or_is_cut_is_told)
{
    struct ear e;

    script_refuse(E_NOMEM);
    start(&e, 0);
    script_turn();
    cr_expect_eq(e.err, E_NOMEM);
    ear_close(&e);
    start(&e, 0);
    script_cut(stream(), E_SLOTS);
    cr_expect_eq(e.err, E_SLOTS);
    ear_close(&e);
    start(&e, 0);
    script_end(stream());
    cr_expect_eq(e.err, E_CUT);
    ear_close(&e);
}

/* ---- several followers ---- */

Test(live_process, all_followers_hear_what_comes_from_now_on)
{
    struct ear a, b, c;

    started(&a, 12);
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    follow(&b, 12, NULL);
    follow(&c, 0, "t");
    cr_expect_eq(b.pid, 12);
    cr_expect_eq(c.pid, 12);
    script_frame(stream(), 0, "{\"stderr\":\"ZXJyCg==\"}");
    /* One leaves: nothing changes for the others. */
    subscription_free(&a.sub);
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    say_exit("{\"exit\":{}}");
    cr_expect(heard(&a, HI ERR));
    cr_expect(heard(&b, ERR HI EXIT_0));
    cr_expect(heard(&c, ERR HI EXIT_0));
    cr_expect_eq(a.ends + b.ends + c.ends, 2);
    ear_close(&a);
    ear_close(&b);
    ear_close(&c);
}

Test(live_process, nobody_listens_and_it_runs_on)
{
    struct ear a, b;

    started(&a, 12);
    ear_close(&a);
    script_turn();
    cr_expect_not(stream()->freed);
    cr_expect_eq(stream()->paused, 0);
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    follow(&b, 12, NULL);
    script_frame(stream(), 0, "{\"stderr\":\"ZXJyCg==\"}");
    cr_expect(heard(&b, ERR));
    ear_close(&b);
}

Test(live_process, unknown_ones_are_not_found)
{
    struct ear e, s;

    follow(&e, 7, NULL);
    cr_expect_eq(e.err, E_NOT_FOUND);
    ear_close(&e);
    started(&e, 12);
    signal_it(&s, 13, 9);
    cr_expect_eq(s.err, E_NOT_FOUND);
    ear_close(&s);
    signal_it(&s, 12, 0);
    cr_expect_eq(s.err, E_OK);
    cr_expect_eq(script_count("Signal"), 0);
    ear_close(&s);
    ear_close(&e);
}

/* ---- flow ---- */

Test(live_process, a_lone_reader_holds_the_process_back)
{
    struct ear e;

    started(&e, 12);
    e.pauses = true;
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    cr_expect_eq(stream()->paused, PAUSE_FULL);
    subscription_resume(e.sub);
    cr_expect_eq(stream()->paused, 0);
    /* The end waits for a reader too. */
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    subscription_resume(e.sub);
    subscription_pause(e.sub);
    cr_expect_eq(stream()->paused, PAUSE_FULL);
    subscription_resume(e.sub);
    say_exit("{\"exit\":{}}");
    cr_expect_eq(e.ends, 0);
    subscription_resume(e.sub);
    script_turn();
    cr_expect_eq(e.ends, 1);
    cr_expect(heard(&e, HI HI EXIT_0));
    ear_close(&e);
}

Test(live_process, its_pid_comes_even_to_one_who_does_not_read)
{
    struct ear e;

    start(&e, 0);
    subscription_pause(e.sub);
    cr_expect_eq(stream()->paused, 0);
    say_pid(12, "");
    cr_expect_eq(e.pid, 12);
    ear_close(&e);
}

/* Output of that many bytes of base64, in frames of 40,000. */
static void flood(size_t bytes)
{
    static char payload[40100];
    size_t n = 40000;

    snprintf(payload, sizeof(payload), "{\"stdout\":\"");
    memset(payload + 11, 'A', n);
    snprintf(payload + 11 + n, 16, "\"}");
    for (size_t sent = 0; sent < bytes && !stream()->paused; sent += n)
        script_frame(stream(), 0, payload);
}

Test(live_process, of_several_the_slow_one_is_told_and_cut)
{
    struct ear fast, slow;

    started(&fast, 12);
    follow(&slow, 12, NULL);
    subscription_pause(slow.sub);
    flood(900 << 10);
    cr_expect_eq(stream()->paused, 0);
    cr_expect_eq(slow.bytes, 0);
    flood(8 << 20);
    cr_expect_eq(stream()->paused, PAUSE_FULL);
    cr_expect_eq(script_time(10000), 1);
    cr_expect_eq(slow.cuts, 1);
    cr_expect_eq(slow.why, E_EXHAUSTED);
    cr_expect_eq(stream()->paused, 0);
    cr_expect_eq(fast.cuts, 0);
    cr_expect_gt(fast.bytes, 1 << 20);
    ear_close(&fast);
    ear_close(&slow);
}

Test(live_process, one_that_catches_up_has_missed_nothing)
{
    struct ear fast, slow;

    started(&fast, 12);
    follow(&slow, 12, NULL);
    subscription_pause(slow.sub);
    flood(8 << 20);
    slow.pauses = true;
    for (int i = 0; i < 40 && slow.bytes < fast.bytes; i++) {
        subscription_resume(slow.sub);
        script_turn();
    }
    cr_expect_eq(slow.bytes, fast.bytes);
    cr_expect_eq(stream()->paused, 0);
    cr_expect_eq(script_time(10000), 0);
    ear_close(&fast);
    ear_close(&slow);
}

/* ---- the end ---- */

Test(live_process, an_exit_is_kept_for_half_a_minute)
{
    struct ear a, b;

    started(&a, 12);
    say_exit("{\"exit\":{\"exitCode\":3}}");
    ear_close(&a);
    follow(&b, 12, NULL);
    cr_expect_eq(b.pid, 12);
    cr_expect(heard(&b, EXIT(3)));
    cr_expect_eq(b.ends, 1);
    ear_close(&b);
    follow(&b, 0, "t");
    cr_expect_eq(b.ends, 1);
    ear_close(&b);
    signal_it(&b, 12, 9);
    cr_expect_eq(b.err, E_NOT_FOUND);
    ear_close(&b);
    cr_expect_eq(script_time(30000), 1);
    script_turn();
    cr_expect_null(script_sandbox()->processes);
    follow(&b, 12, NULL);
    cr_expect_eq(b.err, E_NOT_FOUND);
    ear_close(&b);
}

Test(live_process, minus_one_without_a_signal_of_ours_is_killed)
{
    struct ear e;

    started(&e, 12);
    say_exit("{\"exit\":{\"exitCode\":-1}}");
    cr_expect(heard(&e, KILLED));
    ear_close(&e);
}

/* ---- signals ---- */

#define SLEEPS \
    "{\"data\":\"MTIgKHNoKSBTIDEgMTIgMCAw\", \"eof\":true}" /* 12 (sh) S */

/* /proc/<pid>/stat of a zombie with that wait status. */
static void say_zombie(int status)
{
    char line[256], payload[512];
    struct buf b;

    snprintf(line, sizeof(line),
             "12 (sh) Z 1 15 0 0 -1 4 7 0 0 0 0 0 0 0 20 0 1 0 26 0 0 18 0 0 "
             "0 0 0 0 0 6 0 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 %d\n",
             status);
    buf_init(&b, 512);
    encode_base64(&b, str_of(line));
    snprintf(payload, sizeof(payload), "{\"data\":\"%.*s\"}",
             STR_FMT(buf_str(&b)));
    buf_clear(&b);
    script_call("ReadFile")
        ->events->on_head(script_call("ReadFile")->arg,
                          &(struct answer_head){.status = 200});
    script_frame(script_call("ReadFile"), 0, payload);
    script_frame(script_call("ReadFile"), 2, "{}");
    script_end(script_call("ReadFile"));
}

static void kill_it(struct ear *s, int signal)
{
    char body[64];

    signal_it(s, 12, signal);
    snprintf(body, sizeof(body), "{\"pid\":12,\"signal\":%d}", signal);
    cr_expect(str_eq(buf_str(&script_call("Signal")->body), str_of(body)));
    script_answer(script_call("Signal"), 200, "{}");
    cr_expect_eq(s->results, 1);
    cr_expect_eq(s->err, E_OK);
}

Test(live_process, a_killed_one_ends_although_its_children_hold_the_pipes)
{
    struct ear e, s, late;

    started(&e, 12);
    kill_it(&s, 9);
    cr_expect_eq(e.ends, 0);
    cr_expect_eq(script_time(20), 1);
    say_zombie(9);
    /* What is on its way is waited for. */
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    cr_expect_eq(script_time(100), 1);
    cr_expect_eq(e.ends, 0);
    cr_expect_eq(script_time(100), 1);
    cr_expect_eq(e.ends, 1);
    cr_expect(heard(&e, HI KILLED));
    /* The stream is drained on, and the exit kept. */
    cr_expect_not(stream()->freed);
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    follow(&late, 12, NULL);
    cr_expect(heard(&late, KILLED));
    ear_close(&late);
    cr_expect_eq(script_time(30000), 1);
    cr_expect_not(stream()->freed);
    say_exit("{\"exit\":{\"exitCode\":-1}}");
    script_turn();
    cr_expect_null(script_sandbox()->processes);
    ear_close(&s);
    ear_close(&e);
}

Test(live_process, a_zombie_tells_its_own_status)
{
    struct ear e, s;

    started(&e, 12);
    kill_it(&s, 9);
    script_time(20);
    say_zombie(5 << 8);
    script_time(100);
    cr_expect(heard(&e, EXIT(5)));
    ear_close(&s);
    ear_close(&e);
}

Test(live_process, one_that_ignores_the_signal_goes_on)
{
    struct ear e, s;

    started(&e, 12);
    kill_it(&s, 15);
    script_time(20);
    script_call("ReadFile")
        ->events->on_head(script_call("ReadFile")->arg,
                          &(struct answer_head){.status = 200});
    script_frame(script_call("ReadFile"), 0, SLEEPS);
    script_frame(script_call("ReadFile"), 2, "{}");
    script_end(script_call("ReadFile"));
    cr_expect_eq(script_time(40), 1);
    script_cut(script_call("ReadFile"), E_BACKEND_DOWN);
    cr_expect_eq(script_time(80), 1);
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    say_exit("{\"exit\":{\"exitCode\":7}}");
    cr_expect(heard(&e, HI EXIT(7)));
    ear_close(&s);
    ear_close(&e);
}

Test(live_process, a_signal_to_one_that_has_gone_is_not_found)
{
    struct ear e, s;

    started(&e, 12);
    signal_it(&s, 12, 9);
    script_answer(script_call("Signal"), 500,
                  "{\"code\":\"internal\",\"message\":\"guest Signal: rpc "
                  "error: code = NotFound desc = signal: no such process\"}");
    cr_expect_eq(s.err, E_NOT_FOUND);
    ear_close(&s);
    ear_close(&e);
}

/* ---- the deadline ---- */

Test(live_process, the_deadline_kills_and_tells_at_once)
{
    struct ear e, late;

    start(&e, 2000);
    say_pid(12, "");
    cr_expect_eq(script_time(2000), 1);
    cr_expect_eq(e.cuts, 1);
    cr_expect_eq(e.why, E_DEADLINE);
    cr_expect(str_eq(buf_str(&script_call("Signal")->body),
                     STR("{\"pid\":12,\"signal\":9}")));
    script_answer(script_call("Signal"), 200, "{}");
    cr_expect_not(stream()->freed);
    say_exit("{\"exit\":{\"exitCode\":-1}}");
    follow(&late, 12, NULL);
    cr_expect(heard(&late, KILLED));
    ear_close(&late);
    ear_close(&e);
}

Test(live_process, a_deadline_before_the_pid_kills_when_it_comes)
{
    struct ear e;

    start(&e, 2000);
    script_time(2000);
    cr_expect_eq(e.results, 1);
    cr_expect_eq(e.err, E_DEADLINE);
    cr_expect_eq(script_count("Signal"), 0);
    say_pid(12, "");
    cr_expect_eq(script_count("Signal"), 1);
    /* The back end hiccups: it is asked for again. */
    script_cut(script_call("Signal"), E_BACKEND_DOWN);
    script_time(2000);
    cr_expect_eq(script_count("Signal"), 2);
    ear_close(&e);
}

Test(live_process, the_deadline_holds_when_nobody_listens)
{
    struct ear e;

    start(&e, 2000);
    say_pid(12, "");
    ear_close(&e);
    script_time(2000);
    cr_expect_eq(script_count("Signal"), 1);
}

/* ---- faults ---- */

Test(live_process, a_torn_stream_is_a_cut_and_the_row_is_verified)
{
    struct want_live want = {.kind = LIVE_PROCESS_LIST};
    struct ear e, list, late;

    started(&e, 12);
    script_cut(stream(), E_CUT);
    cr_expect_eq(e.cuts, 1);
    cr_expect_eq(e.why, E_CUT);
    cr_expect_eq(e.ends, 0);
    follow(&late, 12, NULL);
    cr_expect_eq(late.err, E_NOT_FOUND);
    ear_close(&late);
    order(&list, &want);
    script_turn();
    script_answer(
        script_call("Processes"), 200,
        "{\"processes\":[{\"pid\":1},{\"pid\":12, \"state\":\"Z\"}]}");
    cr_expect_eq(list.results, 1);
    ear_close(&list);
    ear_close(&e);
    script_turn();
    cr_expect_null(script_sandbox()->processes);
}

Test(live_process, an_end_without_an_exit_is_no_clean_end)
{
    struct ear e;

    started(&e, 12);
    script_frame(stream(), 2, "{}");
    script_end(stream());
    cr_expect_eq(e.ends, 0);
    cr_expect_eq(e.why, E_CUT);
    ear_close(&e);
}

Test(live_process, an_agent_that_is_lost_is_a_cut)
{
    struct ear e;

    started(&e, 12);
    script_frame(stream(), 0,
                 "{\"exit\":{\"exitCode\":1,\"error\":\"exec stream read "
                 "error: rpc error: code = Unavailable desc = EOF\"}}");
    cr_expect_eq(e.ends, 0);
    cr_expect_eq(e.why, E_CUT);
    ear_close(&e);
}

Test(live_process, the_end_of_the_sandbox_is_told_to_all)
{
    struct want_live list = {.kind = LIVE_PROCESS_LIST};
    struct ear running, starting, waiting, asking, kept;

    started(&running, 12);
    started(&kept, 13);
    kept.pauses = true;
    script_frame(stream(), 0, "{\"stdout\":\"aGkK\"}");
    start(&starting, 0);
    ear_open(&waiting);
    cr_assert_eq(process_order(script_sandbox(),
                               &(struct want_live){.kind = LIVE_PROCESS_CONNECT,
                                                   .pid = 12},
                               &ear_events, &waiting, &waiting.sub),
                 E_OK);
    order(&asking, &list);
    process_table_end(&script_sandbox()->processes, E_SANDBOX_GONE);
    cr_expect_eq(running.why, E_SANDBOX_GONE);
    cr_expect_eq(kept.why, E_SANDBOX_GONE);
    cr_expect_eq(starting.err, E_SANDBOX_GONE);
    cr_expect_eq(waiting.err, E_SANDBOX_GONE);
    cr_expect_eq(asking.err, E_SANDBOX_GONE);
    ear_close(&running);
    ear_close(&kept);
    ear_close(&starting);
    ear_close(&waiting);
    ear_close(&asking);
}

Test(live_process, list_names_what_runs)
{
    struct want_live want = {.kind = LIVE_PROCESS_LIST};
    struct ear a, b, list;

    started(&a, 12);
    start(&b, 0);
    order(&list, &want);
    script_turn();
    cr_expect_eq(list.results, 1);
    cr_expect_eq(script_count("Processes"), 0);
    ear_close(&list);
    ear_close(&a);
    ear_close(&b);
}

/* ---- memory ---- */

Test(live_process, every_allocation_of_a_start_may_fail)
{
    const struct process_config config = {.cmd = STR("a"),
                                          .user = STR("user"),
                                          .cwd = STR(""),
                                          .json = STR("{}")};
    const struct want_live want = {.kind = LIVE_PROCESS_START,
                                   .process = &config};
    bool done = false;

    for (long n = 0; n < 300 && !done; n++) {
        struct ear e;
        enum err err;

        ear_open(&e);
        mem_refuse(n);
        err = process_order(script_sandbox(), &want, &ear_events, &e, &e.sub);
        mem_refuse(-1);
        script_turn();
        if (err == E_OK && e.results == 0) {
            say_pid(12, "");
            done = e.err == E_OK;
        } else {
            cr_expect(err == E_NOMEM || e.err == E_NOMEM, "allocation %ld", n);
        }
        ear_close(&e);
    }
    cr_expect(done);
}
