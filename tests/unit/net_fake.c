/* net_fake.c - see net_fake.h. */
#include "tests/unit/net_fake.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void fake_open(struct fake *f, struct rig *r)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    *f = (struct fake){.rig = r, .folder = "/tmp/net_fake.XXXXXX"};
    cr_assert_not_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/s", f->folder);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
    f->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(f->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(listen(f->fd, 64), 0);
}

void fake_close(struct fake *f)
{
    close(f->fd);
    unlink(f->path);
    rmdir(f->folder);
}

void fake_accept(struct fake *f, struct raw *raw)
{
    int fd = -1;

    *raw = (struct raw){.fd = -1};
    buf_init(&raw->got, 64 << 20);
    for (int i = 0; fd < 0 && i < 1000; i++) {
        rig_turn(f->rig, NULL);
        fd = accept(f->fd, NULL, NULL);
    }
    cr_assert_geq(fd, 0);
    raw->fd = fd;
}

bool fake_called(struct fake *f)
{
    int fd;

    rig_turn(f->rig, NULL);
    rig_turn(f->rig, NULL);
    fd = accept(f->fd, NULL, NULL);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

struct call_request fake_request(const struct fake *f)
{
    static const struct fields none;

    return (struct call_request){.pool = STR("b"),
                                 .address = str_of(f->path),
                                 .method = METHOD_GET,
                                 .target = STR("/"),
                                 .host = STR("h"),
                                 .fields = &none,
                                 .length = LENGTH_NONE,
                                 .idempotent = true,
                                 .connect_ms = 3000};
}

static void on_head(void *arg, const struct answer_head *head)
{
    struct caller *c = arg;

    cr_assert(!c->status && !c->ended && !c->cut);
    c->status = head->status;
    c->length = head->length;
    c->fields = head->fields.count;
    if (c->pause)
        call_pause(c->call, PAUSE_USER);
}

static void on_piece(void *arg, struct str piece)
{
    struct caller *c = arg;

    cr_assert(c->status && !c->ended && !c->cut && piece.n);
    c->pieces++;
    buf_put(&c->body, piece);
}

static void on_end(void *arg)
{
    struct caller *c = arg;

    cr_assert(c->status && !c->ended && !c->cut);
    c->ended = true;
}

static void on_cut(void *arg, enum err why)
{
    struct caller *c = arg;

    cr_assert((!c->ended || c->status == 101) && !c->cut);
    c->cut = true;
    c->why = why;
}

static void on_room(void *arg)
{
    struct caller *c = arg;

    c->room = true;
}

static const struct call_events events = {on_head, on_piece, on_end, on_cut,
                                          on_room};

void caller_start(struct caller *c, struct fake *f,
                  const struct call_request *r)
{
    bool pause = c->pause;

    *c = (struct caller){.pause = pause};
    buf_init(&c->body, 64 << 20);
    cr_assert_eq(call_start(f->rig->pools, r, &events, c, &c->call), E_OK);
}

void caller_clear(struct caller *c)
{
    call_free(&c->call);
    buf_clear(&c->body);
}
